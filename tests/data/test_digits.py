import numpy as np
from sklearn.datasets import load_digits

from foolscope.data import DigitsSettings, load, source


def test_sizes_and_shares():
    data = load(DigitsSettings())
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1150, 288, 359]
    everything = np.bincount(load_digits().target)
    assert np.all(np.abs(data.test.labels.bincount().numpy() - 0.2 * everything) < 1)


def test_pixels_are_scikit_learns_scaled_to_bytes(tmp_path):
    parts = source("digits").read(DigitsSettings(), tmp_path)
    ours = np.concatenate([parts.train.images.numpy(), parts.test.images.numpy()]).reshape(-1, 64)
    theirs = load_digits().data
    assert sorted(map(tuple, np.rint(ours.astype(float) * 16 / 255))) == sorted(map(tuple, theirs))
    assert (ours.min(), ours.max()) == (0, 255)


def test_fractions_can_be_chosen():
    data = load(DigitsSettings(test_fraction=0.5, validation="none"))
    assert (len(data.train), data.validation, len(data.test)) == (1797 - 898, None, 898)
