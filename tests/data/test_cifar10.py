import pytest
import torch

from foolscope.data import Cifar10Settings, data_root, load, source, verify

pytestmark = pytest.mark.full_data


@pytest.fixture(scope="module")
def full():
    if not (data_root() / "cifar-10-batches-py" / "batches.meta").is_file():
        pytest.skip(f"CIFAR-10 is not under {data_root()}")
    return load(Cifar10Settings())


def test_counts_and_classes(full):
    assert full.train.labels.bincount().tolist() == [4500] * 10
    assert full.validation.labels.bincount().tolist() == [500] * 10
    assert full.test.labels.bincount().tolist() == [1000] * 10
    assert full.image_shape == source("cifar10").facts.image_shape
    assert full.classes[0] == "airplane"
    assert full.classes[9] == "truck"


def test_channel_means_are_the_published_ones(full):
    """Means 0.4914, 0.4822, 0.4465 of the training set; JPEG moves them by less than 0.002."""
    means = torch.stack([full.train.images[:, channel].double().mean() / 255 for channel in range(3)])
    assert torch.allclose(means, torch.tensor([0.4914, 0.4822, 0.4465], dtype=torch.float64), atol=0.002)


def test_halved_test_set(full):
    data = load(Cifar10Settings(validation="test-half"))
    assert (len(data.train), len(data.validation), len(data.test)) == (50_000, 5_000, 5_000)


def test_verify_tells_official_bits_from_others(full):
    result = verify("cifar10")
    assert result.problem is None
    assert result.verdict in ("official bits", "readable, but not the official bits")
    assert len(result.files) == 7
    assert result.splits[0].count == 50_000
