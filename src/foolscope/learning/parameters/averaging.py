"""Averages of the weights along training: which share the new weights get after each step.

An averaging sees the step numbers (0 is the first), the number of steps in an epoch and in the training, and
returns a share for each step: a ← a + share · (w − a), with 0 for no change and 1 for a copy of the weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Integer
from pydantic import Field

from foolscope.core.settings import Settings

__all__ = [
    "AVERAGING",
    "EMA",
    "SWA",
    "AveragingEntry",
    "AveragingSettings",
    "NoAveraging",
    "averaging_shares",
]

Steps = Integer[np.ndarray, " step"]
Shares = Float64[np.ndarray, " step"]


class AveragingSettings(Settings):
    """Settings of an averaging; each derives its own and adds a literal ``name``."""

    name: str


class NoAveraging(AveragingSettings):
    """The weights as they are."""

    name: Literal["none"] = "none"


class EMA(AveragingSettings):
    """Exponential moving average after every step: a ← d a + (1 − d) w.

    The running statistics of batch normalization are averaged, too. Polyak and Juditsky 1992; the warm-up of
    the decay to min(d, (1 + t) / (10 + t)) after t steps is that of timm and TensorFlow.
    """

    name: Literal["ema"] = "ema"
    averaging_decay: float = Field(
        0.999, ge=0.0, lt=1.0, description="share of the average that a step keeps"
    )
    averaging_warmup: bool = Field(
        True, description="start with a smaller decay, (1 + t) / (10 + t) after t steps"
    )


class SWA(AveragingSettings):
    """Stochastic weight averaging: the mean of the weights at the ends of the last epochs.

    The statistics of batch normalization are computed anew on the training images before every evaluation;
    before averaging begins, the weights count as they are. Izmailov et al. 2018, arXiv:1803.05407, algorithm
    1, with a cycle of one epoch.
    """

    name: Literal["swa"] = "swa"
    averaging_start: float = Field(
        0.75, ge=0.0, lt=1.0, description="share of the epochs after which averaging begins"
    )


def _ema(settings: EMA, steps: Steps, per_epoch: int, total: int) -> Shares:
    decay = np.full(len(steps), settings.averaging_decay)
    if settings.averaging_warmup:
        decay = np.minimum(decay, (1.0 + steps) / (10.0 + steps))
    return np.where(steps == 0, 1.0, 1.0 - decay)


def _swa(settings: SWA, steps: Steps, per_epoch: int, total: int) -> Shares:
    epoch = steps // per_epoch  # from 0
    first = int(settings.averaging_start * (total // per_epoch))
    return np.where((steps + 1) % per_epoch == 0, 1.0 / np.maximum(1, epoch - first + 1), 0.0)


@dataclass(frozen=True)
class AveragingEntry:
    """A registered averaging.

    Args:
        settings: its settings.
        shares: of the new weights after each step; None where nothing is averaged.
        recomputes: whether running statistics are computed anew instead of averaged.
    """

    settings: type[AveragingSettings]
    shares: Callable[[Any, Steps, int, int], Shares] | None
    recomputes: bool = False


AVERAGING: dict[str, AveragingEntry] = {
    "none": AveragingEntry(NoAveraging, None),
    "ema": AveragingEntry(EMA, _ema),
    "swa": AveragingEntry(SWA, _swa, recomputes=True),
}


def averaging_shares(
    settings: AveragingSettings, steps: Steps, *, steps_per_epoch: int, epochs: int
) -> Shares:
    """Return the share of the new weights in the average after each of the given steps.

    Example:
        >>> averaging_shares(SWA(averaging_start=0.5), np.arange(8), steps_per_epoch=2, epochs=4)
        array([0. , 1. , 0. , 1. , 0. , 1. , 0. , 0.5])
    """
    shares = AVERAGING[settings.name].shares
    if shares is None:
        return np.zeros(len(steps))
    return shares(settings, steps, steps_per_epoch, steps_per_epoch * epochs)
