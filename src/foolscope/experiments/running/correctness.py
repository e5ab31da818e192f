"""Which images a stored trial classified correctly: one bit per image, in a file beside its weights.

Metrics such as an accuracy speak of the images that were there. What is expected on new images needs every
image's result, and costs 1.25 kB for 10,000 images.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool

from foolscope.core.errors import StoreError
from foolscope.learning.checkpoints import load_tensors, save_tensors

__all__ = ["Split", "read_correct", "write_correct"]

Split = Literal["validation", "test"]

_FILE = "correct.safetensors"


def write_correct(folder: Path, identity: str, correct: Mapping[str, Bool[np.ndarray, " image"]]) -> None:
    """Write which images of each split a trial classified correctly, as packed bits.

    Args:
        folder: of the trial; it is made where it does not exist.
        identity: of the trial.
        correct: split to one truth value per image; nothing is written where it is empty.

    Raises:
        StoreError: no space or no permission.
    """
    if not correct:
        return
    packed = {split: torch.from_numpy(np.packbits(images)) for split, images in correct.items()}
    counts = {split: len(images) for split, images in correct.items()}
    save_tensors(folder / _FILE, packed, {"identity": identity, "images": counts})


def read_correct(folder: Path, identity: str, split: Split) -> Bool[np.ndarray, " image"] | None:
    """Read which images of a split a trial classified correctly.

    Returns:
        One truth value per image, in the order of the split; ``None`` where nothing was kept.

    Raises:
        StoreError: the file is damaged or belongs to another trial.
    """
    path = folder / _FILE
    if not path.exists():
        return None
    packed, document = load_tensors(path, torch.device("cpu"))
    try:
        owner, counts = document["identity"], dict(document["images"])
        if owner != identity:
            raise ValueError(f"it belongs to trial {owner}")
        if split not in counts:
            return None
        count, found = int(counts[split]), packed[split].numpy()
        if len(found) != -(-count // 8):
            raise ValueError(f"{len(found)} bytes cannot be the bits of {count} images")
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} is damaged ({error}); delete the trial's folder and train it again"
        ) from error
    bits: Bool[np.ndarray, " image"] = np.unpackbits(found, count=count).astype(bool)
    return bits
