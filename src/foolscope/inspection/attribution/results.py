"""The gradient with respect to the pixels and its correlation with edges, as they are stored and drawn."""

from pydantic import Field

from foolscope.core.settings import FiniteFloat, Settings

__all__ = ["GradientPicture", "InputGradients", "Mean"]


class Mean(Settings):
    """A mean over images with its interval."""

    mean: float
    low: float | None = Field(None, description="lower end of the 95 % t interval; null for a single image")
    high: float | None = None


class GradientPicture(Settings):
    """One image with its gradient and its edges; their pixels are in the arrays under these keys."""

    label: str
    predicted: str
    image: str
    gradient: str
    edges: str
    correlation: FiniteFloat = Field(description="of gradient and edges; null where one is flat")


class InputGradients(Settings):
    """The loss's gradient with respect to the pixels, and its correlation with edges."""

    images: int = Field(description="inspected")
    counted: int = Field(description="images whose gradient and edges are not flat")
    own: Mean | None = Field(description="correlation of |gradient| with the edges of the same image")
    other: Mean | None = Field(description="correlation with the edges of another image, the control")
    difference: Mean | None = Field(description="image by image, own minus other")
    right: list[GradientPicture]
    wrong: list[GradientPicture]
