"""Traces of attacks: the loss at each step and the outcome for the images, for the models of every seed."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foolscope.attacks import AttackResult, run
from foolscope.experiments.parts.attacks.plans import TracePlan, as_attack
from foolscope.experiments.parts.attacks.stored import ATTACK_VERSION
from foolscope.experiments.parts.attacks.targets import TargetedImages, targeted_images
from foolscope.experiments.parts.trace_records import TraceBudgetRecord, TraceRecord
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.statistics.blocks import BlockDesign, mean_interval
from foolscope.threats import Threat

__all__ = ["QUANTITIES", "trace_record"]

QUANTITIES = {
    "robust_accuracy": "robust_accuracies",
    "success_rate": "success_rates",
    "label_probability": "label_probabilities",
}
"""Quantities that claims may name -> the field of a budget's record with one value per seed."""

Interval = tuple[float | None, float | None, float | None]


def trace_record(
    plan: TracePlan,
    trials: Sequence[StoredTrial],
    session: Session,
    tell: Callable[[float, str], None],
) -> TraceRecord:
    """Trace an attack on the model of every seed, or read the results from the store.

    Args:
        plan: attack, classes, budgets, number of images.
        trials: one per seed; those that diverged are skipped.
        session: store and data.
        tell: called with the fraction done and a detail.
    """
    determinants = {
        "plan": plan.model_dump(mode="json", exclude={"name", "recipe", "epsilons"}),
        "epsilons": plan.budgets(),
        "version": ATTACK_VERSION,
    }

    def follow(trial: StoredTrial) -> dict[str, Any]:
        return _follow(plan, trial, session)

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


def _follow(plan: TracePlan, trial: StoredTrial, session: Session) -> dict[str, Any]:
    """Attack one model with every budget."""
    targeted = targeted_images(plan, session.dataset(trial.recipe.dataset), plan.images)
    model = trial.model(session.device)
    results = [
        _attack(plan, Threat(plan.norm, epsilon), model, targeted, trial) for epsilon in plan.budgets()
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


def _attack(
    plan: TracePlan, threat: Threat, model: nn.Module, targeted: TargetedImages, trial: StoredTrial
) -> AttackResult:
    return run(
        model,
        targeted.images,
        targeted.labels,
        threat,
        as_attack(plan.attack),
        seed=trial.recipe.seed,
        targets=targeted.targets,
        trace=True,
    )


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
