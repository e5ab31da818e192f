"""Decoded images that are kept: the same bits as decoded, never out of date, never half a file."""

import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from foolscope.core.errors import DataError
from foolscope.data import Dataset, FolderSettings, decoded, divide, image_files, load, source
from foolscope.data.decoded import DECODED_FOLDER, _mapped

SETTINGS = FolderSettings(path="pets", height=6, width=5)


@pytest.fixture
def root(tmp_path):
    """A data folder with JPEGs of two classes of unequal size."""
    generator = np.random.default_rng(0)
    for label, count in (("cat", 14), ("dog", 6)):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(0, 256, (9 + index, 7, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / label / f"{index:02}.jpg")
    return tmp_path


@pytest.fixture
def decodings(monkeypatch):
    """The files that were decoded."""
    paths = []
    decode = image_files._decode

    def counted(content, path, decoding):
        paths.append(path)
        return decode(content, path, decoding)

    monkeypatch.setattr(image_files, "_decode", counted)
    return paths


def kept(root):
    return sorted((root / DECODED_FOLDER).glob("*.pixels"))


def decoded_anew(root, settings=SETTINGS):
    """The data set as it is without anything kept: every image in memory, then the splits."""
    parts = divide(source("folder").read(settings, root), settings)
    return Dataset.build("folder", parts.classes, parts.train, parts.validation, parts.test)


def assert_same(one, other):
    assert one.fingerprint == other.fingerprint
    assert one.classes == other.classes
    for name in ("train", "validation", "test"):
        assert torch.equal(one.split(name).images, other.split(name).images)
        assert torch.equal(one.split(name).labels, other.split(name).labels)


def test_kept_images_are_those_that_pillow_decodes(root):
    for _ in range(2):
        images = {row.numpy().tobytes() for part in ("train", "validation", "test")
                  for row in load(SETTINGS, root).split(part).images}  # fmt: skip
        expected = set()
        for path in (root / "pets").rglob("*.jpg"):
            image = Image.open(path).resize((5, 6), Image.Resampling.BILINEAR)
            expected.add(np.asarray(image).transpose(2, 0, 1).tobytes())
        assert images == expected


@pytest.mark.parametrize(
    "changes",
    [{}, {"color": "grayscale"}, {"limit": 3}, {"validation": "test-half"}, {"split_seed": 4}, {"height": 9}],
)
def test_kept_images_are_bit_by_bit_those_that_are_decoded(root, decodings, changes):
    settings = SETTINGS.model_copy(update=changes)
    expected = decoded_anew(root, settings)
    assert_same(load(settings, root), expected)
    decodings.clear()
    assert_same(load(settings, root), expected)
    assert decodings == []


def test_a_folder_with_its_own_splits(root, decodings):
    shutil.copytree(root / "pets", root / "own" / "train")
    shutil.copytree(root / "pets", root / "own" / "test")
    settings = SETTINGS.model_copy(update={"path": "own"})
    expected = decoded_anew(root, settings)
    for _ in range(2):
        assert_same(load(settings, root), expected)
    assert len(decodings) == 80


def test_only_images_that_are_used_are_decoded(root, decodings):
    data = load(SETTINGS.model_copy(update={"limit": 2}), root)
    assert len(decodings) == sum(len(part) for part in (data.train, data.validation, data.test)) == 8


def test_a_file_that_is_changed_in_place_is_decoded_again_even_if_size_and_times_are_the_same(
    root, decodings
):
    load(SETTINGS, root)
    path = root / "pets" / "dog" / "03.jpg"
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-20] ^= 0xFF  # inside the compressed pixels
    with path.open("r+b") as stream:
        stream.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    decodings.clear()
    data = load(SETTINGS, root)
    assert len(decodings) == 20
    assert_same(data, decoded_anew(root))
    assert len(kept(root)) == 2


@pytest.mark.parametrize("damage", ["a pixel", "the last pixel", "the fingerprint", "cut", "longer", "empty"])
def test_what_is_kept_damaged_is_decoded_again_and_mended(root, decodings, damage):
    expected = decoded_anew(root)
    load(SETTINGS, root)
    (path,) = kept(root)
    content = bytearray(path.read_bytes())
    if damage in ("cut", "longer", "empty"):
        content = {"cut": content[:-1], "longer": content + b"0", "empty": b""}[damage]
    else:
        content[{"a pixel": 7, "the last pixel": -65, "the fingerprint": -1}[damage]] ^= 1
    path.write_bytes(content)
    decodings.clear()
    assert_same(load(SETTINGS, root), expected)
    assert len(decodings) == 20
    assert_same(load(SETTINGS, root), expected)
    assert len(decodings) == 20


def test_where_nothing_can_be_written_it_works_without(root, decodings):
    (root / DECODED_FOLDER).write_text("a file in the way")
    expected = decoded_anew(root)
    told = []
    for _ in range(2):
        assert_same(load(SETTINGS, root, progress=lambda *event: told.append(event)), expected)
    assert len(decodings) == 60
    assert ("decoded, but cannot be kept", 20, 20) in told


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="for users that permissions bind")
def test_a_folder_without_permission_to_write(root):
    expected = decoded_anew(root)
    root.chmod(0o500)
    try:
        assert_same(load(SETTINGS, root), expected)
    finally:
        root.chmod(0o700)
    assert kept(root) == []


def test_most_of_the_free_space_is_not_taken(root, monkeypatch):
    size = 20 * 3 * 6 * 5
    expected = decoded_anew(root)
    for free, files in ((2 * size - 1, 0), (2 * size, 1)):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: SimpleNamespace(free=free))
        assert_same(load(SETTINGS, root), expected)
        assert len(list((root / DECODED_FOLDER).iterdir())) == files


def test_a_full_disk_in_the_middle_is_no_half_file(root, monkeypatch):
    expected = decoded_anew(root)
    decode = image_files.decode_images

    def full(paths, decoding, write, progress):
        def failing(position, pixels):
            if position == 9:
                raise OSError(28, "No space left on device")
            write(position, pixels)

        return decode(paths, decoding, failing, progress)

    calls = iter([full])
    monkeypatch.setattr(decoded, "decode_images", lambda *arguments: next(calls, decode)(*arguments))
    assert_same(load(SETTINGS, root), expected)
    assert list((root / DECODED_FOLDER).iterdir()) == []


_KILLED = """
import os, signal, sys
from pathlib import Path
from foolscope.data import FolderSettings, decoded, load
from foolscope.data.image_files import decode_images

def until_killed(paths, decoding, write, progress):
    def write_some(position, pixels):
        write(position, pixels)
        if position == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
    return decode_images(paths, decoding, write_some, progress)

decoded.decode_images = until_killed
load(FolderSettings(path="pets", height=6, width=5), Path(sys.argv[1]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a signal that cannot be caught")
@pytest.mark.parametrize("position", [0, 19])
def test_a_process_killed_while_writing_leaves_no_half_file(root, position):
    command = [sys.executable, "-c", _KILLED, str(root), str(position)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert kept(root) == []
    (partial,) = (root / DECODED_FOLDER).iterdir()
    assert_same(load(SETTINGS, root), decoded_anew(root))
    hours_ago = time.time() - 2 * 3600
    os.utime(partial, (hours_ago, hours_ago))
    load(SETTINGS, root)
    assert list((root / DECODED_FOLDER).iterdir()) == kept(root)


def test_several_processes_at_once(root):
    code = (
        "import sys; from pathlib import Path; from foolscope.data import FolderSettings, load\n"
        "sys.stdin.read()\n"
        "print(load(FolderSettings(path='pets', height=6, width=5), Path(sys.argv[1])).fingerprint)"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([sys.executable, "-c", code, str(root)], **pipes) for _ in range(3)]
    answers = [process.communicate()[0].strip() for process in processes]
    assert answers == [decoded_anew(root).fingerprint] * 3
    assert list((root / DECODED_FOLDER).iterdir()) == kept(root)
    assert len(kept(root)) == 1


def test_splits_are_views_of_one_map(root):
    load(SETTINGS, root)
    data = load(SETTINGS, root)
    storages = [part.images.untyped_storage() for part in (data.train, data.validation, data.test)]
    assert len({storage.data_ptr() for storage in storages}) == 1
    assert storages[0].nbytes() == 20 * 3 * 6 * 5


def test_what_is_kept_may_be_deleted_and_overwritten_in_memory(root, decodings):
    expected = decoded_anew(root)
    load(SETTINGS, root)
    data = load(SETTINGS, root)
    shutil.rmtree(root / DECODED_FOLDER)
    assert_same(data, expected)
    load(SETTINGS, root)
    again = load(SETTINGS, root)
    again.train.images.zero_()
    decodings.clear()
    assert_same(load(SETTINGS, root), expected)
    assert decodings == []


def test_where_files_lie_and_their_names_do_not_matter(root, decodings):
    load(SETTINGS, root)
    (root / "pets").rename(root / "animals")
    (root / "animals" / "cat" / "13.jpg").rename(root / "animals" / "cat" / "14.jpeg")
    decodings.clear()
    load(SETTINGS.model_copy(update={"path": "animals"}), root)
    assert decodings == []


def test_everything_that_the_pixels_follow_from_is_another_file(root, monkeypatch):
    variants = [
        {"height": 7},
        {"color": "grayscale"},
        {"split_seed": 1},
        {"limit": 3},
        {"validation": "official"},
    ]
    for count, changes in enumerate([{}, *variants], start=1):
        load(SETTINGS.model_copy(update=changes), root)
        assert len(kept(root)) == count
    (root / "pets" / "cat").rename(root / "pets" / "ant")
    load(SETTINGS, root)
    assert len(kept(root)) == 7
    monkeypatch.setattr("PIL.__version__", "0.1")
    load(SETTINGS, root)
    assert len(kept(root)) == 8
    monkeypatch.setattr(image_files, "_DECODING_VERSION", 0)
    load(SETTINGS, root)
    assert len(kept(root)) == 9


def test_a_file_that_changes_while_it_is_read(root, monkeypatch):
    digest = decoded.digest_files

    def then_changed(paths, progress):
        found = digest(paths, progress)
        shutil.copy(paths[0], paths[1])
        return found

    monkeypatch.setattr(decoded, "digest_files", then_changed)
    with pytest.raises(DataError, match=r"\.jpg has changed while it was read; run the same command again"):
        load(SETTINGS, root)
    assert list((root / DECODED_FOLDER).iterdir()) == []


def test_what_nobody_reads_for_a_month_is_deleted_and_reading_counts(root):
    load(SETTINGS, root)
    load(SETTINGS.model_copy(update={"height": 7}), root)
    other = root / DECODED_FOLDER / "notes.txt"
    other.write_text("mine")
    days = 24 * 3600
    for path in (*kept(root), other):
        os.utime(path, (time.time() - 29 * days,) * 2)
    load(SETTINGS, root)
    assert len(kept(root)) == 2
    assert sum(time.time() - path.stat().st_mtime < days for path in kept(root)) == 1
    for path in kept(root):
        os.utime(path, (path.stat().st_mtime - 2 * days,) * 2)
    load(SETTINGS, root)
    assert len(kept(root)) == 1
    assert other.exists()


def test_progress_counts_every_image_once(root):
    told = []
    load(SETTINGS, root, progress=lambda *event: told.append(event))
    assert told[0] == ("checked", 20, 20)
    assert told[1:] == [("decoded", done, 20) for done in range(1, 21)]
    told.clear()
    load(SETTINGS, root, progress=lambda *event: told.append(event))
    assert told == [("checked", 20, 20)]


def test_an_image_that_cannot_be_read_is_named_and_nothing_is_kept(root):
    path = root / "pets" / "cat" / "05.jpg"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=f"cannot read the image {path}: .*; repair the file or remove it"):
        load(SETTINGS, root)
    assert list((root / DECODED_FOLDER).iterdir()) == []
    path.unlink()
    path.symlink_to(root / "nowhere")
    with pytest.raises(DataError, match=f"cannot read the image {path}: No such file"):
        load(SETTINGS, root)


@pytest.mark.skipif(not hasattr(os, "sysconf") or sys.platform != "linux", reason="asks Linux for its memory")
def test_a_file_larger_than_the_memory_is_mapped(tmp_path):
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    path = tmp_path / "sparse"
    try:
        with path.open("wb") as stream:
            stream.truncate(4 * memory)
            stream.seek(4 * memory - 1)
            stream.write(b"\x07")
    except OSError:
        pytest.skip("the file system has no such files")
    images = _mapped(path, (4 * memory // 4096, 1, 64, 64))
    assert images[-1, 0, -1].tolist() == [0] * 63 + [7]
