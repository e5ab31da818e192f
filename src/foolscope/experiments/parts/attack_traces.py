"""Traces of attacks: the loss at each step and the outcome for the images, for the models of every seed."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any

import numpy as np
import pydantic
import torch
from pydantic import Field
from torch import Tensor

from foolscope.attacks import AttackResult, run
from foolscope.core.settings import Settings
from foolscope.experiments.claims.metric import Metric
from foolscope.experiments.claims.sources import Cell, Measured
from foolscope.experiments.parts.attacks.part import attack_fields, over_trials
from foolscope.experiments.parts.attacks.plans import TargetedPlan, as_attack, ascending
from foolscope.experiments.parts.attacks.stored import ATTACK_VERSION
from foolscope.experiments.parts.attacks.targets import check_classes, targeted_images
from foolscope.experiments.parts.part import Context, Entry, Part, Tell, finished
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study import Study
from foolscope.statistics.blocks import BlockDesign, mean_interval
from foolscope.threats import Threat

__all__ = ["PART", "QUANTITIES", "TraceBudgetRecord", "TracePlan", "TraceRecord", "trace_record"]

QUANTITIES = {
    "robust_accuracy": "robust_accuracies",
    "success_rate": "success_rates",
    "label_probability": "label_probabilities",
}
"""Quantities that claims may name -> the field of a budget's record with one value per seed."""

_MOST_STEPS = 1000  # every step of a traced attack is a number in the record

Interval = tuple[float | None, float | None, float | None]


class TracePlan(TargetedPlan):
    """One attack on the models of every seed, followed step by step, and what it does to the images."""

    name: str = Field(description='name in claims, as in metric = "success_rate:NAME@8/255"')
    epsilons: Annotated[tuple[str | float, ...], Field(min_length=1)]
    images: int = Field(1000, ge=1, description="number of test images (of the source), from the start")

    @pydantic.model_validator(mode="after")
    def _budgets_and_steps_make_sense(self) -> "TracePlan":
        if self.budgets()[0] == 0:
            raise ValueError("epsilons must be above 0; the report also shows the model without attack")
        steps = as_attack(self.attack).steps
        if steps > _MOST_STEPS:
            raise ValueError(f"a traced attack takes at most {_MOST_STEPS} steps; got {steps}")
        return self

    def budgets(self) -> tuple[float, ...]:
        """Return the budgets in pixel units, ascending."""
        return ascending(self.norm, self.epsilons)


class TraceBudgetRecord(Settings):
    """The outcome of a traced attack at one budget; at ε = 0, without an attack."""

    epsilon: float
    robust_accuracies: list[float] = Field(description="of all images attacked, one per seed")
    success_rates: list[float | None] = Field(description="of the images counted, one per seed; null if none")
    label_probabilities: list[float | None] = Field(
        description="mean probability of the label, of the images counted, one per seed; null if none"
    )
    losses: list[list[float | None]] = Field(
        description="mean cross-entropy of the label in nats over all images attacked: per seed, before each "
        "step and after the last; empty for ε = 0"
    )
    means: dict[str, tuple[float | None, float | None, float | None]] = Field(
        description="robust_accuracy, success_rate, label_probability: mean over seeds and 95 % interval"
    )
    mean_losses: list[tuple[float | None, float | None, float | None]] = Field(
        description="by step: mean over seeds and 95 % interval"
    )


class TraceRecord(Settings):
    """One attack on the models of every seed, traced step by step."""

    attack: str
    recipe: str
    norm: str
    settings: dict[str, Any] = Field(description="of the attack, with its name")
    source: str | None
    target: str
    confidence: float
    images: int = Field(description="attacked, for each seed")
    counted: list[int] = Field(
        description="images that the model classifies correctly with the confidence required, one per seed"
    )
    seeds: list[int]
    budgets: list[TraceBudgetRecord] = Field(description="ascending; the first is ε = 0")
    doubts: list[str]
    forward_count: int
    backward_count: int


def trace_record(plan: TracePlan, trials: Sequence[StoredTrial], session: Session, tell: Tell) -> TraceRecord:
    """Trace an attack on the model of every seed that did not diverge, or read the results from the store."""
    determinants = {
        "plan": plan.model_dump(mode="json", exclude={"name", "recipe", "epsilons"}),
        "epsilons": plan.budgets(),
        "version": ATTACK_VERSION,
    }
    follow = partial(_follow, plan, session)
    by_seed = session.store.remembered_by_seed("traces", determinants, follow, trials, tell)
    seeds, results = list(by_seed), list(by_seed.values())
    return TraceRecord(
        attack=plan.name,
        recipe=plan.recipe,
        norm=plan.norm,
        settings=plan.attack.model_dump(mode="json", exclude_none=True),
        source=plan.source,
        target=plan.target,
        confidence=plan.confidence,
        images=results[0]["images"],
        counted=[result["counted"] for result in results],
        seeds=seeds,
        budgets=[
            _over_seeds(epsilon, [result["budgets"][place] for result in results], seeds)
            for place, epsilon in enumerate((0.0, *plan.budgets()))
        ],
        doubts=list(dict.fromkeys(doubt for result in results for doubt in result["doubts"])),
        forward_count=sum(result["forward_count"] for result in results),
        backward_count=sum(result["backward_count"] for result in results),
    )


def _follow(plan: TracePlan, session: Session, trial: StoredTrial) -> dict[str, Any]:
    """Attack one model with every budget."""
    targeted = targeted_images(plan, session.dataset(trial.recipe.dataset), plan.images)
    model = trial.model(session.device)
    results = [
        run(
            model,
            targeted.images,
            targeted.labels,
            Threat(plan.norm, epsilon),
            as_attack(plan.attack),
            seed=trial.recipe.seed,
            targets=targeted.targets,
            trace=True,
        )
        for epsilon in plan.budgets()
    ]
    clean = results[0].clean_logits.softmax(1)
    of_label = clean.gather(1, targeted.labels[:, None])[:, 0]
    counted = results[0].clean_correct & (of_label >= plan.confidence)
    before: dict[str, Any] = {
        "robust_accuracy": results[0].clean_accuracy,
        "success_rate": 0.0 if bool(counted.any()) else None,
        "label_probability": _mean(of_label[counted]),
        "losses": [],
    }
    return {
        "images": len(targeted.labels),
        "counted": int(counted.sum()),
        "budgets": [before, *[_outcome(result, targeted.labels, counted) for result in results]],
        "doubts": [doubt for result in results for doubt in result.doubts],
        "forward_count": sum(result.forward_count for result in results),
        "backward_count": sum(result.backward_count for result in results),
    }


def _outcome(result: AttackResult, labels: Tensor, counted: Tensor) -> dict[str, Any]:
    of_label = result.adversarial_probabilities.gather(1, labels[:, None])[:, 0]
    return {
        "robust_accuracy": result.robust_accuracy,
        "success_rate": _mean(result.success[counted]),
        "label_probability": _mean(of_label[counted]),
        "losses": [_mean(column) for column in result.losses_by_step.unbind(1)],
    }


def _mean(values: Tensor) -> float | None:
    """Return the mean; None without values, or if it is not finite."""
    mean = values.to(torch.float64).mean().item()
    return mean if np.isfinite(mean) else None


def _over_seeds(
    epsilon: float, outcomes: Sequence[dict[str, Any]], seeds: Sequence[int]
) -> TraceBudgetRecord:
    by_seed = {name: [outcome[name] for outcome in outcomes] for name in QUANTITIES}
    losses = [outcome["losses"] for outcome in outcomes]
    return TraceBudgetRecord(
        epsilon=epsilon,
        losses=losses,
        means={name: _interval(values, seeds, largest=1.0) for name, values in by_seed.items()},
        mean_losses=[_interval(values, seeds) for values in zip(*losses, strict=True)],
        **{field: by_seed[name] for name, field in QUANTITIES.items()},
    )


def _interval(values: Sequence[float | None], seeds: Sequence[int], *, largest: float = np.inf) -> Interval:
    """Return the mean and its 95 % interval over the seeds, clipped to [0, largest]."""
    design = BlockDesign(("all",), tuple(seeds), np.array([values], dtype=float))
    mean, low, high = mean_interval(design, "all")
    if low is None or high is None:
        return mean, None, None
    return mean, max(0.0, low), min(largest, high)


def _metrics(study: Study) -> Iterator[Metric]:
    for plan in study.entries("attack_traces"):
        for quantity in QUANTITIES:
            for epsilon in (0.0, *plan.budgets()):  # 0 is what was before the attack
                yield Metric(quantity, plan.name, at=epsilon, recipes=(plan.recipe,))
        for epsilon in plan.budgets():
            recipes = (plan.recipe,)
            yield Metric(
                "attack_loss", plan.name, at=epsilon, axis="step", recipes=recipes, higher_is_better=False
            )


def _measured(metric: Metric, cell: Cell | None, context: Context) -> Measured:
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
        return Measured(losses, "" if finite else "has an infinite or NaN loss under attack")
    values = [value for budget in budgets for value in getattr(budget, QUANTITIES[metric.quantity])]
    lost = values.count(None)
    lack = f"gets no counted image right in {lost} of {len(trials)} seeds" if lost and not diverged else ""
    return Measured(over_trials(values, cell.name, context), lack)


def _run(plan: TracePlan, context: Context, entry: Entry) -> list[TraceRecord]:
    trials = context.trials_of(plan.recipe)
    if not finished(trials):
        return []
    tell = lambda done, detail: entry.tell(done, f"{plan.name}, {detail}")  # noqa: E731
    return [trace_record(plan, trials, context.session, tell)]


PART = Part(
    plan=TracePlan,
    record=TraceRecord,
    run=_run,
    activity="following attacks",
    recipes=lambda plan: [plan.recipe],
    check=check_classes,
    measures=(*QUANTITIES, "attack_loss"),
    metrics=_metrics,
    measured=_measured,
    fields=attack_fields,
)
