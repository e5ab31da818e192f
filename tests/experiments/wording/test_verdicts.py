"""What a verdict says: what is compared, by how much, with which evidence."""

import math
from dataclasses import replace

import pytest

from foolscope.experiments.wording.sentences import scale_of
from foolscope.experiments.wording.verdicts import factor_sentence, verdict_sentence
from foolscope.statistics.verdicts import Verdict

HURTS = Verdict(
    cell="batch_size=1024",
    baseline="baseline",
    outcome="hurts",
    estimate=-0.0441,
    interval=(-0.0492, -0.0390),
    confidence=0.95,
    p_different=0.0002,
    p_equivalent=1.0,
    practical_difference=0.005,
    minimum_detectable_effect=0.01,
    seeds=5,
    seeds_needed=0,
    diverged=0,
    baseline_diverged=0,
    higher_is_better=True,
    alpha=0.05,
    doubts=(),
)
SAME = replace(
    HURTS,
    outcome="no effect",
    estimate=-0.001,
    interval=(-0.004, 0.002),
    confidence=0.9,
    p_equivalent=0.012,
)
OPEN = replace(
    HURTS, outcome="undecided", estimate=-0.003, interval=(-0.009, 0.003), p_different=0.43, seeds_needed=7
)
HELPS = replace(HURTS, outcome="helps", estimate=0.012, interval=(0.01, 0.014), p_different=0.03)
BROKEN = replace(HURTS, outcome="diverged", diverged=2, estimate=math.nan)


@pytest.mark.parametrize(
    ("verdict", "parts"),
    [
        (HURTS, ["Batch size B costs 4.4 points", "A (95 % interval 3.9 to 4.9, adjusted p < 0.001)"]),
        (HELPS, ["Batch size B gains 1.2 points", "A (95 % interval 1.0 to 1.4, adjusted p = 0.03)"]),
        (
            SAME,
            ["no effect larger than 0.5 points", "B is 0.1 points below A", "−0.4 to 0.2", "p = 0.012"],
        ),
        (replace(SAME, estimate=0.0001), ["B is level with A", "(90 % interval"]),
        (replace(SAME, confidence=0.97), ["(adjusted 90 % interval"]),
        (replace(HURTS, confidence=0.98), ["(adjusted 95 % interval 3.9 to 4.9, adjusted p"]),
        (
            replace(SAME, outcome="smaller than matters", interval=(-0.003, -0.001), p_different=0.01),
            ["Batch size B costs 0.1 points compared with A, less than the 0.5 points that would matter ("],
        ),
        (
            OPEN,
            ["Undecided", "B is 0.3 points below A", "−0.9 to 0.3", "p = 0.43", "about 7 more seeds would"],
        ),
        (replace(OPEN, estimate=0.003, interval=(-0.003, 0.009)), ["0.3 points above A", "−0.3 to 0.9"]),
        (replace(OPEN, seeds_needed=1), ["about 1 more seed would decide"]),
        (replace(OPEN, seeds_needed=None), ["more than 1000 more seeds"]),
        (
            replace(OPEN, seeds=1, seeds_needed=None, interval=(-math.inf, math.inf)),
            ["Undecided", "0.3 points below A; one seed"],
        ),
        (BROKEN, ["Batch size B diverged in 2 of 5 seeds (a rate between 5 and 85 %)."]),
        (replace(BROKEN, seeds=1, diverged=1), ["diverged in 1 of 1 seed."]),
        (replace(OPEN, baseline_diverged=1), ["Undecided", "batch size A, diverged in 1 of 5 seeds"]),
    ],
)
def test_a_verdict_says_what_is_compared_and_by_how_much(verdict: Verdict, parts: list[str]) -> None:
    sentence = verdict_sentence(verdict, "batch size", "B", "A")
    assert not [part for part in parts if part not in sentence], sentence
    assert ("interval" in sentence) == (math.isfinite(verdict.interval[0]) and "p " in sentence)


def test_a_loss_is_written_plainly() -> None:
    loss = replace(HURTS, estimate=0.123, interval=(0.1, 0.146), higher_is_better=False)
    sentence = verdict_sentence(loss, "L2 coefficient", "0.1", "0", scale_of("test_loss"))
    assert "L2 coefficient 0.1 is 0.12 worse than 0 (95 % interval 0.10 to 0.15" in sentence
    better = replace(loss, outcome="helps", estimate=-0.123, interval=(-0.146, -0.1))
    sentence = verdict_sentence(better, "L2 coefficient", "0.1", "0", scale_of("test_loss"))
    assert "is 0.12 better than 0 (95 % interval 0.10 to 0.15" in sentence


@pytest.mark.parametrize(
    ("verdicts", "parts"),
    [
        ([SAME], ["The L2 coefficient has no effect larger than 0.5 points."]),
        ([SAME, SAME], ["No L2 coefficient tried differs from 0 by 0.5 points or more."]),
        ([OPEN, OPEN], ["Undecided", "an effect larger than 0.5 points."]),
        ([BROKEN, BROKEN], ["Every L2 coefficient other than 0 diverged."]),
        (
            [HURTS, replace(HURTS, estimate=-0.011)],
            ["Every L2 coefficient other than 0 hurts by 1.1 to 4.4 points."],
        ),
        ([HELPS], ["L2 coefficient, compared with 0: v0 helps."]),
        (
            [SAME, HURTS, OPEN, BROKEN],
            ["v0 has no effect larger than 0.5 points; v1 hurts; v2 is undecided; v3 diverged."],
        ),
        (
            [HURTS, SAME, SAME, HURTS, HURTS],
            ["v0, v3 and v4 hurt; v1 and v2 have no effect larger than 0.5 points."],
        ),
    ],
)
def test_a_factor_is_summed_up(verdicts: list[Verdict], parts: list[str]) -> None:
    named = {f"v{index}": verdict for index, verdict in enumerate(verdicts)}
    sentence = factor_sentence(named, "L2 coefficient", "0")
    assert not [part for part in parts if part not in sentence], sentence
    assert "L2 coefficient" in sentence
