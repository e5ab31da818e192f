"""What is searched over: ranges of numbers on a logarithmic or linear scale, and lists of choices."""

import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from foolscope.core.errors import RecipeError
from foolscope.core.settings import Settings
from foolscope.core.values import parse_value, parse_values
from foolscope.experiments.recipe import (
    COMPONENTS,
    LISTS,
    Recipe,
    fields_of,
    short_name,
    value_of,
    with_values,
)

__all__ = ["Choices", "Dimension", "Over", "Point", "Range", "Scale", "Space", "space_of"]

Scale = Literal["log", "linear"]

Over = str | Sequence[Any]
"""A dimension as a person writes it: ``"1e-4:1:log"``, ``"0:0.9:linear"``, ``"16,32"`` or ``[16, 32]``."""

Point = tuple[Any, ...]
"""One value for each dimension of a space."""

_DIGITS = 4  # of a value drawn on a logarithmic scale: what is shown is what was trained
_STEPS = 1000  # at least so many values in a range on a linear scale


@dataclass(frozen=True)
class Range:
    """A recipe field between two ends.

    Args:
        field: its short name.
        low: lower end.
        high: upper end.
        scale: on which every stretch of the same length is equally likely.
        integer: whether the field takes whole numbers only.

    Example:
        >>> rate = Range("learning_rate", 1e-4, 1.0, "log")
        >>> rate.at(0.0), rate.at(0.5), rate.at(1.0)
        (0.0001, 0.01, 1.0)
        >>> rate.narrowed(0.1, 0.5)
        Range(field='learning_rate', low=0.01, high=1.0, scale='log', integer=False)
    """

    field: str
    low: float
    high: float
    scale: Scale
    integer: bool = False

    def at(self, fraction: float) -> float:
        """Return the value that lies so far along the range."""
        margin = 0.5 if self.integer else 0.0  # or the end values would be half as likely as the others
        first, last = self._scaled(self.low - margin), self._scaled(self.high + margin)
        return self.nearest(self._unscaled(first + fraction * (last - first)))

    def nearest(self, value: float) -> float:
        """Return a value in the range, rounded to what is worth telling apart."""
        return min(max(self._rounded(value), self.low), self.high)

    def position(self, value: float) -> float:
        """Return how far along the range a value lies, 0 at the lower end and 1 at the upper one."""
        first, last = self._scaled(self.low), self._scaled(self.high)
        return (self._scaled(value) - first) / (last - first) if last > first else 0.5

    def narrowed(self, around: float, factor: float) -> "Range":
        """Return the part of this range that is ``factor`` times as long, centred on a value in it.

        What of that part lies beyond an end of this range is cut off.
        """
        center, half = self._scaled(around), factor / 2 * (self._scaled(self.high) - self._scaled(self.low))
        low, high = self._unscaled(center - half), self._unscaled(center + half)
        if self.integer:
            low, high = math.floor(low), math.ceil(high)
        return replace(self, low=max(self.low, min(low, around)), high=min(self.high, max(high, around)))

    def beyond(self) -> tuple[float, float]:
        """Return a value below the lower end and one above the upper end."""
        if self.integer:
            return self.low - 1, self.high + 1
        if self.scale == "log":
            return self.low / 2, self.high * 2
        return self.low - 0.1 * (self.high - self.low), self.high + 0.1 * (self.high - self.low)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.scale == "log" else value

    def _unscaled(self, value: float) -> float:
        return 10.0**value if self.scale == "log" else value

    def _rounded(self, value: float) -> float:
        if self.integer:
            return round(value)
        if self.scale == "log":
            return float(f"{value:.{_DIGITS}g}")
        length = self.high - self.low
        return round(value, math.ceil(math.log10(_STEPS / length))) if length else value


@dataclass(frozen=True)
class Choices:
    """A recipe field with the values that it may have; nothing is assumed of their order.

    Example:
        >>> [Choices("hidden", ((16,), (64,))).at(fraction) for fraction in (0.0, 0.49, 0.5, 1.0)]
        [(16,), (16,), (64,), (64,)]
    """

    field: str
    values: tuple[Any, ...]

    def at(self, fraction: float) -> Any:
        """Return the value that lies so far along the list; each has an equal share."""
        return self.values[min(int(fraction * len(self.values)), len(self.values) - 1)]

    def narrowed(self, around: Any, factor: float) -> "Choices":
        """Return the same choices: nothing is known of which lie near the best."""
        return self


Dimension = Range | Choices
Space = tuple[Dimension, ...]


def space_of(recipe: Recipe, over: Mapping[str, Over]) -> Space:
    """Validate what a person wants to search over against the fields of a recipe.

    Args:
        recipe: whose fields are varied.
        over: field, by short or dotted name, to its range or its choices.

    Raises:
        RecipeError: an unknown field, one that a search must not vary, or values that it cannot have.

    Example:
        >>> sizes, momenta = space_of(Recipe(), {"batch_size": "16:256:log", "momentum": [0, 0.9]})
        >>> sizes
        Range(field='batch_size', low=16, high=256, scale='log', integer=True)
        >>> momenta
        Choices(field='momentum', values=(0.0, 0.9))
    """
    if not over:
        raise RecipeError(
            "nothing to search over; name a field and its range, as in learning_rate=1e-4:1:log"
        )
    space: dict[str, Dimension] = {}
    for name, wanted in over.items():
        field = _searchable(recipe, name)
        if field in space:
            raise RecipeError(f"{name!r} is searched over twice; give it one range or one list of values")
        is_range = isinstance(wanted, str) and ":" in wanted
        space[field] = _range(recipe, field, str(wanted)) if is_range else _choices(recipe, field, wanted)
    return tuple(space.values())


def _searchable(recipe: Recipe, name: str) -> str:
    """Return a field's short name, or say why a search must not vary it."""
    name = name.strip().replace("-", "_")
    path, field = _path(recipe, name), short_name(recipe, name)
    if path == "seed":
        raise RecipeError(
            "seed cannot be searched over: a good one is luck; set the number of seeds with seeds"
        )
    if path in COMPONENTS or path in LISTS:
        known = list(COMPONENTS[path] if path in COMPONENTS else LISTS[path].settings)
        raise RecipeError(
            f"{name!r} is a component, whose fields differ; compare components with an ablation, "
            f"as in foolscope ablate --vary {name}={','.join(known[:2])}"
        )
    if path.startswith("dataset."):
        raise RecipeError(
            f"{name!r} belongs to the data, and results on other data cannot be compared; search over a "
            "field of the model or its training"
        )
    return field


def _path(recipe: Recipe, name: str) -> str:
    field = short_name(recipe, name)
    return next((path for path in fields_of(recipe) if path.rpartition(".")[2] == field), field)


def _range(recipe: Recipe, field: str, text: str) -> Range:
    kind = _number_type(recipe, field)
    if kind is None:
        raise RecipeError(
            f"{field!r} is not a number and has no range; list its values, as in {field}=A,B,C; got {text!r}"
        )
    low, high, scale = _range_parts(field, text)
    if kind is int and not (low.is_integer() and high.is_integer()):
        raise RecipeError(f"{field!r} takes whole numbers; got the range {text!r}")
    if not low < high:
        raise RecipeError(f"{field}: the lower end must be below the upper one; got {low:g} and {high:g}")
    if scale == "log" and not low > 0:
        raise RecipeError(
            f"{field}: a logarithmic scale begins above 0; got {low:g}; begin higher or write :linear"
        )
    for end in (low, high):
        with_values(recipe, {field: kind(end)})
    return Range(field, kind(low), kind(high), scale, integer=kind is int)


def _range_parts(field: str, text: str) -> tuple[float, float, Scale]:
    help_text = f"{field}: a range is LOW:HIGH:log or LOW:HIGH:linear, as in 1e-4:1:log; got {text.strip()!r}"
    parts = [part.strip() for part in text.split(":")]
    ends = [parse_value(part) for part in parts[:2]]
    if len(parts) != 3 or not all(
        isinstance(end, int | float) and not isinstance(end, bool) and math.isfinite(end) for end in ends
    ):
        raise RecipeError(help_text)
    scales: dict[str, Scale] = {"log": "log", "linear": "linear"}
    if parts[2] not in scales:
        raise RecipeError(help_text)
    return float(ends[0]), float(ends[1]), scales[parts[2]]


def _choices(recipe: Recipe, field: str, wanted: Over) -> Choices:
    values = parse_values(wanted) if isinstance(wanted, str) else list(wanted)
    validated = dict.fromkeys(value_of(with_values(recipe, {field: value}), field) for value in values)
    if len(validated) < 2:
        raise RecipeError(
            f"{field}: give a range, as in 1e-4:1:log, or at least two values, as in A,B; got {wanted!r}"
        )
    return Choices(field, tuple(validated))


def _number_type(recipe: Recipe, field: str) -> type[int] | type[float] | None:
    """Return which numbers a field takes, if it takes numbers."""
    *parents, leaf = _path(recipe, field).split(".")
    settings: Settings = getattr(recipe, parents[0]) if parents else recipe
    if parents and parents[0] in LISTS:
        entries = getattr(recipe, parents[0])
        settings = entries[LISTS[parents[0]].keys(entries).index(parents[1])]
    annotation = type(settings).model_fields[leaf].annotation
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    kinds = typing.get_args(annotation) if is_union else (annotation,)
    return float if float in kinds else int if int in kinds else None
