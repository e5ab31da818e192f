import gzip
import hashlib
from dataclasses import replace

import pytest

from foolscope.core.errors import DataError
from foolscope.data import DATASETS, Content, DistributedFile, load, verify
from foolscope.data.catalog import fetch_source, source_status, verify_source


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def official(source, files):
    """The same data set, were these its official files: archive or .gz by path, with the files inside."""
    return replace(
        source,
        files=tuple(
            DistributedFile(
                path=path,
                size=len(packed),
                sha256=sha256(packed),
                mirrors=("http://127.0.0.1:1/x",),
                contents=tuple(Content(name, "sha256", sha256(content)) for name, content in inside.items()),
            )
            for path, (packed, inside) in files.items()
        ),
    )


@pytest.fixture
def mnist(tmp_path, writers):
    """Tiny MNIST, unpacked in one folder, and its source."""
    settings = writers["mnist"](tmp_path)
    files = {}
    for path in sorted((tmp_path / "MNIST" / "raw").iterdir()):
        content = path.read_bytes()
        name = f"MNIST/raw/{path.name}"
        files[f"{name}.gz"] = (gzip.compress(content, mtime=1), {name: content})
    return settings, official(DATASETS["mnist"], files), files, tmp_path


def pack(root, files, mtime):
    for path, (_, inside) in files.items():
        for name, content in inside.items():
            (root / name).unlink(missing_ok=True)
            (root / path).write_bytes(gzip.compress(content, mtime=mtime))


@pytest.mark.parametrize(("mtime", "state"), [(None, "official"), (1, "official"), (2, "repacked")])
def test_verify_knows_official_bits_packed_unpacked_and_repacked(mnist, mtime, state):
    settings, source, files, root = mnist
    if mtime is not None:
        pack(root, files, mtime)
    result = verify_source("mnist", source, settings, root)
    assert result.verdict == "official bits"
    assert [check.state for check in result.files] == [state] * 4
    assert all(check.got == check.expected for check in result.files)


def test_verify_finds_one_changed_pixel(mnist):
    settings, source, _, root = mnist
    path = root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    result = verify_source("mnist", source, settings, root)
    assert result.verdict == "readable, but not the official bits"
    assert {check.path.name for check in result.files if check.state == "different"} == {path.name}


def test_verify_says_why_it_cannot_read(mnist):
    settings, source, _, root = mnist
    path = root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    result = verify_source("mnist", source, settings, root)
    assert result.verdict == "unreadable"
    assert "19 of 20 bytes" in result.problem
    path.unlink()
    assert "there is no" in verify_source("mnist", source, settings, root).problem


def test_verify_counts_by_hand(mnist):
    settings, source, _, root = mnist
    result = verify_source("mnist", source, settings, root)
    train, test = result.splits
    assert (train.count, test.count) == (40, 20)
    assert train.image_shape == (1, 28, 28)
    assert train.label_range == (0, 9)
    assert (train.smallest_class, train.largest_class) == (4, 4)
    assert train.pixel_range == (0, 255)


def test_verify_labels_without_a_class(tmp_path, writers, python2_pickle, pixels):
    writers["cifar10"](tmp_path)
    batch = {b"data": pixels(0, 20, 3072), b"labels": [12] * 20}
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(python2_pickle(batch))
    result = verify("cifar10", tmp_path)
    assert result.verdict == "unreadable"
    assert "test labels (12, 12)" in result.problem


def test_status_of_some_files(mnist):
    _, source, files, root = mnist
    assert source_status("mnist", source, root).state == "present"
    pack(root, files, 1)
    assert source_status("mnist", source, root).state == "present"
    gone = root / next(iter(files))
    gone.unlink()
    status = source_status("mnist", source, root)
    assert status.state == "incomplete"
    assert status.missing == (gone,)


@pytest.fixture
def served(monkeypatch):
    """Serve these bytes in place of the network, file by file."""

    def serve(contents):
        def download(mirrors, target, **_):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(contents[target.name])

        monkeypatch.setattr("foolscope.data.catalog.download", download)

    return serve


def test_get_fetches_only_what_is_missing(mnist, served):
    settings, source, files, root = mnist
    first, *others = files
    for name in files[first][1]:
        (root / name).unlink()
    before = {name: (root / name).read_bytes() for path in others for name in files[path][1]}
    served({first.rsplit("/", 1)[1]: files[first][0]})
    result = fetch_source("mnist", source, root)
    assert result.downloaded == (root / first,)
    assert len(result.already_there) == 3
    assert before == {name: (root / name).read_bytes() for name in before}
    assert verify_source("mnist", source, settings, root).verdict == "official bits"


def test_get_unpacks_the_known_members_and_nothing_else(tmp_path, cifar10_files, write_tar, served):
    root = tmp_path / "root"
    inside = {f"cifar-10-batches-py/{name}": content for name, content in cifar10_files(20).items()}
    archive = tmp_path / "cifar-10-python.tar.gz"
    write_tar(archive, {**inside, "../outside": b"x", "cifar-10-batches-py/readme.html": b"x"})
    source = official(DATASETS["cifar10"], {archive.name: (archive.read_bytes(), inside)})
    served({archive.name: archive.read_bytes()})
    result = fetch_source("cifar10", source, root)
    assert result.downloaded == (root / "cifar-10-batches-py",)
    assert {path.name for path in (root / "cifar-10-batches-py").iterdir()} == set(cifar10_files(20))
    assert not (tmp_path / "outside").exists()
    settings = source.settings(name="cifar10")
    assert verify_source("cifar10", source, settings, root).verdict == "official bits"
    assert len(load(settings, root).test) == 20


def test_get_without_a_network_is_one_line(mnist, tmp_path, monkeypatch):
    _, source, _, _ = mnist
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DataError, match=r"could not download .*put it into") as caught:
        fetch_source("mnist", source, tmp_path / "elsewhere")
    assert "\n" not in str(caught.value)
