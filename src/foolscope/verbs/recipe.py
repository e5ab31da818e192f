"""From a mapping to a recipe."""

from collections.abc import Mapping
from typing import Any

from foolscope.experiments.recipe import Recipe, recipe_from

__all__ = ["recipe"]


def recipe(values: Mapping[str, Any] | None = None) -> Recipe:
    """Validate a nested mapping into a recipe.

    Raises:
        RecipeError: an unknown field or a value out of range.

    Example:
        >>> recipe({"model": {"name": "mlp", "hidden": [50]}}).model.hidden
        (50,)
    """
    return recipe_from(values or {})
