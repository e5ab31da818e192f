import gzip
import os
import pickle

import numpy as np
import pytest
import torch

from foolscope.core.errors import DataError
from foolscope.data import Cifar10Settings, Cifar100Settings, data_root, load, source, verify
from foolscope.data.cifar import labeled_batches

FOLDER, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"


def read(root):
    return source("cifar10").read(Cifar10Settings(), root)


@pytest.fixture
def folder(writers, tmp_path):
    writers["cifar10"](tmp_path)
    return tmp_path / FOLDER


@pytest.fixture
def archive(tmp_path, cifar10_files, write_tar):
    write_tar(
        tmp_path / ARCHIVE, {f"{FOLDER}/{name}": content for name, content in cifar10_files(20).items()}
    )
    return tmp_path / ARCHIVE


def test_batches_in_order_and_planes_in_order(folder, tmp_path, pixels):
    parts = read(tmp_path)
    expected = np.concatenate([pixels(seed, 20, 3072) for seed in range(5)])
    assert np.array_equal(parts.train.images.flatten(1).numpy(), expected)
    # Row 1 of the green plane follows the red plane of 1,024 bytes and row 0 of 32.
    assert np.array_equal(parts.train.images[7, 1, 1].numpy(), expected[7, 1024 + 32 : 1024 + 64])
    assert np.array_equal(parts.test.images.flatten(1).numpy(), pixels(5, 20, 3072))
    assert parts.classes[3] == "class 3"


def test_archive_and_folder_are_the_same_data(writers, tmp_path, archive):
    packed = load(Cifar10Settings(), tmp_path)
    unpacked_root = tmp_path / "other"
    writers["cifar10"](unpacked_root)
    assert packed.fingerprint == load(Cifar10Settings(), unpacked_root).fingerprint


def test_incomplete_folder_falls_back_to_the_archive(folder, archive, tmp_path):
    whole = load(Cifar10Settings(), tmp_path).fingerprint
    (folder / "data_batch_3").unlink()
    assert load(Cifar10Settings(), tmp_path).fingerprint == whole


def test_missing_batch_is_named(folder, tmp_path):
    (folder / "data_batch_3").unlink()
    with pytest.raises(DataError, match=r"data_batch_3 .*foolscope data get cifar10.*--data-dir"):
        load(Cifar10Settings(), tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 1000, -1])
def test_truncated_batch(folder, tmp_path, keep):
    path = folder / "data_batch_2"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="data_batch_2 is not a usable pickle"):
        load(Cifar10Settings(), tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 20_000, -9])
def test_truncated_archive(archive, tmp_path, keep):
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"damaged or cut short.*delete it and run"):
        load(Cifar10Settings(), tmp_path)


def test_corrupt_archive(archive, tmp_path):
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load(Cifar10Settings(), tmp_path)
    assert "\n" not in str(caught.value)
    archive.write_bytes(gzip.compress(b"not a tar" * 100))
    with pytest.raises(DataError, match="damaged"):
        load(Cifar10Settings(), tmp_path)


def test_archive_without_a_member(tmp_path, cifar10_files, write_tar):
    files = cifar10_files(20)
    del files["test_batch"]
    write_tar(tmp_path / ARCHIVE, {f"{FOLDER}/{name}": content for name, content in files.items()})
    with pytest.raises(DataError, match="test_batch is not in it"):
        load(Cifar10Settings(), tmp_path)


def test_hostile_batch_is_not_run(folder, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'mark'}",)

    (folder / "data_batch_1").write_bytes(pickle.dumps({b"data": Hostile()}, 2))
    with pytest.raises(DataError, match="not run"):
        load(Cifar10Settings(), tmp_path)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({}, "'data' must be uint8 of shape .*got NoneType"),
        ({b"data": np.zeros((2, 3072), np.float32), b"labels": [0, 0]}, "got float32"),
        ({b"data": np.zeros((2, 3073), np.uint8), b"labels": [0, 0]}, r"got uint8 \(2, 3073\)"),
        ({b"data": np.zeros((2, 3072), np.uint8)}, "'labels' must be 2 integers"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]}, "must be 2 integers"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, [1]]}, "uneven"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0.5, 1.0]}, "float64"),
    ],
)
def test_batches_of_the_wrong_kind(batch, message):
    with pytest.raises(DataError, match=message):
        labeled_batches([batch], b"labels", "toy")


def test_names_of_the_wrong_kind(folder, tmp_path, python2_pickle):
    for meta in ({}, {b"label_names": 3}, {b"label_names": [1]}):
        (folder / "batches.meta").write_bytes(python2_pickle(meta))
        with pytest.raises(DataError, match="'label_names' must be a list of names"):
            load(Cifar10Settings(), tmp_path)


def test_label_without_a_class(folder, tmp_path, python2_pickle, pixels):
    batch = {b"data": pixels(0, 20, 3072), b"labels": [10] * 20}
    (folder / "data_batch_1").write_bytes(python2_pickle(batch))
    with pytest.raises(DataError, match="labels must be in"):
        load(Cifar10Settings(), tmp_path)


@pytest.mark.parametrize(("labels", "classes"), [("fine", 100), ("coarse", 20)])
def test_fine_and_coarse_labels(writers, tmp_path, labels, classes, pixels):
    writers["cifar100"](tmp_path)
    parts = source("cifar100").read(Cifar100Settings(labels=labels), tmp_path)
    assert parts.classes == tuple(f"{labels} {index}" for index in range(classes))
    assert int(parts.train.labels.max()) == classes - 1
    assert parts.train.labels.tolist() == [index % 100 // (100 // classes) for index in range(400)]
    assert np.array_equal(parts.test.images.flatten(1).numpy(), pixels(1, 200, 3072))


def test_fine_and_coarse_are_different_data_sets(writers, tmp_path):
    writers["cifar100"](tmp_path)
    fine, coarse = (load(Cifar100Settings(labels=labels), tmp_path) for labels in ("fine", "coarse"))
    assert fine.fingerprint != coarse.fingerprint


@pytest.fixture(scope="module")
def full():
    if not (data_root() / "cifar-10-batches-py" / "batches.meta").is_file():
        pytest.skip(f"CIFAR-10 is not under {data_root()}")
    return load(Cifar10Settings())


@pytest.mark.full_data
def test_counts_and_classes(full):
    assert full.train.labels.bincount().tolist() == [4500] * 10
    assert full.validation.labels.bincount().tolist() == [500] * 10
    assert full.test.labels.bincount().tolist() == [1000] * 10
    assert full.image_shape == source("cifar10").facts.image_shape
    assert full.classes[0] == "airplane"
    assert full.classes[9] == "truck"


@pytest.mark.full_data
def test_channel_means_are_the_published_ones(full):
    """Means 0.4914, 0.4822, 0.4465 of the training set; JPEG moves them by less than 0.002."""
    means = torch.stack([full.train.images[:, channel].double().mean() / 255 for channel in range(3)])
    assert torch.allclose(means, torch.tensor([0.4914, 0.4822, 0.4465], dtype=torch.float64), atol=0.002)


@pytest.mark.full_data
def test_halved_test_set(full):
    data = load(Cifar10Settings(validation="test-half"))
    assert (len(data.train), len(data.validation), len(data.test)) == (50_000, 5_000, 5_000)


@pytest.mark.full_data
def test_verify_tells_official_bits_from_others(full):
    result = verify("cifar10")
    assert result.problem is None
    assert result.verdict in ("official bits", "readable, but not the official bits")
    assert len(result.files) == 7
    assert result.splits[0].count == 50_000
