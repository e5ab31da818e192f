"""The ways that benchmarks/augmentation.py times change the same images."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import augmentation
from augmentation_ways.cases import CASES

from foolscope.augmentation import AUGMENTATIONS

IMAGES = torch.randint(20, 230, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_ours_and_pillows_return_changed_minibatches(case):
    floats = IMAGES.float() / 255
    results = [case.ours()(floats)] + ([case.pillow(IMAGES)()] if case.image else [])
    for result in results:
        assert (result.shape, result.dtype) == (floats.shape, torch.float32)
        assert 0 <= result.min() <= result.max() <= 1
    assert any(not torch.equal(result, floats) for result in results)


def test_every_operation_is_measured():
    measured = {settings.name for case in CASES for settings in case.settings}
    twins = {"alternating-flip", "translate-y", "shear-y"}  # of operations that are measured
    assert measured == set(AUGMENTATIONS) - twins


def test_ratios_are_those_of_the_medians():
    found = {
        "ours": [1.0, 9.0, 2.0],
        "ours from bytes": [4.0, 4.0, 4.0],
        "kornia": [6.0] * 3,
        "Pillow": [2.0] * 3,
    }
    document = augmentation.as_json(CASES[0], 4, found)
    assert document["ratios"] == {"kornia": 3.0, "Pillow": 0.5}
    assert "3.0× " in augmentation.report([document])
    assert "0.5×*" in augmentation.report([document])
