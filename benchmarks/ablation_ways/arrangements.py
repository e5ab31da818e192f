"""Whether the planner's estimate takes the faster arrangement: one pack on two threads, or two in processes.

The constants of the estimate come from some networks; what it does with the others is the test.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablation_ways import packs
from ablation_ways.way import Way
from ablation_ways.work import WORKS, Work, dataset_of, trials_of
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.packs import PackLimits, plan_packs
from foolscope.experiments.running.run import pending_trial
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.sharing import seconds_alone, seconds_side_by_side

__all__ = ["SHAPES", "Shape", "estimate", "table", "ways_of"]

_CELLS = 8


@dataclass(frozen=True)
class Shape:
    """A network and its data.

    Args:
        work: its trials differ in the learning rate.
        tuned_on: whether the estimate's constants come from it.
    """

    work: Work
    tuned_on: bool


def _shape(dataset: str, model: Any, batch_size: int, *, tuned_on: bool) -> Shape:
    base = recipe_from(
        {
            "dataset": dataset,
            "model": model,
            "schedule": "exponential",
            "training": {"batch_size": batch_size},
            "precision": "float32",
        }
    )
    return Shape(replace(WORKS["a3"], base=base), tuned_on)


SHAPES: dict[str, Shape] = {
    "a3": _shape("cifar10", {"name": "mlp", "hidden": [100]}, 128, tuned_on=True),
    "softmax": _shape("cifar10", "softmax", 128, tuned_on=True),
    "digits-32": _shape("digits", {"name": "mlp", "hidden": [32]}, 64, tuned_on=True),
    "convnet": _shape("cifar10", "convnet", 64, tuned_on=True),
    "c2": _shape("cifar10", "small-cnn", 64, tuned_on=False),
    "digits-64": _shape("digits", {"name": "mlp", "hidden": [64]}, 64, tuned_on=False),
    "resnet": _shape("cifar10", "resnet", 64, tuned_on=False),
    "lstm": _shape("cifar10", "lstm", 64, tuned_on=False),
}


def ways_of(shape: Shape, precision: str) -> tuple[Way, Way]:
    """Return eight cells in one pack on two threads, and in two packs of four in two processes."""
    found = [way for way in packs.ways(shape.work, (_CELLS, _CELLS // 2)) if way.precision == precision]
    (one,) = (way for way in found if way.trial_steps == _CELLS and way.arrangement == "2 threads")
    (two,) = (
        way
        for way in found
        if way.trial_steps == _CELLS // 2 and way.seeds == 1 and way.arrangement == "2 processes"
    )
    return one, two


def estimate(shape: Shape, precision: str) -> float:
    """Return how many times as long the estimate says that threads take as processes, without their start."""
    session = Session("unused", device="cpu")
    recipes = [with_values(each, {"precision": precision}) for each in trials_of(shape.work, _CELLS)]
    dataset = dataset_of(shape.work.base.dataset)
    pending = [pending_trial(str(index), each, dataset, session) for index, each in enumerate(recipes)]
    roomy = PackLimits(2**40)
    alone = seconds_alone(plan_packs(pending, roomy), threads=2)
    return alone / seconds_side_by_side(plan_packs(pending, roomy, workers=2), workers=2, threads=1)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return what was measured and estimated, and what each wrong choice costs."""
    lines = [f"{'':24}{'threads, ms':>13}{'processes, ms':>15}{'ratio':>8}{'estimate':>10}  choice"]
    for row in rows:
        ratio = row["threads"] / row["processes"]
        right = (ratio > 1) == (row["estimate"] > 1)
        lost = max(ratio, 1 / ratio) - 1
        name = f"{row['shape']}, {row['precision']}{' *' if row['tuned_on'] else ''}"
        lines.append(
            f"{name:24}{row['threads']:13.4f}{row['processes']:15.4f}{ratio:8.2f}{row['estimate']:10.2f}  "
            + ("right" if right else f"wrong, {lost:.0%} slower")
        )
    return "\n".join([*lines, "* the constants of the estimate come from it"])
