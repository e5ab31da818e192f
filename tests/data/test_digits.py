from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits

import foolscope.data
from foolscope.data import Dataset, DigitsSettings, LabeledImages, Parts, divide, load, source
from foolscope.data.splits import carve_test


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


def test_the_packaged_file_is_scikit_learns_copy_number_by_number():
    theirs = load_digits()
    with np.load(Path(foolscope.data.__file__).with_name("digits.npz"), allow_pickle=False) as ours:
        assert sorted(ours) == ["images", "labels"]
        assert ours["images"].dtype == ours["labels"].dtype == np.uint8
        assert np.array_equal(ours["images"], theirs.images)
        assert np.array_equal(ours["labels"], theirs.target)


def test_the_fingerprint_is_that_of_scikit_learns_copy():
    """Stored trials are found by it."""
    theirs = load_digits()
    everything = LabeledImages(
        torch.from_numpy(np.rint(theirs.images * (255 / 16)).astype(np.uint8)).unsqueeze(1),
        torch.from_numpy(theirs.target.astype(np.int64)),
    )
    for settings in (DigitsSettings(), DigitsSettings(test_fraction=0.3, split_seed=2, limit=50)):
        train, test = carve_test(everything, settings.test_fraction, settings.split_seed)
        parts = divide(Parts(tuple("0123456789"), train, None, test), settings)
        expected = Dataset.build("digits", parts.classes, parts.train, parts.validation, parts.test)
        assert load(settings).fingerprint == expected.fingerprint


def test_the_packaged_file_says_whose_it_is():
    said = Path(foolscope.data.__file__).with_name("digits.LICENSE.md").read_text(encoding="utf-8")
    assert "https://doi.org/10.24432/C50P49" in said
    assert "https://creativecommons.org/licenses/by/4.0/" in said


def test_fractions_can_be_chosen():
    data = load(DigitsSettings(test_fraction=0.5, validation="none"))
    assert (len(data.train), data.validation, len(data.test)) == (1797 - 898, None, 898)
