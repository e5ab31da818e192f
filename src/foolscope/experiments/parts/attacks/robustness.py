"""Robust accuracy by budget: of one model, and of the models of all seeds of several recipes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from foolscope.experiments.parts.attacks.plans import AttackPlan
from foolscope.experiments.parts.attacks.records import CurveRecord, MaskingRecord, SubjectRecord
from foolscope.experiments.parts.attacks.stored import StoredAttack, attack_subjects
from foolscope.experiments.parts.attacks.summary import attack_details, summed_checks, summed_details
from foolscope.experiments.parts.part import Tell, finished
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.subjects.subject import Subject, run_subject
from foolscope.statistics.blocks import BlockDesign, mean_interval

__all__ = ["curve_record", "robustness_curves"]

_PIXELS = 1 << 25
"""Of the images of models that are attacked side by side; an evaluation keeps about five copies of them."""


def robustness_curves(
    plan: AttackPlan, trials: Mapping[str, Sequence[StoredTrial]], session: Session, tell: Tell
) -> list[CurveRecord]:
    """Attack the models of all seeds and recipes side by side, or read the stored results.

    Args:
        plan: attacks and budgets.
        trials: recipe to its trials, of which at least one did not diverge; the others are skipped.
        session: store and data.
        tell: is told of progress.

    Returns:
        One record for each recipe.
    """
    trained = [(name, trial) for name, own in trials.items() for trial in finished(own)]
    records: list[CurveRecord] = []
    correct: list[Bool[np.ndarray, "budget image"]] = []
    for some in _portions(run_subject(trial, None, "test", plan.images, session) for _, trial in trained):

        def told(done: float, stage: str, before: int = len(records), count: int = len(some)) -> None:
            tell((before + count * done) / len(trained), f"{count} models side by side, {stage}")

        attacks = attack_subjects(
            some, plan.norm, plan.budgets(), plan.attacks, store=session.store, progress=told
        )
        records += [curve_record(attack) for attack in attacks]
        correct += [
            np.stack([attack.curve.correct_at(epsilon).numpy() for epsilon in plan.budgets()])
            for attack in attacks
        ]
    return [
        _over_seeds(
            plan,
            name,
            finished(own),
            [record for record, (owner, _) in zip(records, trained, strict=True) if owner == name],
            [each for each, (owner, _) in zip(correct, trained, strict=True) if owner == name],
        )
        for name, own in trials.items()
    ]


def _portions(subjects: Iterable[Subject]) -> Iterator[list[Subject]]:
    """Divide subjects into runs of neighbors whose images fit in memory together."""
    some: list[Subject] = []
    for subject in subjects:
        if some and sum(each.images.numel() for each in (*some, subject)) > _PIXELS:
            yield some
            some = []
        some.append(subject)
    if some:
        yield some


def _over_seeds(
    plan: AttackPlan,
    recipe: str,
    trained: Sequence[StoredTrial],
    records: Sequence[CurveRecord],
    correct: Sequence[Bool[np.ndarray, "budget image"]],
) -> CurveRecord:
    """Return the record of a recipe from those of its seeds."""
    accuracies = [record.accuracies[0] for record in records]
    cells = tuple(f"{epsilon:.12g}" for epsilon in plan.budgets())
    design = BlockDesign(
        cells,
        tuple(trial.recipe.seed for trial in trained),
        np.array(accuracies).T,
        correct=np.stack(correct, axis=1),
    )
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
            "evaluations": [folder for record in records for folder in record.evaluations],
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
        evaluations=[attack.folder.name],
        details=attack_details(curve, subject.classes),
        checks=checks,
    )
