"""Grad-CAM: the maps of a convolution, weighted by the mean gradient of the logit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.inspection.attribution.method import Attribution, Draws, Maps

__all__ = ["GradCAM"]

_Images = Float[Tensor, "batch channel height width"]


class GradCAM(Attribution):
    """Grad-CAM, max(0, Σ_k α_k A_k) with α_k the mean over positions of ∂f_c/∂A_k and A_k a layer's maps.

    The layer is the last convolution that the model computes, unless another is named. Its map is as coarse
    as the layer's output; it is enlarged to the image bilinearly.

    References:
        Selvaraju et al. 2017, arXiv:1610.02391, section 3.
    """

    name: Literal["grad-cam"] = "grad-cam"

    title: ClassVar[str] = "Grad-CAM"
    is_overlay: ClassVar[bool] = True

    layer: str | None = Field(None, description="name of a layer with maps; the last convolution by default")

    def reading(self) -> str:
        """Say what a map shows."""
        whose = "the last convolution" if self.layer is None else self.layer
        return (
            f"Grad-CAM: the maps of {whose}, weighted with their mean gradient and enlarged; never below 0."
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
        """Return one nonnegative map for each image.

        Raises:
            RecipeError: there is no such layer, or its output has a single position.
        """
        name = self.layer if self.layer is not None else _convolutions(model, images[:1])[-1]
        with torch.enable_grad(), _kept_output(_named(model, name), name) as kept:
            logits = model(images.detach().clone()).gather(1, targets[:, None])
            outputs = _with_positions(kept, name, images, model)
            if not logits.requires_grad:
                return Maps(torch.zeros_like(images[:, :1]))
            (gradients,) = torch.autograd.grad(logits.sum(), outputs, materialize_grads=True)
        weights = gradients.mean(dim=(2, 3), keepdim=True)
        coarse = (weights * outputs.detach()).sum(dim=1, keepdim=True).relu()
        return Maps(functional.interpolate(coarse, size=images.shape[2:], mode="bilinear"))


def _convolutions(model: nn.Module, image: _Images) -> list[str]:
    """Return the names of a model's convolutions in the order in which it computes them."""
    order: list[str] = []
    handles = [
        layer.register_forward_hook(lambda layer, inputs, output, name=name: order.append(name))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d)
    ]
    try:
        with torch.no_grad():
            model(image.clone())
    finally:
        for handle in handles:
            handle.remove()
    if not order:
        raise RecipeError(
            "Grad-CAM needs a convolution, and the model shows none; choose other methods, or name a layer "
            "whose output is (batch, channel, height, width)"
        )
    return list(dict.fromkeys(reversed(order)))[::-1]  # a layer that is used again counts where it was last


def _named(model: nn.Module, name: str) -> nn.Module:
    layers: dict[str, nn.Module] = dict(model.named_modules())
    if name not in layers or not name:
        raise RecipeError(f"the model has no layer {name!r}. {did_you_mean(name, filter(None, layers))}")
    return layers[name]


@contextmanager
def _kept_output(layer: nn.Module, name: str) -> Iterator[list[Tensor]]:
    """Keep a layer's outputs as variables; what follows gets a copy, which it may overwrite."""
    kept: list[Tensor] = []

    def keep(layer: nn.Module, inputs: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor) or output.dim() != 4:
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise RecipeError(
                "Grad-CAM needs a layer whose output is (batch, channel, height, width); "
                f"{name!r} returns {shape}"
            )
        kept.append(output.detach().clone().requires_grad_())
        return kept[-1] * 1

    handle = layer.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


def _with_positions(kept: list[Tensor], name: str, images: _Images, model: nn.Module) -> Tensor:
    """Return the layer's last output if it has several positions."""
    if not kept:
        raise RecipeError(f"the model does not use its layer {name!r}; name another for Grad-CAM")
    if kept[-1].shape[2:].numel() == 1:
        size = "×".join(map(str, images.shape[2:]))
        others = ", ".join(each for each in _convolutions(model, images[:1]) if each != name)
        hint = f"name an earlier one: {others}" if others else "choose other methods"
        raise RecipeError(
            f"Grad-CAM would be one value for the whole image: the output of {name!r} is 1×1 for {size} "
            f"images; {hint}"
        )
    return kept[-1]
