"""Checks that the reference engine can train a recipe."""

from dataclasses import fields
from typing import Literal

from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.core.settings import plain_words
from foolscope.experiments.recipe import LISTS, Recipe, fields_of
from foolscope.inspection.gradients.mirroring import described, mirrored_loss
from foolscope.learning import OPTIMIZERS
from foolscope.reference import SGD, Network, reference_network

__all__ = ["SGD_FIELDS", "check_coverage", "mirrored_network", "reference_precision"]

SGD_FIELDS = tuple(each.name for each in fields(SGD) if each.name in OPTIMIZERS["sgd"].settings.model_fields)
"""The fields of the recipe's SGD that the reference's SGD has too."""

_FOLLOWED = frozenset(
    {
        "loss.label_smoothing",
        "optimizer.learning_rate",
        *(f"optimizer.{field}" for field in SGD_FIELDS),
        "regularization.l1",
        "regularization.l2",
        "training.batch_size",
        "training.clipping",
        "training.epochs",
        "training.keep",
        "training.patience",
        "seed",
    }
)

_SHARED = ("dataset", "model", "schedule")
"""Components that both engines read with the same code: pixels, initial weights, learning rates."""


def check_coverage(recipe: Recipe) -> None:
    """Refuse a recipe with a field that NumPy would ignore; :func:`mirrored_network` checks the layers.

    Raises:
        RecipeError: it names the field, its value, and the one that is allowed.
    """
    reference_precision(recipe)
    for component, allowed in (("optimizer", "sgd"), ("defense", "none"), ("averaging", "none")):
        name = getattr(recipe, component).name
        if name != allowed:
            raise _refusal(component, allowed, name)
    try:
        mirrored_loss(recipe.loss)
    except RecipeError as error:
        raise RecipeError(f"the reference engine cannot train: {error}. Use --engine torch") from error
    for field, entries in LISTS.items():
        if getattr(recipe, field):
            raise _refusal(field, None, entries.write(getattr(recipe, field)))
    for path, value in fields_of(recipe).items():
        component, _, leaf = path.rpartition(".")
        if path == "precision" or path in _FOLLOWED or component in _SHARED:
            continue
        part = getattr(recipe, component) if component else recipe
        usual = type(part).model_fields[leaf].get_default()
        if value != usual:
            raise _refusal(leaf, usual, value)


def _refusal(field: str, allowed: object, got: object) -> RecipeError:
    words, flag = plain_words(allowed), f"--{field.replace('_', '-')}"
    return RecipeError(
        f"{field} must be {words} with the reference engine, which has no other hand-derived gradients; "
        f"got {plain_words(got)}. Use {flag} {words}, or --engine torch"
    )


def reference_precision(recipe: Recipe) -> Literal["float32", "float64"]:
    """Return the data type in which NumPy trains a recipe: float64 unless it asks for float32.

    Raises:
        RecipeError: NumPy has no such data type.
    """
    if recipe.precision == "bfloat16":
        raise RecipeError(
            "precision must be auto, float64 or float32 with the reference engine, because NumPy has "
            "no other; got bfloat16. Use --precision float64, or --engine torch"
        )
    return "float32" if recipe.precision == "float32" else "float64"


def mirrored_network(recipe: Recipe, model: nn.Module) -> Network:
    """Return the NumPy network, in training mode, that computes the same as a recipe's model.

    Raises:
        RecipeError: a layer has no counterpart.
    """
    try:
        return reference_network(described(model, training=True))
    except RecipeError as error:
        raise RecipeError(
            f"the reference engine cannot train this {recipe.model.name}: {error}. Change that, or use "
            "--engine torch"
        ) from error
