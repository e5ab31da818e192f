"""The images under attack side by side, one row per work item, and the moves that the threat allows."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from foolscope.attacks.runner.randomness import Noise
from foolscope.threats.norms import Norm
from foolscope.threats.prediction import Images, Integers, Labels, PerImage

__all__ = ["Problem", "over_pixels"]


@dataclass(frozen=True)
class Problem:
    """Work items side by side: every tensor has one row per work item, so that a batch can shrink and grow.

    Args:
        inputs: the clean images.
        labels: their classes.
        targets: the target classes; ``None`` in an untargeted attack.
        epsilon: the budgets, in pixel units.
        positions: the images' positions in the run.
        indices: the images' indices in their data set, from which their random numbers are derived.
        items: the work items' numbers: restart × targets + target.
        steps: how many steps each row has taken.
        norm: the geometry of the ball.
        bounds: the smallest and largest value of a pixel.
    """

    inputs: Images
    labels: Labels
    targets: Labels | None
    epsilon: PerImage
    positions: Integers
    indices: Integers
    items: Integers
    steps: Integers
    norm: Norm
    bounds: tuple[float, float]

    def __len__(self) -> int:
        return self.labels.shape[0]

    def select(self, rows: Tensor) -> "Problem":
        """Return the rows given by a mask or an index tensor."""
        return self._each(lambda name, value: value[rows])

    def join(self, other: "Problem") -> "Problem":
        """Return these rows followed by the other's."""
        return self._each(lambda name, value: torch.cat([value, getattr(other, name)]))

    def random_start(self, noise: Noise) -> Images:
        """Return a uniform point of each row's ball, clipped to the bounds (Madry et al. 2018, sec. 3.1)."""
        numbers = noise.uniform(self.indices, self.items, self.inputs[:1].numel() + 1).to(self.inputs.dtype)
        start = self.norm.random_start(numbers, self.epsilon).view_as(self.inputs)
        return (self.inputs + start).clamp(*self.bounds)

    def project(self, points: Images) -> Images:
        """Return the nearest allowed images, within the ball and within the bounds."""
        lower, upper = self.bounds
        allowed = self.norm.project(
            points - self.inputs, self.epsilon, lower - self.inputs, upper - self.inputs
        )
        return (self.inputs + allowed).clamp(lower, upper)

    def ascend(self, points: Images, gradient: Images, step_size: PerImage) -> Images:
        """Take one steepest step of this size, in pixel units, and project onto the allowed images."""
        lower, upper = self.bounds
        return self.project(
            points + self.norm.steepest_step(gradient, step_size, lower - points, upper - points)
        )

    def within(self, radius: PerImage) -> "Problem":
        """Return the same problem with smaller balls: of these radii, where they are below epsilon."""
        return replace(self, epsilon=radius.minimum(self.epsilon))

    def linear_distance(self, points: Images, losses: PerImage, gradient: Images) -> PerImage:
        """Return the distance, in pixel units, at which the linearized loss is 0: ``|L| / ‖∇L‖_dual``.

        The dual norm is the gain of a steepest step of size 1. In L1, where our steepest step spreads over
        several pixels and is not the best one, the distance is measured along that step.
        """
        lower, upper = self.bounds
        ones = torch.ones_like(losses)
        direction = self.norm.steepest_step(gradient, ones, lower - points, upper - points)
        gain = (direction * gradient).flatten(1).sum(1)
        return losses.abs() / gain.clamp(min=torch.finfo(gain.dtype).tiny)

    def remaining(self, steps: int) -> PerImage:
        """Return each row's value of ``(1 + cos(π k / steps)) / 2``, which falls from 1 to 0."""
        return (1 + torch.cos(self.steps.to(self.epsilon.dtype) * (torch.pi / steps))) / 2

    def _each(self, change: Callable[[str, Tensor], Tensor]) -> "Problem":
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {k: change(k, v) for k, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **changed)


def over_pixels(values: Shaped[Tensor, " batch"]) -> Shaped[Tensor, "batch 1 1 1"]:
    """Shape one value per image so that it broadcasts over the image's pixels."""
    return values[:, None, None, None]
