"""A study: a question, recipes, parts and claims."""

from typing import Annotated, Any

import pydantic
from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.experiments.claims.claim import Claim
from foolscope.experiments.recipe import Recipe

__all__ = ["Study", "StudyHead"]


class StudyHead(Settings):
    """What every study has, whatever it is made of.

    Args:
        name: file-system name of its results.
        title: heading of the report.
        question: what it asks, one sentence.
        seeds: trials per cell.
        practical_difference: δ, the smallest difference of an accuracy that matters, as a fraction.
        recipes: named recipes; ``like = "other"`` starts from another one. None if it trains nothing.
        claims: sentences to test.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    question: str
    seeds: int = Field(5, ge=1, le=1000)
    practical_difference: float = Field(0.005, gt=0, lt=1)
    recipes: dict[str, Recipe] = Field(default_factory=dict)
    claims: tuple[Claim, ...] = ()


class Study(StudyHead):
    """A whole study; :func:`foolscope.experiments.study_file.study_from` reads and checks one.

    Args:
        parts: name of a part to the entries of its table, each of the type that the part says.
    """

    parts: dict[str, tuple[pydantic.SerializeAsAny[Any], ...]] = Field(default_factory=dict)

    def entries(self, part: str) -> tuple[Any, ...]:
        """Return the entries of a part's table; none where the study file has no such table."""
        return self.parts.get(part, ())
