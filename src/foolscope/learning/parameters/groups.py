"""Parameter groups: learning rate, decay and penalty of their own for parameters chosen by name."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import pydantic
from pydantic import Field

from foolscope.core.errors import RecipeError
from foolscope.core.settings import Settings
from foolscope.learning.parameters.names import matches, matching

__all__ = ["ParameterGroupSettings", "check_parameter_groups", "group_of"]

_NEAREST = 4  # names that an error lists


class ParameterGroupSettings(Settings):
    """Parameters with settings of their own; a parameter belongs to the first group that matches its name.

    What a group does not set is as for every other parameter.

    Example:
        >>> ParameterGroupSettings(names="*bn*", weight_decay=0.0).names
        ('*bn*',)
    """

    names: tuple[str, ...] = Field(
        min_length=1,
        description="patterns of parameter names, as of files: * is any text, ? any character; body. in "
        "front may be omitted",
    )
    learning_rate_factor: float = Field(1.0, ge=0.0, description="factor on the learning rate; 0 freezes")
    learning_rate: float | None = Field(
        None,
        gt=0.0,
        description="its own learning rate, which the schedule changes as it does the optimizer's",
    )
    weight_decay: float | None = Field(
        None, ge=0.0, description="its own decoupled weight decay, whatever penalize says"
    )
    l2: float | None = Field(
        None, ge=0.0, description="its own coefficient of the L2 penalty, whatever penalize says"
    )

    @pydantic.field_validator("names", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @pydantic.model_validator(mode="after")
    def _sets_something(self) -> "ParameterGroupSettings":
        if self.model_fields_set <= {"names"}:
            *others, last = (name for name in type(self).model_fields if name != "names")
            raise ValueError(f"sets nothing; give it {', '.join(others)} or {last}, or omit the group")
        return self

    @pydantic.model_validator(mode="after")
    def _rate_or_factor(self) -> "ParameterGroupSettings":
        if self.learning_rate is not None and self.learning_rate_factor != 1.0:
            raise ValueError(
                "must have learning_rate or learning_rate_factor, not both; got "
                f"{self.learning_rate:g} and {self.learning_rate_factor:g}"
            )
        return self

    def matches(self, name: str) -> bool:
        """Whether a parameter's name matches one of the patterns."""
        return any(matches(name, pattern) for pattern in self.names)


def group_of(groups: Sequence[ParameterGroupSettings], name: str) -> int | None:
    """Return the place of the first group that matches a parameter's name; None if there is none."""
    return next((place for place, group in enumerate(groups) if group.matches(name)), None)


def check_parameter_groups(groups: Sequence[ParameterGroupSettings], names: Iterable[str]) -> None:
    """Refuse groups with a pattern that no parameter matches, or that have no parameter left to them.

    Raises:
        RecipeError: it names the pattern and the nearest names of parameters.
    """
    known = list(names)
    for place, group in enumerate(groups):
        for pattern in group.names:
            if not matching(known, pattern):
                near = get_close_matches(pattern.replace("*", ""), known, n=_NEAREST, cutoff=0.0)
                raise RecipeError(
                    f"parameter_groups: no parameter matches {pattern!r}; the nearest of {len(known)} names: "
                    f"{', '.join(near)}"
                )
        if all(group_of(groups, name) != place for name in known):
            raise RecipeError(
                f"parameter_groups: the groups before it match every parameter of {list(group.names)}; "
                "put narrower patterns first"
            )
