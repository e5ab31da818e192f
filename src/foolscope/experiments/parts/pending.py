"""Parts of single-file rooms (to be moved into them)."""

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from foolscope.core.errors import RecipeError
from foolscope.core.settings import Settings
from foolscope.experiments.claims.metric import Metric
from foolscope.experiments.claims.sources import Cell, Measured
from foolscope.experiments.parts.attacks.part import attack_fields, over_trials
from foolscope.experiments.parts.attacks.plans import FoolingPlan, TracePlan
from foolscope.experiments.parts.attacks.targets import check_classes
from foolscope.experiments.parts.checks import check_records, gradient_check, range_test_record
from foolscope.experiments.parts.galleries import fooling_gallery
from foolscope.experiments.parts.graphs import initial_graphs
from foolscope.experiments.parts.mistakes import worst_gallery
from foolscope.experiments.parts.part import Context, Entry, Part, finished
from foolscope.experiments.parts.pictures import GalleryRecord
from foolscope.experiments.parts.trace_records import TraceRecord
from foolscope.experiments.parts.traces import QUANTITIES, trace_record
from foolscope.experiments.study import Study
from foolscope.inspection.check import Check
from foolscope.inspection.checks.learning_rates import LearningRateRange
from foolscope.inspection.checks.table import GRADIENT_CHECKS
from foolscope.inspection.graph.model_graph import ModelGraph

# ---- attack_traces


def _trace_metrics(study: Study) -> Iterator[Metric]:
    for plan in study.entries("attack_traces"):
        for quantity in QUANTITIES:
            for epsilon in (0.0, *plan.budgets()):  # 0 is what was before the attack
                yield Metric(quantity, plan.name, at=epsilon, recipes=(plan.recipe,))
        for epsilon in plan.budgets():
            yield Metric(
                "attack_loss",
                plan.name,
                at=epsilon,
                axis="step",
                recipes=(plan.recipe,),
                higher_is_better=False,
            )


def _trace_measured(metric: Metric, cell: Cell | None, context: Context) -> Measured:
    assert cell is not None  # an attack belongs to a recipe
    trials = context.trials_of(cell.name)
    diverged = len(trials) - len(finished(trials))
    records: list[TraceRecord] = [
        each for each in context.records["attack_traces"] if each.attack == metric.part
    ]
    budgets = [budget for record in records for budget in record.budgets if budget.epsilon == metric.at]
    if metric.axis == "step":
        if diverged:
            return Measured(np.empty((0, 0)), f"diverged in {diverged} of {len(trials)} seeds")
        losses = np.array(budgets[0].losses, dtype=float)
        finite = bool(np.isfinite(losses).all())
        return Measured(losses, "" if finite else "has a loss under attack that is not finite")
    values = [value for budget in budgets for value in getattr(budget, QUANTITIES[metric.quantity])]
    lost = values.count(None)
    lack = (
        f"gets no image right that counts, in {lost} of {len(trials)} seeds" if lost and not diverged else ""
    )
    return Measured(over_trials(values, cell.name, context), lack)


def _run_trace(plan: TracePlan, context: Context, entry: Entry) -> list[TraceRecord]:
    trials = context.trials_of(plan.recipe)
    if not finished(trials):
        return []
    tell = lambda done, detail: entry.tell(done, f"{plan.name}, {detail}")  # noqa: E731
    return [trace_record(plan, trials, context.session, tell)]


def _check_plan_classes(plan: TracePlan | FoolingPlan, context: Context) -> None:
    check_classes(plan, context.session.dataset(context.study.recipes[plan.recipe].dataset))


ATTACK_TRACES = Part(
    plan=TracePlan,
    record=TraceRecord,
    run=_run_trace,
    activity="following attacks",
    recipes=lambda plan: [plan.recipe],
    check=_check_plan_classes,
    measures=(*QUANTITIES, "attack_loss"),
    metrics=_trace_metrics,
    measured=_trace_measured,
    fields=attack_fields,
)


# ---- galleries


def _run_gallery(plan: FoolingPlan, context: Context, entry: Entry) -> list[GalleryRecord]:
    trials = finished(context.trials_of(plan.recipe))
    if not trials:
        return []
    record, arrays = fooling_gallery(plan, trials[0], context.session, f"fooling-{entry.place}")
    context.arrays.update(arrays)
    return [record]


GALLERIES = Part(
    plan=FoolingPlan,
    record=GalleryRecord,
    run=_run_gallery,
    activity="looking for fooling images",
    recipes=lambda plan: [plan.recipe],
    check=_check_plan_classes,
    fields=attack_fields,
)


# ---- mistakes


class MistakesPlan(Settings):
    """Which mistakes the report shows."""

    confusion: tuple[str, ...] = Field((), description="recipes whose confusion matrix is drawn")
    worst: tuple[str, ...] = Field((), description="recipes whose worst-classified images are shown")


class MistakesRecord(Settings):
    """The mistakes that the report shows."""

    confusion: list[str] = Field(description="recipes whose confusion matrix is drawn")
    worst: list[GalleryRecord]


def _run_mistakes(plan: MistakesPlan, context: Context, entry: Entry) -> list[MistakesRecord]:
    galleries = []
    for place, name in enumerate(plan.worst):
        entry.tell(place / len(plan.worst), name)
        trials = finished(context.trials_of(name))
        if trials:
            gallery, arrays = worst_gallery(name, trials[0], context.session, f"worst-{place}")
            galleries.append(gallery)
            context.arrays.update(arrays)
    return [MistakesRecord(confusion=list(plan.confusion), worst=galleries)]


MISTAKES = Part(
    plan=MistakesPlan,
    record=MistakesRecord,
    run=_run_mistakes,
    activity="collecting mistakes",
    is_single=True,
    recipes=lambda plan: [*plan.confusion, *plan.worst],
)


# ---- checks


class ChecksPlan(Settings):
    """Which recipes are checked before their numbers are believed."""

    recipes: tuple[str, ...] = Field((), description="recipes whose sanity and gradients are checked")
    learning_rates: tuple[str, ...] = Field((), description="recipes whose range of learning rates is tested")


class ChecksRecord(Settings):
    """What the checks of a study found."""

    checks: list[Check]
    range_tests: list[LearningRateRange]


def _check_metrics(study: Study) -> Iterator[Metric]:
    for name in GRADIENT_CHECKS if study.recipes else ():
        yield Metric("check", name, recipes=tuple(study.recipes), higher_is_better=False)


def _gradient_errors(metric: Metric, cell: Cell | None, context: Context) -> list[float]:
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
    return errors


def _check_measured(metric: Metric, cell: Cell | None, context: Context) -> Measured:
    return Measured(np.array(_gradient_errors(metric, cell, context)))


def _check_gradients(metric: Metric, cell: Cell | None, context: Context) -> None:
    _gradient_errors(metric, cell, context)


def _run_checks(plan: ChecksPlan, context: Context, entry: Entry) -> list[ChecksRecord]:
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


CHECKS = Part(
    plan=ChecksPlan,
    record=ChecksRecord,
    run=_run_checks,
    activity="checking",
    is_single=True,
    recipes=lambda plan: [*plan.recipes, *plan.learning_rates],
    metrics=_check_metrics,
    measured=_check_measured,
    check_metric=_check_gradients,
)


# ---- graphs

GRAPHS = Part(
    plan=tuple,
    record=ModelGraph,
    run=lambda names, context, entry: initial_graphs(context.study.recipes, context.session),
    activity="drawing graphs",
    plans=lambda study: (tuple(study.recipes),) if study.recipes else (),
)
