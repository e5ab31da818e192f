"""The result of a sanity check, as it is stored and reported."""

from typing import Literal

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["BY_DIFFERENCES", "BY_HAND", "Check", "TensorError"]

BY_HAND = "gradients by hand"
BY_DIFFERENCES = "gradients by differences"


class TensorError(Settings):
    """The relative error between two gradients with respect to one tensor."""

    tensor: str = Field(description='name of the parameter, or "images"')
    error: float = Field(description="relative, in [0, 2]")
    coordinates: int = Field(description="entries compared")
    kinks: int = Field(
        0, description="entries skipped because ReLU, max or the like switches within the step"
    )


class Check(Settings):
    """One sanity check of one recipe: whether it passed, in a sentence, with its numbers."""

    recipe: str = Field("", description="name in a study; empty elsewhere")
    check: str = Field(description="name in the table of checks")
    passed: bool = Field(description="true also for a check that is skipped")
    sentence: str = Field(description="what was found, or why the check is skipped")
    numbers: dict[str, float]
    left_out: bool = Field(False, description="whether the check is skipped")
    weights: Literal["initial", "trained"] = Field("initial", description="those that a gradient check had")
    tensors: list[TensorError] = Field(default_factory=list, description="of a gradient check, forward order")
