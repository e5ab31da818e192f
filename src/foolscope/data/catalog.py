"""Lists which data sets are on disk, downloads missing ones, and verifies their files."""

import gzip
import hashlib
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from foolscope.core.errors import DataError, StoreError
from foolscope.core.files import whole_file
from foolscope.data.dataset import LabeledImages
from foolscope.data.download import DownloadCallback, download, file_digest
from foolscope.data.settings import DatasetSettings
from foolscope.data.source import DataSource, DistributedFile, Facts

__all__ = [
    "DatasetStatus",
    "Fetched",
    "FileCheck",
    "SplitCheck",
    "Verification",
    "fetch_source",
    "source_status",
    "verify_source",
]


@dataclass(frozen=True)
class DatasetStatus:
    """One line of ``foolscope data list``.

    Args:
        name: how a recipe calls it.
        facts: what is known without reading it.
        locations: where its files are or would be; empty where none are needed or the user names them.
        missing: those of its files that are not there.
        state: ``"own"`` where the user names the files in a ``path`` setting.
    """

    name: str
    facts: Facts
    locations: tuple[Path, ...]
    missing: tuple[Path, ...]
    state: Literal["built in", "present", "incomplete", "absent", "own"]


@dataclass(frozen=True)
class Fetched:
    """What ``foolscope data get`` did: the files it downloaded, and those that were there already."""

    name: str
    downloaded: tuple[Path, ...]
    already_there: tuple[Path, ...]


@dataclass(frozen=True)
class FileCheck:
    """One official file compared with its published digest.

    Args:
        path: the file.
        state: ``"repacked"`` means official contents in another compressed wrapping.
        algorithm: which digest.
        got: the digest of the file on disk (of its contents, if repacked).
        expected: the published digest.
    """

    path: Path
    state: Literal["official", "repacked", "different"]
    algorithm: str
    got: str
    expected: str


@dataclass(frozen=True)
class SplitCheck:
    """What reading one split found.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``, as distributed; where no test set
            is distributed, as carved.
        count: number of images.
        image_shape: channel, height, width.
        pixel_range: smallest and largest value, in [0, 255].
        label_range: smallest and largest label.
        smallest_class: images in the rarest class.
        largest_class: images in the most frequent class.
    """

    split: str
    count: int
    image_shape: tuple[int, int, int]
    pixel_range: tuple[int, int]
    label_range: tuple[int, int]
    smallest_class: int
    largest_class: int


@dataclass(frozen=True)
class Verification:
    """The answer of ``foolscope data verify``.

    Args:
        name: the data set.
        verdict: one phrase; ``"readable"`` where no digests are published.
        classes: the names of the classes; empty if unreadable.
        splits: what was read.
        files: the comparison with the published digests.
        problem: why it cannot be read, in one line.
    """

    name: str
    verdict: Literal["official bits", "readable, but not the official bits", "readable", "unreadable"]
    classes: tuple[str, ...]
    splits: tuple[SplitCheck, ...]
    files: tuple[FileCheck, ...]
    problem: str | None


def source_status(name: str, source: DataSource, root: Path) -> DatasetStatus:
    """Say whether the files of a data set are there, without reading them."""
    locations = tuple(_location(file, root) for file in source.files)
    missing = tuple(root / file.path for file in source.files if not file.present(root))
    state: Literal["built in", "present", "incomplete", "absent", "own"]
    if not source.files:
        state = "own" if source.own_files else "built in"
    elif not missing:
        state = "present"
    else:
        state = "absent" if len(missing) == len(source.files) else "incomplete"
    return DatasetStatus(name, source.facts, locations, missing, state)


def _location(file: DistributedFile, root: Path) -> Path:
    """Return where the file is: unpacked if all its contents are, for readers prefer those."""
    unpacked = [root / inside.path for inside in file.contents]
    if not all(path.is_file() for path in unpacked):
        return root / file.path
    return unpacked[0] if len(unpacked) == 1 else unpacked[0].parent


def fetch_source(
    name: str, source: DataSource, root: Path, progress: DownloadCallback | None = None
) -> Fetched:
    """Download the missing files of a data set; an archive is unpacked beside itself.

    Raises:
        DataError: a download failed, or there is nothing to download.
    """
    if source.own_files:
        raise DataError(
            f"{name} reads your own files; there is nothing to download: set path to where they are"
        )
    downloaded, already_there = [], []
    for file in source.files:
        if file.present(root):
            already_there.append(_location(file, root))
            continue
        target = root / file.path
        download(file.mirrors, target, size=file.size, sha256=file.sha256, progress=progress)
        if len(file.contents) > 1:
            _unpack(target, file, root)
        downloaded.append(_location(file, root))
    return Fetched(name, tuple(downloaded), tuple(already_there))


def _unpack(archive: Path, file: DistributedFile, root: Path) -> None:
    """Write the known contents of a verified archive, and nothing else that may be in it."""
    known = {inside.path for inside in file.contents}
    try:
        with tarfile.open(archive, "r:gz") as opened:
            for member in opened:
                stream = opened.extractfile(member) if member.name in known and member.isreg() else None
                if stream is not None:
                    with whole_file(root / member.name) as target:
                        target.write(stream.read())
    except StoreError as error:
        raise DataError(
            f"cannot unpack {archive} into {root}: {error.__cause__ or error}; free some space or choose "
            "another folder with --data-dir, and run the same command again"
        ) from error


def verify_source(name: str, source: DataSource, settings: DatasetSettings, root: Path) -> Verification:
    """Read a data set as distributed and compare its files with the published digests."""
    files = tuple(check for file in source.files for check in _check_file(file, root))
    try:
        parts = source.read(settings, root)
    except DataError as error:
        return Verification(name, "unreadable", (), (), files, str(error))
    named = (("train", parts.train), ("validation", parts.validation), ("test", parts.test))
    splits = tuple(_check_split(split, part, len(parts.classes)) for split, part in named if part is not None)
    verdict: Literal["official bits", "readable, but not the official bits", "readable"] = "readable"
    if files:
        official = all(check.state != "different" for check in files)
        verdict = "official bits" if official else "readable, but not the official bits"
    wrong = [
        check for check in splits if check.label_range[0] < 0 or check.label_range[1] >= len(parts.classes)
    ]
    if wrong:
        problem = (
            f"{name}: {wrong[0].split} labels {wrong[0].label_range} exceed the {len(parts.classes)} classes"
        )
        return Verification(name, "unreadable", parts.classes, splits, files, problem)
    return Verification(name, verdict, parts.classes, splits, files, None)


def _check_split(split: str, part: LabeledImages, classes: int) -> SplitCheck:
    if len(part) == 0:
        return SplitCheck(split, 0, _shape(part), (0, 0), (0, 0), 0, 0)
    counts = part.labels.clamp(min=0).bincount(minlength=classes)
    return SplitCheck(
        split,
        len(part),
        _shape(part),
        (int(part.images.min()), int(part.images.max())),
        (int(part.labels.min()), int(part.labels.max())),
        int(counts.min()),
        int(counts.max()),
    )


def _shape(part: LabeledImages) -> tuple[int, int, int]:
    channel, height, width = part.images.shape[1:]
    return channel, height, width


def _check_file(file: DistributedFile, root: Path) -> list[FileCheck]:
    """Compare the unpacked files, which readers prefer, or else the packed one, with their digests."""
    unpacked = [(root / inside.path, inside) for inside in file.contents]
    checks = []
    for path, inside in unpacked:
        if path.is_file():
            got = file_digest(path, inside.algorithm)
            state: Literal["official", "different"] = "official" if got == inside.digest else "different"
            checks.append(FileCheck(path, state, inside.algorithm, got, inside.digest))
    packed = root / file.path
    if checks or not packed.is_file():
        return checks
    got = file_digest(packed)
    if got == file.sha256:
        return [FileCheck(packed, "official", "sha256", got, file.sha256)]
    if packed.suffixes == [".gz"]:
        inside = file.contents[0]
        content = _gunzipped_digest(packed, inside.algorithm)
        if content == inside.digest:
            return [FileCheck(packed, "repacked", inside.algorithm, content, inside.digest)]
    return [FileCheck(packed, "different", "sha256", got, file.sha256)]


def _gunzipped_digest(path: Path, algorithm: str) -> str | None:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with gzip.open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except (OSError, EOFError, zlib.error):
        return None
    return digest.hexdigest()
