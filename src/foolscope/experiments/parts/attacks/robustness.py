"""Robust accuracy by budget: of one model, and of the models of all seeds of a recipe."""

from collections.abc import Sequence

import numpy as np

from foolscope.experiments.parts.attacks.plans import AttackPlan
from foolscope.experiments.parts.attacks.records import CurveRecord, MaskingRecord, SubjectRecord
from foolscope.experiments.parts.attacks.stored import StoredAttack, attack_subject
from foolscope.experiments.parts.attacks.summary import attack_details, summed_checks, summed_details
from foolscope.experiments.parts.part import Tell, finished
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.subjects.subject import run_subject
from foolscope.statistics.blocks import BlockDesign, mean_interval

__all__ = ["curve_record", "robustness_curve"]


def robustness_curve(
    plan: AttackPlan, recipe: str, trials: Sequence[StoredTrial], session: Session, tell: Tell
) -> CurveRecord:
    """Attack the model of every seed that did not diverge, at every budget, or read the stored results."""
    trained = finished(trials)
    records = []
    for position, trial in enumerate(trained):
        tell(position / len(trained), f"seed {trial.recipe.seed}")
        subject = run_subject(trial, None, "test", plan.images, session)
        records.append(
            curve_record(
                attack_subject(subject, plan.norm, plan.budgets(), plan.attacks, store=session.store)
            )
        )
    accuracies = [record.accuracies[0] for record in records]
    cells = tuple(f"{epsilon:.12g}" for epsilon in plan.budgets())
    design = BlockDesign(cells, tuple(trial.recipe.seed for trial in trained), np.array(accuracies).T)
    intervals = [mean_interval(design, cell) for cell in cells]
    return records[0].model_copy(
        update={
            "attack": plan.name,
            "recipe": recipe,
            "accuracies": accuracies,
            "balanced_accuracies": [record.balanced_accuracies[0] for record in records],
            "mean": [float(mean) for mean in np.mean(accuracies, axis=0)],
            "low": [low if low is None else max(0.0, low) for _, low, _ in intervals],
            "high": [high if high is None else min(1.0, high) for _, _, high in intervals],
            "doubts": list(dict.fromkeys(doubt for record in records for doubt in record.doubts)),
            "forward_count": sum(record.forward_count for record in records),
            "backward_count": sum(record.backward_count for record in records),
            "attacked": None,
            "details": summed_details([record.details for record in records if record.details is not None]),
            "checks": summed_checks([record.checks for record in records]),
        }
    )


def curve_record(attack: StoredAttack) -> CurveRecord:
    """Return the record of an attack on one model; its 95 % intervals are for images drawn like these."""
    curve, subject = attack.curve, attack.subject
    intervals = curve.intervals()
    checks = [
        MaskingRecord(seen=int(check.fired), models=1, **check.model_dump(exclude={"fired"}))
        for check in curve.checks
    ]
    return CurveRecord(
        attack="attack",
        recipe=subject.name,
        norm=curve.norm,
        attacks=list(curve.attacks),
        images=len(curve.labels),
        epsilons=list(curve.epsilons),
        accuracies=[list(curve.robust_accuracies)],
        balanced_accuracies=[list(curve.balanced_accuracies)],
        mean=list(curve.robust_accuracies),
        low=[low for low, _ in intervals],
        high=[high for _, high in intervals],
        doubts=list(curve.doubts),
        forward_count=curve.forward_count,
        backward_count=curve.backward_count,
        settings=[each.model_dump(mode="json", exclude_none=True) for each in attack.attacks],
        attacked=SubjectRecord(**{name: subject.facts.get(name) for name in SubjectRecord.model_fields}),
        details=attack_details(curve, subject.classes),
        checks=checks,
    )
