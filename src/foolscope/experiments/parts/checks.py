"""The checks of a recipe: sanity checks and the learning-rate range test, computed once and then read."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.records import CheckRecord, RangeTestRecord
from foolscope.experiments.running.session import Session
from foolscope.inspection import (
    CHECKS,
    GRADIENT_CHECKS,
    Check,
    LearningRateRange,
    initial_model,
    learning_rate_range,
)
from foolscope.inspection.learning_rate_range import DEFAULT_RATES, DEFAULT_STEPS

__all__ = ["check_records", "code_fingerprint", "gradient_check_document", "range_test_record"]


def _tell_nothing(done: float, what: str) -> None:
    pass


def check_records(
    name: str,
    recipe: Recipe,
    session: Session,
    tell: Callable[[float, str], None] = _tell_nothing,
    *,
    model: nn.Module | None = None,
) -> list[CheckRecord]:
    """Run every check of :data:`~foolscope.inspection.CHECKS` and those of gradients, or read what they said.

    What a gradient check said counts only as long as our code and PyTorch are the same: it is about them.

    Args:
        name: how the recipe is called.
        recipe: what to check.
        session: store and data.
        tell: called with the fraction done and what comes next.
        model: the recipe's trial after training, whose gradients are to be checked; without it they are
            checked at the initial weights.
    """
    work: list[tuple[str, Callable[[], dict[str, Any]]]] = [
        (check, partial(_check_document, check, recipe, session)) for check in CHECKS
    ]
    work += [
        (check, partial(gradient_check_document, check, recipe, session, model)) for check in GRADIENT_CHECKS
    ]
    records = []
    for position, (check, document) in enumerate(work):
        tell(position / len(work), check)
        records.append(CheckRecord(recipe=name, **document()))
    return records


def gradient_check_document(
    check: str, recipe: Recipe, session: Session, model: nn.Module | None = None
) -> dict[str, Any]:
    """Make one check of :data:`~foolscope.inspection.GRADIENT_CHECKS`, or read what it said.

    Args:
        check: its name.
        recipe: what to check.
        session: store and data.
        model: the recipe's trial after training; without it the initial weights are looked at.

    Returns:
        What a :class:`~foolscope.experiments.records.CheckRecord` says of it.
    """
    weights = "initial" if model is None else "trained"
    determinants = {
        "trial": session.identify(recipe),
        "check": check,
        "weights": weights,
        "code": code_fingerprint(),
        "version": 1,
    }

    def run() -> dict[str, Any]:
        dataset = session.dataset(recipe.dataset)
        own = initial_model(recipe, dataset) if model is None else model
        return _document(GRADIENT_CHECKS[check](own, recipe, dataset))

    return {**session.store.remembered("checks", determinants, run), "weights": weights}


@cache
def code_fingerprint() -> str:
    """Return a hash of this package's code and of PyTorch's version."""
    found = hashlib.sha256(torch.__version__.encode())
    with resources.as_file(resources.files("foolscope")) as folder:
        for path in sorted(Path(folder).rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()[:20]


def range_test_record(
    name: str,
    recipe: Recipe,
    session: Session,
    rates: Sequence[float] = DEFAULT_RATES,
    steps: int = DEFAULT_STEPS,
    *,
    tell: Callable[[float, str], None] = _tell_nothing,
) -> RangeTestRecord:
    """Run the learning-rate range test, or read what it said before.

    Args:
        name: how the recipe is called.
        recipe: what to test.
        session: store and data.
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
        "trial": session.identify(recipe),
        "rates": list(rates),
        "steps": steps,
        "version": 1,
    }

    def compute() -> dict[str, Any]:
        dataset, words = session.dataset(recipe.dataset), f"{len(rates)} learning rates"
        return _as_document(
            learning_rate_range(recipe, dataset, rates, steps, lambda done: tell(done, words))
        )

    result = session.store.remembered("learning-rates", determinants, compute)
    return RangeTestRecord(recipe=name, **result)


def _check_document(check: str, recipe: Recipe, session: Session) -> dict[str, Any]:
    determinants = {"trial": session.identify(recipe), "check": check, "version": 1}

    def run() -> dict[str, Any]:
        return _document(CHECKS[check](recipe, session.dataset(recipe.dataset)))

    document: dict[str, Any] = session.store.remembered("checks", determinants, run)
    return document


def _document(check: Check) -> dict[str, Any]:
    document = asdict(check)
    return {"check": document.pop("name"), **document}


def _as_document(result: LearningRateRange) -> dict[str, Any]:
    """Return what the record says of a result, under the same names."""
    return {name: getattr(result, name) for name in RangeTestRecord.model_fields if name != "recipe"}
