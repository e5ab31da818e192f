"""The settings that all models share."""

from typing import Literal

from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.models.views import Views

__all__ = ["ImageShape", "Initialization", "ModelSettings"]

ImageShape = tuple[int, int, int]
"""Channel, height, width."""


Initialization = Literal["uniform", "he", "dirac"]
"""How the weights of affine layers and convolutions are drawn; see :mod:`foolscope.models.initialization`."""


class ModelSettings(Settings):
    """Settings of a model; each model derives its own and adds a literal ``name``."""

    name: str
    normalization: Literal["dataset", "half", "none"] = Field(
        "dataset",
        description="input normalization by the training set's mean and deviation, by 0.5 and 0.5, or none",
    )
    test_time_augmentation: Views = Field(
        "none",
        description="views of an image whose logits are averaged in evaluation: itself, mirrored, moved by a "
        "pixel",
    )
    initialization: Initialization = Field(
        "uniform",
        description="initial weights: uniform in ±1/√fan_in, PyTorch's default; he, normal with deviation "
        "√(2/fan_in); or dirac, uniform but for convolutions, which pass their input channels on",
    )
