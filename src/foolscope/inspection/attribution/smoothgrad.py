"""SmoothGrad: the mean gradient over noisy copies of an image."""

from typing import ClassVar, Literal

from jaxtyping import Float, Int64
from pydantic import Field
from torch import Tensor, nn

from foolscope.inspection.attribution.method import Attribution, Draws, Maps, mean_logit_gradients

__all__ = ["SmoothGrad"]


class SmoothGrad(Attribution):
    """The mean gradient, 1/n Σᵢ ∂f_c/∂x (x + zᵢ) with zᵢ ~ N(0, σ²) and σ = noise · (max x − min x).

    Noisy copies are not clipped to [0, 1], as in the publication.

    References:
        Smilkov et al. 2017, arXiv:1706.03825, sections 2 and 3.1, who recommend a noise of 0.1 to 0.2 and 50
        copies; here it is 25 by default, beyond which they see little change.
    """

    name: Literal["smoothgrad"] = "smoothgrad"

    title: ClassVar[str] = "SmoothGrad"
    is_overlay: ClassVar[bool] = False

    samples: int = Field(25, ge=1, description="noisy copies of each image")
    noise: float = Field(
        0.15, ge=0, description="standard deviation of the noise, as a fraction of the image's range"
    )

    def reading(self) -> str:
        """Say what a map shows."""
        return (
            f"SmoothGrad: the mean gradient over {self.samples} noisy copies of the image, with noise of "
            f"{100 * self.noise:g} % of its range."
        )

    def maps(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channel height width"],
        targets: Int64[Tensor, " batch"],
        *,
        draws: Draws,
        batch_size: int,
    ) -> Maps:
        """Return the mean over the copies, each image with noise of its own."""
        ranges = images.amax(dim=(1, 2, 3), keepdim=True) - images.amin(dim=(1, 2, 3), keepdim=True)

        def noisy(draw: int) -> Tensor:
            return images + self.noise * ranges * draws.gaussian(images, draw)

        return Maps(mean_logit_gradients(model, noisy, targets, count=self.samples, batch_size=batch_size))
