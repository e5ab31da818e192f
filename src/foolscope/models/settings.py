"""The settings that all models share."""

from typing import Literal

from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.models.views import Views

__all__ = ["ImageShape", "ModelSettings"]

ImageShape = tuple[int, int, int]
"""Channel, height, width."""


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
