"""Which training images an epoch visits, and in what order."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Int64
from torch import Tensor

from foolscope.core.randomness import torch_generator

__all__ = ["Sampling", "epoch_order"]

Sampling = Literal["uniform", "balanced"]


def epoch_order(
    labels: Int64[Tensor, " count"], sampling: Sampling, *, seeds: Sequence[int], epoch: int
) -> Int64[Tensor, "seed count"]:
    """Draw the images of an epoch for every seed; it depends on seed and epoch only.

    Args:
        labels: of the training images.
        sampling: "uniform" visits every image once; "balanced" draws as many with replacement, each class
            with the same probability and each image of a class too.
        seeds: of the trials.
        epoch: from 0.

    Returns:
        Positions in the training set, on the device of the labels.
    """
    generators = [torch_generator(seed, "batches", epoch) for seed in seeds]
    if sampling == "uniform":
        drawn = [torch.randperm(len(labels), generator=each) for each in generators]
    else:
        own = labels.cpu()
        chance = 1.0 / own.bincount()[own].double()
        drawn = [torch.multinomial(chance, len(own), replacement=True, generator=each) for each in generators]
    return torch.stack(drawn).to(labels.device)
