"""Sanity checks and the learning-rate range test of a recipe, computed once and then read from the store."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.core.settings import Settings
from foolscope.experiments.claims.metric import Metric
from foolscope.experiments.claims.sources import Cell, Measured
from foolscope.experiments.parts.part import Context, Entry, Part, Tell
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.initial_weights import initial_weights
from foolscope.experiments.running.session import Session
from foolscope.experiments.study import Study
from foolscope.inspection.check import Check
from foolscope.inspection.checks import CHECKS, GRADIENT_CHECKS
from foolscope.inspection.checks.initial_loss import initial_model
from foolscope.inspection.checks.learning_rate_range import (
    DEFAULT_RATES,
    DEFAULT_STEPS,
    LearningRateRange,
    learning_rate_range,
)

__all__ = [
    "PART",
    "ChecksPlan",
    "ChecksRecord",
    "check_records",
    "code_fingerprint",
    "gradient_check",
    "range_test_record",
]


def _tell_nothing(done: float, what: str) -> None:
    pass


def check_records(
    name: str,
    recipe: Recipe,
    session: Session,
    tell: Tell = _tell_nothing,
    *,
    model: nn.Module | None = None,
) -> list[Check]:
    """Run all sanity checks and gradient checks, or read their stored results.

    Gradients are checked at the weights of the recipe's trained model, or at initial ones without it.

    A gradient check is about our code and PyTorch, so its result counts only while both are the same.

    Raises:
        RecipeError: the recipe starts from a file of weights that cannot be read or does not fit.
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
    """Run one check of :data:`~foolscope.inspection.checks.GRADIENT_CHECKS`, or read its stored result.

    Without the recipe's trained model, gradients are checked at the initial weights.
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
        own = initial_model(recipe, dataset, initial_weights(recipe)) if model is None else model
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
    tell: Tell = _tell_nothing,
) -> LearningRateRange:
    """Run the learning-rate range test at positive rates and the recipe's own, or read its result.

    Raises:
        RecipeError: the rates or the number of steps make no sense.
    """
    if steps < 1 or not rates or not all(0.0 < rate < math.inf for rate in rates):
        raise RecipeError(
            f"a range test needs positive rates and at least 1 step; got {rates}, {steps} steps"
        )
    trial = session.identify(recipe)
    determinants = {"trial": trial, "rates": list(rates), "steps": steps, "version": _version(recipe)}

    def compute() -> dict[str, Any]:
        dataset, words = session.dataset(recipe.dataset), f"{len(rates)} learning rates"
        found = learning_rate_range(
            recipe, dataset, rates, steps, lambda done: tell(done, words), initial_weights(recipe)
        )
        return found.model_dump(mode="json", exclude={"recipe"})

    return LearningRateRange(recipe=name, **session.store.remembered("learning-rates", determinants, compute))


def _sanity_check(check: str, recipe: Recipe, session: Session) -> Check:
    determinants = {"trial": session.identify(recipe), "check": check, "version": _version(recipe)}

    def run() -> dict[str, Any]:
        return _document(CHECKS[check](recipe, session.dataset(recipe.dataset), initial_weights(recipe)))

    return Check(**session.store.remembered("checks", determinants, run))


def _version(recipe: Recipe) -> int:
    """Return the version of a check's method: once it did not start from a recipe's file of weights."""
    return 1 if recipe.initial_weights is None else 2


def _document(check: Check) -> dict[str, Any]:
    return check.model_dump(mode="json", exclude={"recipe", "weights"})


class ChecksPlan(Settings):
    """Which recipes are checked before their numbers are believed."""

    recipes: tuple[str, ...] = Field((), description="recipes whose sanity and gradients are checked")
    learning_rates: tuple[str, ...] = Field((), description="recipes whose range of learning rates is tested")


class ChecksRecord(Settings):
    """What the checks of a study found."""

    checks: list[Check]
    range_tests: list[LearningRateRange]


def _metrics(study: Study) -> Iterator[Metric]:
    for name in GRADIENT_CHECKS if study.recipes else ():
        yield Metric("check", name, recipes=tuple(study.recipes), higher_is_better=False)


def _measured(metric: Metric, cell: Cell | None, context: Context) -> Measured:
    """Make a gradient check with the initial weights of every seed, or read what it found."""
    assert cell is not None
    assert metric.part is not None
    tell = context.teller("checking gradients")
    errors = []
    for seed in range(context.study.seeds):
        tell(seed / context.study.seeds, f"{cell.name}, {metric.part}")
        recipe = cell.recipe.model_copy(update={"seed": seed})
        check = gradient_check(metric.part, recipe, context.session)
        if check.left_out:
            raise RecipeError(f"no claim can be made about {metric.part} of {cell.name}: {check.sentence}")
        errors.append(check.numbers["error"])
    return Measured(np.array(errors))


def _check_gradients(metric: Metric, cell: Cell | None, context: Context) -> None:
    _measured(metric, cell, context)


def _run(plan: ChecksPlan, context: Context, entry: Entry) -> list[ChecksRecord]:
    recipes, total = context.study.recipes, len(plan.recipes) + len(plan.learning_rates)
    checks: list[Check] = []
    range_tests: list[LearningRateRange] = []

    def tell(done: float, detail: str) -> None:
        place = len({check.recipe for check in checks}) + len(range_tests)
        entry.tell((place + done) / total, f"{name}, {detail}")

    for name in plan.recipes:
        checks += check_records(name, recipes[name], context.session, tell)
    for name in plan.learning_rates:
        range_tests.append(range_test_record(name, recipes[name], context.session, tell=tell))
    return [ChecksRecord(checks=checks, range_tests=range_tests)]


PART = Part(
    plan=ChecksPlan,
    record=ChecksRecord,
    run=_run,
    activity="checking",
    is_single=True,
    recipes=lambda plan: [*plan.recipes, *plan.learning_rates],
    metrics=_metrics,
    measured=_measured,
    check_metric=_check_gradients,
)
