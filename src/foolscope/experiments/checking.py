"""The checks of a recipe: sanity checks and the learning-rate range test, computed once and then read."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from foolscope.core.errors import RecipeError
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.records import CheckRecord, RangeTestRecord
from foolscope.experiments.workplace import Workplace
from foolscope.inspection import CHECKS, LearningRateRange, learning_rate_range
from foolscope.inspection.learning_rate_range import DEFAULT_RATES, DEFAULT_STEPS

__all__ = ["check_records", "range_test_record"]


def _tell_nothing(done: float, what: str) -> None:
    pass


def check_records(
    name: str, recipe: Recipe, workplace: Workplace, tell: Callable[[float, str], None] = _tell_nothing
) -> list[CheckRecord]:
    """Run every check of :data:`~foolscope.inspection.CHECKS`, or read what it said before.

    Args:
        name: how the recipe is called.
        recipe: what to check.
        workplace: store and data.
        tell: called with the fraction done and what comes next.
    """
    records = []
    for position, check in enumerate(CHECKS):
        tell(position / len(CHECKS), check)
        determinants = {"trial": workplace.identify(recipe), "check": check, "version": 1}
        result = workplace.store.remembered(
            "checks", determinants, partial(_run_check, check, recipe, workplace)
        )
        records.append(CheckRecord(recipe=name, **result))
    return records


def range_test_record(
    name: str,
    recipe: Recipe,
    workplace: Workplace,
    rates: Sequence[float] = DEFAULT_RATES,
    steps: int = DEFAULT_STEPS,
    *,
    tell: Callable[[float, str], None] = _tell_nothing,
) -> RangeTestRecord:
    """Run the learning-rate range test, or read what it said before.

    Args:
        name: how the recipe is called.
        recipe: what to test.
        workplace: store and data.
        rates: to be tried, positive, beside the recipe's own.
        steps: for each of them.
        tell: called with the fraction done and what goes on.

    Raises:
        RecipeError: the rates or the number of steps make no sense.
    """
    if steps < 1 or not rates or not all(0.0 < rate < math.inf for rate in rates):
        raise RecipeError(
            f"a range test needs positive rates and at least 1 step; got {rates}, {steps} steps"
        )
    determinants = {
        "trial": workplace.identify(recipe),
        "rates": list(rates),
        "steps": steps,
        "version": 1,
    }

    def compute() -> dict[str, Any]:
        dataset, words = workplace.dataset(recipe.dataset), f"{len(rates)} learning rates"
        return _as_document(
            learning_rate_range(recipe, dataset, rates, steps, lambda done: tell(done, words))
        )

    result = workplace.store.remembered("learning-rates", determinants, compute)
    return RangeTestRecord(recipe=name, **result)


def _run_check(check: str, recipe: Recipe, workplace: Workplace) -> dict[str, Any]:
    result = CHECKS[check](recipe, workplace.dataset(recipe.dataset))
    return {
        "check": result.name,
        "passed": result.passed,
        "sentence": result.sentence,
        "numbers": result.numbers,
    }


def _as_document(result: LearningRateRange) -> dict[str, Any]:
    """Return what the record says of a result, under the same names."""
    return {name: getattr(result, name) for name in RangeTestRecord.model_fields if name != "recipe"}
