"""Occlusion: how far the logit falls where a patch of the image is hidden."""

import math
from typing import ClassVar, Literal

import pydantic
import torch
from jaxtyping import Bool, Float, Int64
from pydantic import Field
from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.inspection.attribution.method import Attribution, Draws, Maps, target_logits

__all__ = ["Occlusion"]

_Images = Float[Tensor, "batch channel height width"]


class Occlusion(Attribution):
    """The fall of the logit, f_c(x) − f_c(x with a patch hidden), at each pixel the mean over its patches.

    Patches start every ``stride`` pixels from the upper left corner until one reaches the border, where it is
    cut. A hidden patch is gray, which may itself look like something to the model.

    References:
        Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2, where a map has the logit with the hidden patch.
    """

    name: Literal["occlusion"] = "occlusion"

    title: ClassVar[str] = "occlusion"
    is_overlay: ClassVar[bool] = True

    patch: int | None = Field(
        None, ge=1, description="side of the hidden square; a quarter of the image's shorter side by default"
    )
    stride: int | None = Field(
        None, ge=1, description="pixels from patch to patch; half of the patch by default"
    )
    fill: float = Field(0.5, ge=0, le=1, description="gray level of the hidden patch")

    @pydantic.model_validator(mode="after")
    def _no_gaps(self) -> "Occlusion":
        if self.patch is not None and self.stride is not None and self.stride > self.patch:
            raise ValueError(
                f"stride must be at most the patch, {self.patch}, so that no pixel is missed; "
                f"got {self.stride}"
            )
        return self

    def reading(self) -> str:
        """Say what a map shows."""
        return (
            f"Occlusion: how far the logit falls where a patch over the pixel is hidden by gray level "
            f"{self.fill:g}, mean over patches."
        )

    def maps(
        self,
        model: nn.Module,
        images: _Images,
        targets: Int64[Tensor, " batch"],
        *,
        draws: Draws,
        batch_size: int,
    ) -> Maps:
        """Hide one patch after another, several at a time.

        Raises:
            RecipeError: the patch is larger than the image, or the stride larger than the default patch.
        """
        masks = self._masks(*images.shape[2:]).to(images.device)
        before = target_logits(model, images, targets)
        total = images.new_zeros(images.shape[0], *images.shape[2:])
        for some in torch.split(masks, max(1, batch_size // len(images))):
            hidden = torch.where(
                some[:, None, None], self.fill, images
            )  # (patch, batch, channel, height, width)
            repeated = targets.expand(len(some), -1).flatten()
            after = target_logits(model, hidden.flatten(0, 1), repeated).view(len(some), -1)
            total += torch.einsum("pb,phw->bhw", before - after, some.to(images.dtype))
        return Maps((total / masks.sum(dim=0))[:, None])

    def _masks(self, height: int, width: int) -> Bool[Tensor, "patch height width"]:
        """Return where each patch is."""
        side = self.patch or max(1, min(height, width) // 4)
        stride = self.stride or max(1, side // 2)
        if side > min(height, width):
            raise RecipeError(
                f"patch must be at most {min(height, width)} for {height}×{width} images; got {side}"
            )
        if stride > side:
            raise RecipeError(f"stride must be at most the patch, {side} for these images; got {stride}")
        masks = []
        for top in range(math.ceil((height - side) / stride) + 1):
            for left in range(math.ceil((width - side) / stride) + 1):
                mask = torch.zeros(height, width, dtype=torch.bool)
                rows, columns = top * stride, left * stride
                mask[rows : rows + side, columns : columns + side] = True
                masks.append(mask)
        return torch.stack(masks)
