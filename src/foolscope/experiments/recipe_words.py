"""The settings of a recipe in words: the usual ones, and what is not the default."""

from typing import Any

from foolscope.experiments.recipe import COMPONENTS, GROUPS, LISTS, PLAIN_FIELDS, Recipe, setting_words
from foolscope.experiments.wording.fields import field_words, value_words

__all__ = ["settings_in_words"]

_ALWAYS = ("dataset", "model", "optimizer", "schedule", "epochs", "batch_size", "seed")


def settings_in_words(recipe: Recipe) -> list[tuple[str, str]]:
    """Name the settings that say how a recipe trains, each with its value.

    Data set, model, optimizer, schedule, epochs, batch size and seed are always there, all others where they
    are not the default.

    Example:
        >>> from foolscope.experiments.recipe import with_values
        >>> dict(settings_in_words(with_values(Recipe(), {"l2": 0.1})))["L2 coefficient"]
        '0.1'
    """
    default = Recipe()
    found: list[tuple[str, Any]] = [
        (kind, setting_words(recipe, kind))
        for kind in (*COMPONENTS, *LISTS)
        if kind in _ALWAYS or getattr(recipe, kind) != getattr(default, kind)
    ]
    for group in GROUPS:
        own, usual = getattr(recipe, group), getattr(default, group)
        found += [
            (name, value_words(getattr(own, name)))
            for name in type(own).model_fields
            if name in _ALWAYS or getattr(own, name) != getattr(usual, name)
        ]
    found += [
        (name, value_words(getattr(recipe, name)))
        for name in PLAIN_FIELDS
        if name in _ALWAYS or getattr(recipe, name) != getattr(default, name)
    ]
    return [("data set" if name == "dataset" else field_words(name), words) for name, words in found]
