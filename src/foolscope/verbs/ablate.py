"""Vary one field at a time around a recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from foolscope.experiments.parts import ablations
from foolscope.experiments.parts.ablation_record import AblationRecord
from foolscope.experiments.parts.until_decided import budget_of
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.run import Observer, ignore_events, watched
from foolscope.experiments.running.session import Session
from foolscope.reports import Document
from foolscope.reports.parts.ablations import ablation_document
from foolscope.verbs.result import Result

__all__ = ["Ablation", "ablate"]


@dataclass(frozen=True)
class Ablation(Result):
    """An ablation with its verdicts."""

    record: AblationRecord

    @property
    def sentences(self) -> list[str]:
        """The verdicts in words."""
        return self.record.sentences

    @property
    def document(self) -> Document:
        """The report."""
        return ablation_document(self.record)


def ablate(
    recipe: Recipe,
    vary: Mapping[str, Sequence[Any]],
    *,
    seeds: int = 5,
    practical_difference: float = 0.005,
    metric: str = "test_accuracy",
    until_decided: bool = False,
    most_seeds: int | None = None,
    session: Session | None = None,
    observe: Observer = ignore_events,
) -> Ablation:
    """Vary one field at a time around a recipe and judge every value against the baseline.

    Args:
        recipe: the baseline.
        vary: field to values.
        seeds: trials per cell, at least 2.
        practical_difference: the smallest difference that matters, in the metric's own unit.
        metric: which result decides.
        until_decided: whether to add seeds to the values that are undecided, with error rates that hold at
            every look.
        most_seeds: after which to give up, 60 if not given; only with ``until_decided``.
        session: store, data, device and executor; the defaults if not given.
        observe: called as training goes on.

    Raises:
        RecipeError: fewer than 2 seeds, an unknown field, or a value out of range.
    """
    return Ablation(
        ablations.ablate(
            recipe,
            vary,
            seeds=seeds,
            session=watched(session or Session(), observe),
            metric=metric,
            practical_difference=practical_difference,
            most_seeds=budget_of(until_decided, most_seeds),
            observe=observe,
        )
    )
