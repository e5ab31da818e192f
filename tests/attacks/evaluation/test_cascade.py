"""What counts as attacked to the end when the time is up."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foolscope.attacks import Square, evaluate_robustness
from foolscope.attacks.evaluation import cascade, full_evaluation
from foolscope.attacks.evaluation.stages import AttackStage, evaluation_stages
from foolscope.attacks.evaluation.state import EvaluationState
from foolscope.attacks.runner import loop
from foolscope.threats import Threat

IMAGES = 0.5 + 0.02 * torch.randn(40, 1, 4, 4, generator=torch.Generator().manual_seed(2))
HELD = 40


class Counted(nn.Module):
    """A linear model that counts the batches it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
        self.asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += 1
        return images.flatten(1) @ self.weights


LABELS = Counted()(IMAGES).argmax(1)


def test_what_no_attack_is_left_for_is_finished_in_l1_too(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []

    def keep(*parts: Any) -> cascade.Cascade:
        kept.append(cascade.Cascade(*parts))
        return kept[-1]

    monkeypatch.setattr(full_evaluation, "Cascade", keep)
    curve = evaluate_robustness(
        Counted().eval(), IMAGES, LABELS, "l1", [1e-4], seed=0, time_budget_seconds=1e9
    )
    assert curve.robust_accuracies == (1.0,)
    (ended,) = kept
    ended.inputs = replace(ended.inputs, deadline=0.0)  # time is up between the last attack and the result
    assert ended.inputs.is_time_up()
    assert int((ended.budgets() > 0).sum()) == HELD
    assert ended.unfinished() == 0


def test_a_search_of_the_sample_that_is_cut_short_is_unfinished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cascade, "BLACK_BOX_SAMPLE", AttackStage("square", Square(steps=60)))
    model = Counted().eval()
    for module in (cascade, full_evaluation, loop):
        monkeypatch.setattr(module, "monotonic", lambda: float(model.asked))

    def unfinished(batches: float) -> int:
        model.asked = 0
        budget = {"time_budget_seconds": batches}
        return evaluate_robustness(model, IMAGES, LABELS, "linf", [1e-4], seed=0, **budget).unfinished

    assert unfinished(1e9) == 0
    whole = model.asked
    sampled = unfinished(whole - 30)  # in the midst of the search, which comes last
    assert 0 < sampled < HELD
    assert model.asked < whole - 20
    assert unfinished(whole - 10) == sampled
    assert unfinished(10) == HELD


@pytest.mark.parametrize("epsilons", [[0.02], [0.01, 0.02]])
def test_what_falls_late_is_told_of_the_longest_attack_alone(
    monkeypatch: pytest.MonkeyPatch, epsilons: list[float]
) -> None:
    monkeypatch.setattr(cascade, "BLACK_BOX_SAMPLE", AttackStage("square", Square(steps=5)))
    lates = {}
    record = EvaluationState.record

    def watched(state: EvaluationState, *entry: Any, late_from: float, **rest: Any) -> None:
        lates[entry[3]] = late_from
        record(state, *entry, late_from=late_from, **rest)

    monkeypatch.setattr(EvaluationState, "record", watched)
    monkeypatch.setattr(EvaluationState, "near_boundary", lambda state, labels, ratio: labels >= 0)
    evaluate_robustness(Counted().eval(), IMAGES, LABELS, "linf", epsilons, seed=0)
    names = [stage.name for stage in evaluation_stages("linf", epsilons, 2)]
    told = {names[turn]: late for turn, late in lates.items() if turn < len(names)}
    assert told.pop("apgd-long") == 75
    assert len(told) > 2
    assert set(told.values()) == {inf}


class Brightness(nn.Module):
    """Class 0 leads each of nine others by the sum of 16 pixels less 1: an attack takes 16 ε of that."""

    def forward(self, images: Tensor) -> Tensor:
        brightness = images.flatten(1).sum(1, keepdim=True)
        return torch.cat([brightness, brightness.new_ones(len(images), 9)], 1)


@pytest.mark.parametrize(
    ("ratio", "budgets", "last"),
    [
        (0.05, [0.1], "apgd-restarts"),
        (0.15, [0.1], "apgd-long"),
        (0.3, [0.1], "apgd-others"),
        (0.7, [0.1], "apgd-next"),
        (1.5, [0.1], "apgd-next"),
        (3.0, [0.1], "apgd-nearest"),
        (0.12, [0.05, 0.1], "apgd-long"),
        (0.2, [0.05, 0.1], "apgd-others"),
    ],
)
def test_the_farther_from_the_boundary_the_fewer_stages(
    monkeypatch: pytest.MonkeyPatch, ratio: float, budgets: list[float], last: str
) -> None:
    """The images keep ``ratio`` times of what attacks take within the largest budget."""
    monkeypatch.setattr(cascade, "BLACK_BOX_SAMPLE", AttackStage("square", Square(steps=5)))
    images = torch.full((4, 1, 4, 4), budgets[-1] * (1 + ratio) + 1 / 16)
    labels = torch.zeros(4, dtype=torch.int64)
    seen: list[str] = []
    curve = evaluate_robustness(
        Brightness().eval(),
        images,
        labels,
        "linf",
        budgets,
        seed=0,
        progress=lambda stage, done, left: seen.append(stage),
    )
    assert set(curve.robust_accuracies) == {1.0}
    assert seen[-1] == "square"
    assert seen[-2] == last
    order = [stage.name for stage in evaluation_stages("linf", budgets, 9)]
    assert seen[:-1] == order[: order.index(last) + 1]


@pytest.mark.parametrize(("held", "drawn"), [(1, 1), (3, 1), (40, 10), (64, 16), (200, 16), (320, 20)])
def test_a_sample_is_a_quarter_or_sixteen_or_a_sixteenth(held: int, drawn: int) -> None:
    inputs = cascade.EvaluationInputs(
        model=Counted(),
        low_precision_model=None,
        surrogate=None,
        images=torch.zeros(held, 1, 1, 1),
        labels=torch.zeros(held, dtype=torch.int64),
        indices=torch.arange(held) + 7,
        threat=Threat("linf", 0.1),
        epsilons=(0.1,),
        seed=0,
        batch_size=1,
        levels=None,
        deadline=None,
    )
    state = EvaluationState.start(inputs.images, inputs.labels, torch.zeros(held, 2), 1)
    rows = cascade.Cascade(inputs, state, evaluation_stages("linf", [0.1], 1), None, None).sample(
        torch.arange(held)
    )
    assert len(set(rows.tolist())) == len(rows) == drawn
