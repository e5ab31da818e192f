"""Which part of a study is asked for a metric."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foolscope.core.errors import RecipeError
from foolscope.core.settings import Settings
from foolscope.experiments.claims.metric import ANY_LAYER, Metric
from foolscope.experiments.claims.sources import Cell, Design, Measured
from foolscope.experiments.parts import sources
from foolscope.experiments.parts.part import Context, Part
from foolscope.experiments.parts.sources import PartSources
from foolscope.experiments.parts.table import PARTS
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import Store
from foolscope.experiments.study import Study
from foolscope.experiments.study_file import study_from

CELL = Cell("r", {}, Recipe())
MINE, YOURS = (Design("r", "test_accuracy", {label: CELL.recipe}, {}, {}) for label in ("mine", "yours"))


def context_of(study: Study) -> Context:
    return Context(study, Session(Store(Path("nothing-is-written-here")), device="cpu"))


def part_that(answers: float, *metrics: Metric, refuses: str = "", **fields: Any) -> Part[Any, Any]:
    """A part with these metrics, each of this value, which refuses claims about one quantity."""

    def check(metric: Metric, cell: Cell | None, context: Context) -> None:
        if metric.quantity == refuses:
            raise RecipeError(f"{answers} refuses {metric}")

    return Part(
        plan=Settings,
        record=Settings,
        run=lambda plan, context, entry: [],
        activity="working",
        metrics=lambda study: metrics,
        measured=lambda metric, cell, context: Measured(np.array([answers], dtype=float)),
        check_metric=check,
        **fields,
    )


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PartSources]:
    def use(**parts: Part[Any, Any]) -> PartSources:
        monkeypatch.setattr(sources, "PARTS", parts)
        return PartSources(context_of(Study(name="a", title="A", question="Why?")))

    return use


def test_the_part_that_has_a_metric_is_asked_for_it(found: Callable[..., PartSources]) -> None:
    """A curve and a number of one name, budgets of one attack and layers may belong to different parts."""
    own = found(
        first=part_that(1, Metric("loss"), Metric("robust", "linf", at=0.1), refuses="loss"),
        second=part_that(2, Metric("loss", axis="epoch"), Metric("robust", "linf", at=0.2)),
        third=part_that(3, Metric("zeros", "edges", kind="inspection", at=ANY_LAYER), refuses="zeros"),
    )

    def value(text: str, *, of_curve: bool = False) -> float:
        return own.measured(own.find(text, of_curve=of_curve), CELL).values.item()

    assert (value("loss"), value("loss", of_curve=True)) == (1, 2)
    assert (value("robust:linf@0.1"), value("robust:linf@1/5")) == (1, 2)
    assert value("inspection:edges.zeros@conv1") == 3
    own.check(own.find("loss", of_curve=True), CELL)
    own.check(own.find("robust:linf@0.1", of_curve=False), CELL)
    for text, part in (("loss", "1"), ("inspection:edges.zeros@conv1", "3")):
        with pytest.raises(RecipeError, match=f"{part} refuses {text}"):
            own.check(own.find(text, of_curve=False), CELL)


def test_designs_come_in_the_order_of_the_parts(found: Callable[..., PartSources]) -> None:
    own = found(
        a=part_that(1, designs=lambda study: [MINE]),
        b=part_that(2),
        c=part_that(3, designs=lambda study: [YOURS]),
    )
    assert list(own.designs()) == [MINE, YOURS]


def test_every_table_that_measures_a_quantity_is_named(found: Callable[..., PartSources]) -> None:
    own = found(
        a=part_that(1, measures=("robust", "zeros")), b=part_that(2), c=part_that(3, measures=("robust",))
    )
    with pytest.raises(RecipeError, match=r"robust is measured by \[\[a\]\] or \[\[c\]\]; add one"):
        own.find("robust:linf@0.1", of_curve=False)
    with pytest.raises(RecipeError, match=r"zeros is measured by \[\[a\]\]; add one"):
        own.find("zeros:x", of_curve=False)


def test_every_metric_of_a_study_is_found_by_its_name() -> None:
    """With all parts: a metric that another part's hides could never be claimed about."""
    attack = {"name": "bim", "steps": 2}
    study = study_from(
        {
            "name": "tiny",
            "title": "A title",
            "question": "Why?",
            "recipes": {"r": {"model": {"name": "mlp", "hidden": [4]}}},
            "attacks": [{"name": "linf", "recipes": ["r"], "epsilons": [0.0, "8/255"], "attacks": ["fgsm"]}],
            "attack_traces": [{"name": "steps", "recipe": "r", "epsilons": ["8/255", 0.3], "attack": attack}],
        }
    )
    own = PartSources(context_of(study))
    metrics = [metric for part in PARTS.values() for metric in part.metrics(study)]
    assert {metric.part for metric in metrics} >= {None, "linf", "steps"}
    for metric in metrics:
        assert own.find(str(metric), of_curve=metric.axis is not None) == metric
