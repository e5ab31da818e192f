"""Integrated gradients: the gradient along the way from a baseline, which adds up to the logit's change."""

from typing import ClassVar, Literal

import pydantic
import torch
from jaxtyping import Float, Float64, Int64
from pydantic import Field
from torch import Tensor, nn

from foolscope.inspection.attribution.method import (
    Attribution,
    Draws,
    Maps,
    mean_logit_gradients,
    target_logits,
)

__all__ = ["IntegratedGradients"]

_Images = Float[Tensor, "batch channel height width"]
_Labels = Int64[Tensor, " batch"]


class IntegratedGradients(Attribution):
    """Integrated gradients, (x − b) ∫₀¹ ∂f_c/∂x (b + α (x − b)) dα, from a baseline b to the image x.

    The integral is the midpoint rule's. Completeness, Σ attributions = f_c(x) − f_c(b), is checked for every
    image; where the error, relative to |f_c(x) − f_c(b)|, is above the tolerance, the steps are doubled until
    it is not, or until they would pass ``most_steps``. A pixel that equals the baseline gets 0 whatever it
    means to the model.

    References:
        Sundararajan, Taly and Yan 2017, arXiv:1703.01365, sections 3 and 5, where 20 to 300 steps come within
        5 %.
    """

    name: Literal["integrated-gradients"] = "integrated-gradients"

    title: ClassVar[str] = "integrated gradients"
    is_overlay: ClassVar[bool] = False

    steps: int = Field(32, ge=1, description="gradients along the way, at first")
    most_steps: int = Field(256, ge=1, description="gradients along the way, at most")
    tolerance: float = Field(0.05, gt=0, description="largest relative error of completeness")
    baseline: float = Field(0.0, ge=0, le=1, description="gray level of the baseline; 0 is black")

    @pydantic.model_validator(mode="after")
    def _most_are_not_fewer(self) -> "IntegratedGradients":
        if self.most_steps < self.steps:
            raise ValueError(f"most_steps must be at least steps, {self.steps}; got {self.most_steps}")
        return self

    def reading(self) -> str:
        """Say what a map shows."""
        return (
            "Integrated gradients (IG): the pixel's share in the difference between the logit of the image "
            f"and that of a uniform baseline at gray level {self.baseline:g}."
        )

    def maps(
        self, model: nn.Module, images: _Images, targets: _Labels, *, draws: Draws, batch_size: int
    ) -> Maps:
        """Integrate each image with as many steps as it needs, within the limit."""
        start = torch.full_like(images, self.baseline)
        changes = (
            target_logits(model, images, targets).double() - target_logits(model, start, targets).double()
        )
        values = torch.zeros_like(images)
        errors = torch.full_like(changes, torch.inf)
        used = torch.zeros_like(targets)
        steps, left = self.steps, torch.arange(len(images), device=images.device)
        while len(left) and steps <= self.most_steps:
            values[left] = self._integral(model, images[left], targets[left], steps, batch_size)
            errors[left] = _relative_errors(values[left], changes[left])
            used[left] = steps
            left = (~(errors <= self.tolerance)).nonzero().flatten()
            steps *= 2
        return Maps(values, errors, used)

    def _integral(
        self, model: nn.Module, images: _Images, targets: _Labels, steps: int, batch_size: int
    ) -> _Images:
        ways = images - self.baseline

        def midpoint(step: int) -> Tensor:
            return self.baseline + (step + 0.5) / steps * ways

        return ways * mean_logit_gradients(model, midpoint, targets, count=steps, batch_size=batch_size)


def _relative_errors(values: _Images, changes: Float64[Tensor, " batch"]) -> Float64[Tensor, " batch"]:
    """Return |Σ attributions − change| / |change|, and 0 where both are 0."""
    errors = (values.double().flatten(1).sum(dim=1) - changes).abs()
    return torch.where(errors == 0, 0.0, errors / changes.abs())
