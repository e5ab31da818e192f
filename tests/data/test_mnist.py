import pytest

from foolscope.data import FashionMnistSettings, MnistSettings, data_root, load, verify


def test_classes_are_the_digits(writers, tmp_path):
    writers["mnist"](tmp_path)
    assert load(MnistSettings(), tmp_path).classes == tuple("0123456789")


@pytest.mark.full_data
def test_full_data_are_the_official_bits():
    if not (data_root() / "FashionMNIST" / "raw").is_dir():
        pytest.skip(f"Fashion-MNIST is not under {data_root()}")
    result = verify("fashion-mnist")
    assert result.verdict == "official bits"
    assert [check.count for check in result.splits] == [60_000, 10_000]
    assert all(check.smallest_class == check.largest_class for check in result.splits)
    data = load(FashionMnistSettings())
    assert data.image_shape == (1, 28, 28)
    # The published mean of the training images, 0.2860.
    assert abs(float(data.train.images.double().mean()) / 255 - 0.2860) < 0.001
    assert data.classes[int(data.test.labels[0])] == "Ankle boot"
