"""Central differences of a model's loss against automatic gradients, and the layer at fault."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from foolscope.core.randomness import numpy_generator
from foolscope.inspection.check import BY_DIFFERENCES, TensorError
from foolscope.inspection.gradients.gradient_errors import (
    GOALS,
    NOTHING_IN_COMMON,
    THE_LOSS,
    THE_PENALTIES,
    distance,
    negligible,
    tensors_of,
)
from foolscope.inspection.gradients.kinks import same_side
from foolscope.inspection.gradients.objective import LOGITS, Automatic, Objective, Value, inputs_of
from foolscope.reference import difference_step

__all__ = ["Differences"]

_COORDINATES = 20  # random entries of each tensor
_ALL_COORDINATES = 200  # over all tensors; with many tensors, each gets fewer
_FEWEST_COORDINATES = 5
_TRIES = 3  # times as many are tried, for some are skipped
_ROUNDINGS = 4  # of the largest logit, in the loss of one image


@dataclass(frozen=True)
class _Slope:
    """Central differences with respect to one entry: of the loss, and of the penalty."""

    loss: float
    penalty: float


@dataclass(frozen=True)
class _Slopes:
    """Central differences at some entries of a tensor, and how many entries were skipped."""

    slopes: dict[tuple[int, ...], _Slope]
    kinks: int


@dataclass(frozen=True)
class Differences:
    """Central differences of an objective and its automatic gradients."""

    objective: Objective
    automatic: Automatic
    center: Value
    seed: int
    step: float
    known: dict[str, "_Slopes"] = field(default_factory=dict)

    @classmethod
    def of(cls, objective: Objective, seed: int) -> "Differences":
        """Evaluate an objective at its weights; the seed draws the entries that are compared."""
        step = difference_step(np.dtype(np.float64))
        return cls(objective, objective.automatic(), objective.value(), seed, step)

    @property
    def coordinates(self) -> int:
        """Number of random entries of a tensor, besides the one with the largest gradient."""
        share = _ALL_COORDINATES // len(tensors_of(self.objective))
        return max(_FEWEST_COORDINATES, min(_COORDINATES, share))

    @property
    def floor(self) -> float:
        """The gradient at which rounding of the differences alone causes an error as large as the goal."""
        rounding = _ROUNDINGS * float(np.finfo(np.float64).eps) * max(1.0, self.center.largest_logit)
        least = negligible(self.objective, self.automatic)
        return max(least, rounding / self.step / GOALS[BY_DIFFERENCES])

    def error(self, name: str) -> TensorError:
        """Compare the gradient of loss plus penalties with respect to one tensor."""
        found = self._slopes(name)
        estimated = {index: slope.loss + slope.penalty for index, slope in found.slopes.items()}
        error = self._error(estimated, self.automatic.total(name))
        return TensorError(tensor=name, error=error, coordinates=len(found.slopes), kinks=found.kinks)

    def _error(self, estimated: Mapping[tuple[int, ...], float], gradient: Tensor) -> float:
        if not torch.isfinite(gradient).all():
            return NOTHING_IN_COMMON
        own = [float(gradient[index]) for index in estimated]
        floor = max(self.floor, float(gradient.abs().max()))
        return distance(np.array(list(estimated.values())), np.array(own), floor)

    def _slopes(self, name: str) -> _Slopes:
        """Return the slopes at some entries of a tensor, estimated once."""
        if name not in self.known:
            self.known[name] = self._estimated(name)
        return self.known[name]

    def _estimated(self, name: str) -> _Slopes:
        slopes: dict[tuple[int, ...], _Slope] = {}
        kinks = 0
        for index in self._indices(name):
            slope = self._slope(name, index)
            if slope is None:
                kinks += 1
            else:
                slopes[index] = slope
            if len(slopes) > self.coordinates:
                break
        return _Slopes(slopes, kinks)

    def _indices(self, name: str) -> Iterator[tuple[int, ...]]:
        """Yield the entry with the largest gradient, then others in random order."""
        gradient = self.automatic.total(name)
        largest = int(gradient.abs().argmax())
        generator = numpy_generator(self.seed, "gradients", "coordinates", name)
        count = min(gradient.numel(), _TRIES * self.coordinates + 1)
        others = generator.choice(gradient.numel(), count, replace=False)
        for flat in list(dict.fromkeys([largest, *map(int, others)]))[:count]:
            yield tuple(map(int, np.unravel_index(flat, gradient.shape)))

    def _slope(self, name: str, index: tuple[int, ...]) -> _Slope | None:
        """Return the central difference at one entry; None where ReLU or max switches within the step."""
        number = float(self.automatic.values[name][index])
        size = self.step * max(1.0, abs(number))
        places = (number + size, number - size)
        values = []
        for place in places:
            values.append(self.objective.value_at(name, index, place))
            if not same_side(values[-1].kinks, self.center.kinks):
                return None
        above, below = values
        distance = places[0] - places[1]
        # image by image: the rounding of images whose loss does not change cancels
        loss = float((above.losses - below.losses).mean()) / distance
        return _Slope(loss, float(above.penalty - below.penalty) / distance)

    def culprit(self) -> str:
        """Return the last part of the network whose gradients disagree while its incoming ones agree."""
        objective, goal = self.objective, GOALS[BY_DIFFERENCES]
        for name in objective.parameters:
            zero = torch.zeros_like(self.automatic.gradients[name])
            estimated = {index: slope.penalty for index, slope in self._slopes(name).slopes.items()}
            if self._error(estimated, self.automatic.penalties.get(name, zero)) > goal:
                return f"{THE_PENALTIES}, in {name}"
        if self._disagrees(LOGITS):
            return THE_LOSS
        for layer in reversed(objective.layers):
            own = [name for name in objective.parameters if name.rpartition(".")[0] == layer]
            wrong = [name for name in (inputs_of(layer), *own) if self._disagrees(name)]
            if wrong:
                return f"{layer}, in {', '.join(wrong)}"
        return "an operation between the layers, in the model's own forward"

    def _disagrees(self, name: str) -> bool:
        estimated = {index: slope.loss for index, slope in self._slopes(name).slopes.items()}
        return self._error(estimated, self.automatic.gradients[name]) > GOALS[BY_DIFFERENCES]
