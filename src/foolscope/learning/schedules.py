"""Learning-rate schedules: functions from step to learning rate.

A schedule sees the base learning rate of the optimizer, the number of steps in an epoch and the number of
epochs, and returns a function from an array of step numbers (0 is the first) to an array of learning rates.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Integer
from pydantic import Field

from foolscope.core.settings import Settings

__all__ = [
    "SCHEDULES",
    "Constant",
    "Cosine",
    "Exponential",
    "Linear",
    "OneCycle",
    "ScheduleSettings",
    "Step",
    "Triangular",
    "learning_rates",
]

Steps = Integer[np.ndarray, " step"]
Rates = Float64[np.ndarray, " step"]


class ScheduleSettings(Settings):
    """Settings of a schedule; each schedule derives its own and adds a literal ``name``."""

    name: str
    warmup_epochs: float = Field(
        0.0, ge=0.0, description="epochs over which the rate rises linearly from zero"
    )


class Constant(ScheduleSettings):
    """The base learning rate throughout."""

    name: Literal["constant"] = "constant"


class Exponential(ScheduleSettings):
    """Multiplied by ``decay`` after every epoch: η · decay^epoch."""

    name: Literal["exponential"] = "exponential"
    decay: float = Field(0.9, gt=0.0, le=1.0, description="factor on the learning rate after every epoch")


class Step(ScheduleSettings):
    """Multiplied by ``factor`` after every ``step_epochs`` epochs."""

    name: Literal["step"] = "step"
    step_epochs: int = Field(10, ge=1, description="epochs between two drops of the learning rate")
    factor: float = Field(0.1, gt=0.0, le=1.0, description="factor on the learning rate at every drop")


class Triangular(ScheduleSettings):
    """Up and down in straight lines between ``minimum_learning_rate`` and the base rate.

    Smith 2017, *Cyclical learning rates*, arXiv:1506.01186, section 3.
    """

    name: Literal["triangular"] = "triangular"
    minimum_learning_rate: float = Field(1e-5, ge=0.0, description="where every cycle begins and ends")
    step_size: int = Field(500, ge=1, description="steps in half a cycle")


class Cosine(ScheduleSettings):
    """Half a cosine from the base rate to ``final_fraction`` of it.

    Loshchilov and Hutter 2017, *SGDR*, arXiv:1608.03983, section 3, without restarts.
    """

    name: Literal["cosine"] = "cosine"
    final_fraction: float = Field(0.0, ge=0.0, le=1.0, description="the last rate as a fraction of the first")


class Linear(ScheduleSettings):
    """In a straight line from the base rate to ``final_fraction`` of it, which would follow the last step."""

    name: Literal["linear"] = "linear"
    final_fraction: float = Field(0.0, ge=0.0, le=1.0, description="the last rate as a fraction of the first")


class OneCycle(ScheduleSettings):
    """Up from 1/25 of the base rate to the base rate, then down to 1/10,000 of the start, along cosines.

    Smith and Topin 2018, *Super-convergence*, arXiv:1708.07120, section 3; cosine legs as in fastai and
    PyTorch.
    """

    name: Literal["one-cycle"] = "one-cycle"
    peak_fraction: float = Field(
        0.3, gt=0.0, lt=1.0, description="fraction of the training at which the rate peaks"
    )


Schedule = Callable[[Any, float, Steps, int, int], Rates]


def _constant(settings: Constant, base: float, steps: Steps, per_epoch: int, total: int) -> Rates:
    return np.full(len(steps), base)


def _exponential(settings: Exponential, base: float, steps: Steps, per_epoch: int, total: int) -> Rates:
    return np.asarray(base * settings.decay ** (steps // per_epoch), dtype=np.float64)


def _step(settings: Step, base: float, steps: Steps, per_epoch: int, total: int) -> Rates:
    drops = steps // per_epoch // settings.step_epochs
    return np.asarray(base * settings.factor**drops, dtype=np.float64)


def _triangular(settings: Triangular, base: float, steps: Steps, per_epoch: int, total: int) -> Rates:
    position = (steps / settings.step_size) % 2.0
    height = 1.0 - np.abs(position - 1.0)
    return np.asarray(settings.minimum_learning_rate + (base - settings.minimum_learning_rate) * height)


def _cosine_leg(start: float, end: float, progress: Float64[np.ndarray, " step"]) -> Rates:
    return np.asarray(end + (start - end) * 0.5 * (1.0 + np.cos(np.pi * np.clip(progress, 0.0, 1.0))))


def _cosine(settings: Cosine, base: float, steps: Steps, per_epoch: int, total: int) -> Rates:
    return _cosine_leg(base, base * settings.final_fraction, steps / max(1, total - 1))


def _linear(settings: Linear, base: float, steps: Steps, per_epoch: int, total: int) -> Rates:
    return np.asarray(base * (1.0 - (1.0 - settings.final_fraction) * steps / total), dtype=np.float64)


def _one_cycle(settings: OneCycle, base: float, steps: Steps, per_epoch: int, total: int) -> Rates:
    peak = max(0.0, settings.peak_fraction * total - 1)
    rising = _cosine_leg(base / 25.0, base, steps / max(peak, 1.0))
    falling = _cosine_leg(base, base / 25.0 / 1e4, (steps - peak) / (total - 1 - peak or 1.0))
    return np.where(steps <= peak, rising, falling)


SCHEDULES: dict[str, tuple[type[ScheduleSettings], Schedule]] = {
    "constant": (Constant, _constant),
    "exponential": (Exponential, _exponential),
    "step": (Step, _step),
    "triangular": (Triangular, _triangular),
    "cosine": (Cosine, _cosine),
    "linear": (Linear, _linear),
    "one-cycle": (OneCycle, _one_cycle),
}


def learning_rates(
    settings: ScheduleSettings, base: float, steps: Steps, *, steps_per_epoch: int, epochs: int
) -> Rates:
    """Return the learning rate at each of the given steps.

    Example:
        >>> learning_rates(Exponential(decay=0.5), 1.0, np.arange(4), steps_per_epoch=2, epochs=2)
        array([1. , 1. , 0.5, 0.5])
    """
    schedule = SCHEDULES[settings.name][1]
    rates = schedule(settings, base, steps, steps_per_epoch, steps_per_epoch * epochs)
    warmup_steps = settings.warmup_epochs * steps_per_epoch
    if warmup_steps > 0:
        rates = rates * np.minimum(1.0, (steps + 1) / warmup_steps)
    return rates
