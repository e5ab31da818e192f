"""The grammar of metrics, parsed here and nowhere else, and the metrics that a study knows.

.. code-block:: text

    QUANTITY                       what every training measures: test_accuracy, validation_loss
    QUANTITY@CLASS                 the same of one class: test_recall@cat
    QUANTITY:NAME@BUDGET           of an attack of the study: robust_accuracy:linf@8/255
    QUANTITY:NAME                  of something else that has a name: check:gradients by hand
    KIND:NAME.QUANTITY[@LAYER]     of a named part of the study: inspection:edges.near_zero@conv1
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from foolscope.core.errors import FoolscopeError, RecipeError
from foolscope.core.settings import plain_words
from foolscope.experiments.wording.sentences import Scale, scale_of
from foolscope.threats.threat import parse_epsilon

__all__ = ["ANY_CLASS", "ANY_LAYER", "Axis", "Metric", "find_metric", "parse_metric"]

ANY_LAYER = "LAYER"
"""Stands, in the list of known metrics, for any layer of the model; which there are the model says."""

ANY_CLASS = "CLASS"
"""Stands, in the list of known metrics, for any class of the data set."""

Axis = Literal["epoch", "step"]

_GRAMMAR = re.compile(r"(?P<head>\w+)(:(?P<name>[^.@:]+)(\.(?P<quantity>[^@]+))?)?(@(?P<at>.+))?")
_SAME_BUDGET = 1e-9
_ANYWHERE = (ANY_LAYER, ANY_CLASS)


@dataclass(frozen=True)
class Metric:
    """A metric: what is measured, by which part of the study, where, and how it is read.

    Args:
        quantity: what is measured: ``test_accuracy``, ``robust_accuracy``, ``edge_difference``.
        part: name of the entry of the study file that measures it; None for what every training measures.
        kind: what stands before the name where the quantity stands behind it: ``inspection``, ``measure``.
        at: a budget in pixel units, a layer, a class, or other text behind ``@``; None without one.
        axis: along what a curve runs; None for a number.
        recipes: names of the recipes of which it is measured, as they are; None for any trained setting;
            empty where it is not a property of a recipe that a claim could choose.
        higher_is_better: how "better", "worse" and "peaks" read it.
    """

    quantity: str
    part: str | None = None
    kind: str | None = None
    at: str | float | None = None
    axis: Axis | None = None
    recipes: tuple[str, ...] | None = None
    higher_is_better: bool = True

    def __str__(self) -> str:
        """Write the metric as a study file does."""
        place = "" if self.at is None else f"@{_place_words(self.at)}"
        if self.part is None:
            return f"{self.quantity}{place}"
        if self.kind is None:
            return f"{self.quantity}:{self.part}{place}"
        return f"{self.kind}:{self.part}.{self.quantity}{place}"

    @property
    def scale(self) -> Scale:
        """How it is written: in points of a hundred if it is a fraction of images, else plainly."""
        return scale_of(str(self))

    @property
    def stands_alone(self) -> bool:
        """Whether a claim about it names no recipe: the part of the study says whose it is."""
        return self.recipes == ()

    def is_named(self, written: "Metric") -> bool:
        """Whether a parsed metric names this one; budgets are compared as numbers."""
        if (self.kind, self.part, self.quantity) != (written.kind, written.part, written.quantity):
            return False
        if isinstance(self.at, float):
            budget = _budget(written.at)
            return budget is not None and abs(budget - self.at) < _SAME_BUDGET
        return self.at == written.at or (self.at in _ANYWHERE and written.at is not None)


def parse_metric(text: str) -> Metric:
    """Take a metric apart, as a study file writes it.

    Raises:
        RecipeError: it does not follow the grammar.

    Example:
        >>> parse_metric("robust_accuracy:linf@8/255")
        Metric(quantity='robust_accuracy', part='linf', kind=None, at='8/255', axis=None, recipes=None, \
higher_is_better=True)
        >>> parse_metric("inspection:edges.near_zero@conv1").quantity
        'near_zero'
    """
    found = _GRAMMAR.fullmatch(text)
    if found is None:
        raise RecipeError(
            f"metric {text!r} does not parse; write a quantity, QUANTITY@CLASS, QUANTITY:NAME@BUDGET, "
            "measure:NAME.QUANTITY or inspection:NAME.QUANTITY[@LAYER]"
        )
    head, name, quantity, at = found["head"], found["name"], found["quantity"], found["at"]
    if quantity is None:
        return Metric(head, name, at=at)
    return Metric(quantity, name, kind=head, at=at)


def find_metric(
    text: str, known: Sequence[Metric], tables: Mapping[str, Sequence[str]], *, of_curve: bool
) -> Metric:
    """Return the known metric that a text names, with the layer that the text gives.

    Args:
        text: as a study file writes it.
        known: all metrics of the study.
        tables: what stands before a colon to the tables of the study file that measure it.
        of_curve: whether a curve is wanted; ``validation_loss`` is both a number and a curve.

    Raises:
        RecipeError: the study has no such metric; the line lists those that it has.
    """
    written = parse_metric(text)
    wanted = [each for each in known if (each.axis is not None) == of_curve]
    found = next((each for each in wanted if each.is_named(written)), None)
    if found is not None:
        return replace(found, at=written.at) if found.at in _ANYWHERE else found
    if any(each.is_named(written) for each in known):
        raise RecipeError(
            f"{text} {'is one number, not a curve' if of_curve else 'is a curve'}; "
            f'{"choose another kind than" if of_curve else "it needs"} kind = "curve"'
        )
    what = "curve" if of_curve else "metric"
    nearest = difflib.get_close_matches(text, [str(each) for each in wanted], n=1)
    hint = f"Did you mean {nearest[0]!r}? " if nearest else ""
    head = text.partition(":")[0]
    if head in tables and not any(head in (each.kind, each.quantity) for each in known):
        hint = f"{head} is measured by {' or '.join(tables[head])}; add one. "
    raise RecipeError(f"no {what} {text!r}. {hint}The {what}s of this study: {', '.join(_listed(wanted))}")


def _budget(at: str | float | None) -> float | None:
    try:
        return None if at is None else parse_epsilon(at)
    except FoolscopeError:
        return None


def _place_words(at: str | float) -> str:
    return f"{at:g}" if isinstance(at, float) and at.is_integer() else plain_words(at)


def _listed(known: Iterable[Metric]) -> list[str]:
    """List metrics briefly: the budgets of an attack together."""
    groups = groupby(known, key=lambda each: str(replace(each, at=None)))
    lines = []
    for name, group in groups:
        places = [_place_words(each.at) for each in group if each.at is not None]
        lines.append(f"{name}@{' or '.join(places)}" if places else name)
    return lines
