"""How a study file states an inspection of its models."""

from typing import Annotated

import pydantic
from pydantic import Field

from foolscope.core.errors import did_you_mean
from foolscope.core.settings import Settings
from foolscope.experiments.parts.inspections.model import PARTS

__all__ = ["InspectionPlan"]


class InspectionPlan(Settings):
    """An inspection of the models of every seed, as ``foolscope inspect`` makes it of one."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description='name in claims, as in metric = "inspection:NAME.edge_difference"',
    )
    recipe: str
    parts: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        tuple(PARTS), description="what is inspected"
    )
    images: int = Field(1000, ge=1, description="number of test images, from the start of the test set")

    @pydantic.field_validator("parts")
    @classmethod
    def _known_parts(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        for part in parts:
            if part not in PARTS:
                raise ValueError(f"unknown part {part!r}. {did_you_mean(part, PARTS)}")
        return parts
