"""Digits: 1,797 handwritten digits, 8×8 gray, which come with the package (see digits.LICENSE.md)."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field

from foolscope.data.dataset import LabeledImages
from foolscope.data.settings import DatasetSettings, UnsplitValidation
from foolscope.data.source import DataSource, Facts
from foolscope.data.splits import Parts, carve_test

__all__ = ["DIGITS", "DigitsSettings"]

_FILE = Path(__file__).with_suffix(".npz")
_BRIGHTEST = 16


class DigitsSettings(DatasetSettings):
    """The test part of "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998, UCI)."""

    name: Literal["digits"] = "digits"
    validation: UnsplitValidation = "stratified"
    validation_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="size of a stratified set, as a fraction of the training set"
    )
    test_fraction: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="fraction of all images in the test set, taken class by class, first",
    )


def _read(settings: DigitsSettings, root: Path) -> Parts[LabeledImages]:
    with np.load(_FILE, allow_pickle=False) as digits:
        counts, labels = digits["images"], digits["labels"]
    # Counts of dark pixels in 4×4 blocks, 0 to 16, become gray values 0 to 255.
    images = np.rint(counts * (255 / _BRIGHTEST)).astype(np.uint8)
    everything = LabeledImages(
        torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels.astype(np.int64))
    )
    train, test = carve_test(everything, settings.test_fraction, settings.split_seed)
    return Parts(tuple("0123456789"), train, None, test)


DIGITS = DataSource(
    settings=DigitsSettings,
    read=_read,
    facts=Facts("handwritten digits, in the package (Alpaydin & Kaynak 1998)", 10, (1, 8, 8), 1_797, 0),
)
