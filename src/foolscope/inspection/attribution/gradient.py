"""The gradient of a logit with respect to the pixels, also called saliency."""

from typing import ClassVar, Literal

from jaxtyping import Float, Int64
from torch import Tensor, nn

from foolscope.inspection.attribution.method import Attribution, Draws, Maps, logit_gradients

__all__ = ["Gradient"]


class Gradient(Attribution):
    """The gradient, ∂f_c/∂x with f_c the logit of class c.

    It is what a tiny change of each pixel would do to the logit, and says nothing about larger ones.

    References:
        Simonyan, Vedaldi and Zisserman 2014, arXiv:1312.6034, section 3. There a picture shows the largest
        magnitude over the channels; here values keep their channels and signs.
    """

    name: Literal["gradient"] = "gradient"

    title: ClassVar[str] = "gradient"
    is_overlay: ClassVar[bool] = False

    def reading(self) -> str:
        """Say what a map shows."""
        return "Gradient: how fast the logit rises as the pixel gets brighter, for a tiny change."

    def maps(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channel height width"],
        targets: Int64[Tensor, " batch"],
        *,
        draws: Draws,
        batch_size: int,
    ) -> Maps:
        """Return one gradient for each image."""
        return Maps(logit_gradients(model, images, targets))
