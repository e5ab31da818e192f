"""How a study file and a command line state attribution methods: by name, or with settings."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import pydantic

from foolscope.core.errors import RecipeError, require_known
from foolscope.core.settings import one_line
from foolscope.inspection.attribution import ATTRIBUTIONS, Attribution

__all__ = ["ALL_METHODS", "AnyMethod", "methods_from", "settings_of_methods"]


def _method(value: Any) -> Any:
    """Let a bare name stand for a method with its default settings."""
    if isinstance(value, str):
        value = {"name": value}
    if isinstance(value, Mapping):
        name = str(value.get("name"))
        require_known(name, ATTRIBUTIONS, "attribution method")
        return ATTRIBUTIONS[name].model_validate(dict(value))
    return value


AnyMethod = Annotated[pydantic.SerializeAsAny[Attribution], pydantic.BeforeValidator(_method)]

ALL_METHODS: tuple[Attribution, ...] = tuple(method(name=name) for name, method in ATTRIBUTIONS.items())
"""Every method with its default settings."""


def settings_of_methods() -> dict[str, str]:
    """Return the name of each setting of a method, and the method that has it."""
    return {
        setting: name
        for name, method in ATTRIBUTIONS.items()
        for setting in method.model_fields
        if setting != "name"
    }


def methods_from(methods: Sequence[str | Mapping[str, Any] | Attribution]) -> list[Attribution]:
    """Validate methods: names, mappings such as ``{"name": "occlusion", "patch": 4}``, or settings.

    Raises:
        RecipeError: one line about the first thing that is wrong.

    Example:
        >>> [method.title for method in methods_from(["smoothgrad", {"name": "occlusion", "patch": 4}])]
        ['SmoothGrad', 'occlusion']
    """
    found: list[Attribution] = []
    for each in methods:
        try:
            found.append(_method(each))
        except pydantic.ValidationError as error:
            name = each if isinstance(each, str) else dict(cast("Mapping[str, Any]", each))["name"]
            raise RecipeError(f"{name}: {one_line(error, {'': ATTRIBUTIONS[name].model_fields})}") from error
    names = [each.name for each in found]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise RecipeError(f"attribution method {repeated!r} is given twice; give it once, with its settings")
    return found
