"""What counts as attacked to the end when the time is up."""

from dataclasses import replace
from math import inf
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foolscope.attacks import Square, campaign, evaluate, full_evaluation, runner
from foolscope.attacks.stages import Stage, evaluation_stages
from foolscope.attacks.standings import Standings

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

    def keep(*parts: Any) -> campaign.Campaign:
        kept.append(campaign.Campaign(*parts))
        return kept[-1]

    monkeypatch.setattr(full_evaluation, "Campaign", keep)
    curve = evaluate(Counted().eval(), IMAGES, LABELS, "l1", [1e-4], seed=0, time_budget_seconds=1e9)
    assert curve.robust_accuracies == (1.0,)
    (ended,) = kept
    ended.case = replace(ended.case, deadline=0.0)  # time is up between the last attack and the result
    assert ended.case.is_over()
    assert int((ended.waiting() > 0).sum()) == HELD
    assert ended.unfinished() == 0


def test_a_search_of_the_sample_that_is_cut_short_is_unfinished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "BLACK_BOX_SAMPLE", Stage("square", Square(steps=60)))
    model = Counted().eval()
    for module in (campaign, full_evaluation, runner):
        monkeypatch.setattr(module, "monotonic", lambda: float(model.asked))

    def unfinished(batches: float) -> int:
        model.asked = 0
        budget = {"time_budget_seconds": batches}
        return evaluate(model, IMAGES, LABELS, "linf", [1e-4], seed=0, **budget).unfinished

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
    monkeypatch.setattr(campaign, "BLACK_BOX_SAMPLE", Stage("square", Square(steps=5)))
    lates = {}
    record = Standings.record

    def watched(standings: Standings, *entry: Any) -> None:
        lates[entry[3]] = entry[5]
        record(standings, *entry)

    monkeypatch.setattr(Standings, "record", watched)
    monkeypatch.setattr(Standings, "near", lambda standings, labels, reach: labels >= 0)
    evaluate(Counted().eval(), IMAGES, LABELS, "linf", epsilons, seed=0)
    names = [stage.name for stage in evaluation_stages("linf", epsilons, 2)]
    told = {names[turn]: late for turn, late in lates.items() if turn < len(names)}
    assert told.pop("apgd-long") == 75
    assert len(told) > 2
    assert set(told.values()) == {inf}
