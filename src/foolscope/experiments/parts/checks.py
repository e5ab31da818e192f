"""Sanity checks and the learning-rate range test of a recipe, computed once and then read from the store."""

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.session import Session
from foolscope.inspection.check import Check
from foolscope.inspection.checks.initial_loss import initial_model
from foolscope.inspection.checks.learning_rate_range import DEFAULT_RATES, DEFAULT_STEPS, learning_rate_range
from foolscope.inspection.checks.learning_rates import LearningRateRange
from foolscope.inspection.checks.table import CHECKS, GRADIENT_CHECKS

__all__ = ["check_records", "code_fingerprint", "gradient_check", "range_test_record"]


def _tell_nothing(done: float, what: str) -> None:
    pass


def check_records(
    name: str,
    recipe: Recipe,
    session: Session,
    tell: Callable[[float, str], None] = _tell_nothing,
    *,
    model: nn.Module | None = None,
) -> list[Check]:
    """Run all sanity checks and gradient checks, or read their stored results.

    A gradient check is about our code and PyTorch, so its result counts only while both are the same.

    Args:
        name: of the recipe.
        recipe: what to check.
        session: store and data.
        tell: called with the fraction done and what comes next.
        model: the recipe's trained model; without it, gradients are checked at the initial weights.
    """
    work: dict[str, Callable[[], Check]] = {
        **{check: partial(_sanity_check, check, recipe, session) for check in CHECKS},
        **{check: partial(gradient_check, check, recipe, session, model) for check in GRADIENT_CHECKS},
    }
    records = []
    for position, (check, run) in enumerate(work.items()):
        tell(position / len(work), check)
        records.append(run().model_copy(update={"recipe": name}))
    return records


def gradient_check(check: str, recipe: Recipe, session: Session, model: nn.Module | None = None) -> Check:
    """Run one check of :data:`~foolscope.inspection.checks.table.GRADIENT_CHECKS`, or read its stored result.

    Args:
        check: its name.
        recipe: what to check.
        session: store and data.
        model: the recipe's trained model; without it, gradients are checked at the initial weights.
    """
    weights: Literal["initial", "trained"] = "initial" if model is None else "trained"
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

    return Check(weights=weights, **session.store.remembered("checks", determinants, run))


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
) -> LearningRateRange:
    """Run the learning-rate range test, or read its stored result.

    Args:
        name: of the recipe.
        recipe: what to test.
        session: store and data.
        rates: positive; the recipe's own is tried, too.
        steps: of each run.
        tell: called with the fraction done and a detail.

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
        found = learning_rate_range(recipe, dataset, rates, steps, lambda done: tell(done, words))
        return found.model_dump(mode="json", exclude={"recipe"})

    return LearningRateRange(recipe=name, **session.store.remembered("learning-rates", determinants, compute))


def _sanity_check(check: str, recipe: Recipe, session: Session) -> Check:
    determinants = {"trial": session.identify(recipe), "check": check, "version": 1}

    def run() -> dict[str, Any]:
        return _document(CHECKS[check](recipe, session.dataset(recipe.dataset)))

    return Check(**session.store.remembered("checks", determinants, run))


def _document(check: Check) -> dict[str, Any]:
    return check.model_dump(mode="json", exclude={"recipe", "weights"})
