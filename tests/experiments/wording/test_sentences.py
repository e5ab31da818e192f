"""The sentences, word for word."""

import math
from dataclasses import replace

import pytest

from foolscope.experiments.wording.sentences import (
    PLAIN,
    POINTS,
    amount,
    describe_steps,
    factor_sentence,
    number,
    p_text,
    scale_of,
    verdict_sentence,
)
from foolscope.statistics.verdicts import Verdict

HURTS = Verdict(
    cell="batch_size=1024",
    baseline="baseline",
    outcome="hurts",
    estimate=-0.0441,
    interval=(-0.0492, -0.0390),
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
SAME = replace(HURTS, outcome="no effect", estimate=-0.001, interval=(-0.004, 0.002), p_equivalent=0.012)
OPEN = replace(
    HURTS, outcome="undecided", estimate=-0.003, interval=(-0.009, 0.003), p_different=0.43, seeds_needed=7
)
HELPS = replace(HURTS, outcome="helps", estimate=0.012, interval=(0.01, 0.014), p_different=0.03)
BROKEN = replace(HURTS, outcome="diverged", diverged=2, estimate=math.nan)


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (HURTS, "Batch size B costs 4.4 points against A (95 % interval 3.9 to 4.9, adjusted p < 0.001)."),
        (HELPS, "Batch size B gains 1.2 points against A (95 % interval 1.0 to 1.4, adjusted p = 0.03)."),
        (
            SAME,
            "No effect of the batch size larger than 0.5 points: B against A differs by −0.1 points "
            "(95 % interval −0.4 to 0.2, adjusted equivalence p = 0.012).",
        ),
        (
            OPEN,
            "Undecided: batch size B against A differs by −0.3 points (95 % interval −0.9 to 0.3, "
            "adjusted p = 0.43); about 7 more seeds would decide.",
        ),
        (
            replace(OPEN, seeds_needed=1),
            "Undecided: batch size B against A differs by −0.3 points (95 % interval −0.9 to 0.3, "
            "adjusted p = 0.43); about 1 more seed would decide.",
        ),
        (
            replace(OPEN, seeds_needed=None),
            "Undecided: batch size B against A differs by −0.3 points (95 % interval −0.9 to 0.3, "
            "adjusted p = 0.43); more than 1000 more seeds would be needed.",
        ),
        (
            replace(OPEN, seeds=1, seeds_needed=None, interval=(-math.inf, math.inf)),
            "Undecided: batch size B against A differs by −0.3 points; one seed has no error bar, "
            "run at least three.",
        ),
        (BROKEN, "Batch size B diverged in 2 of 5 seeds."),
        (
            replace(OPEN, baseline_diverged=1),
            "Undecided: the baseline, batch size A, diverged in 1 of 5 seeds, so that nothing can be "
            "compared with it.",
        ),
    ],
)
def test_verdict_sentences(verdict: Verdict, expected: str) -> None:
    assert verdict_sentence(verdict, "batch size", "B", "A") == expected


def test_a_loss_is_written_plainly() -> None:
    verdict = replace(HURTS, estimate=0.123, interval=(0.1, 0.146), higher_is_better=False)
    sentence = verdict_sentence(verdict, "L2 coefficient", "0.1", "0", scale_of("test_loss"))
    expected = "L2 coefficient 0.1 is worse by 0.12 than 0 (95 % interval 0.10 to 0.15, adjusted p < 0.001)."
    assert sentence == expected


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([SAME, SAME], "No effect of the L2 coefficient larger than 0.5 points."),
        ([OPEN, OPEN], "Undecided whether there is an effect of the L2 coefficient larger than 0.5 points."),
        ([BROKEN], "Every L2 coefficient other than 0 diverged."),
        (
            [HURTS, replace(HURTS, estimate=-0.011)],
            "Every L2 coefficient other than 0 hurts, by 1.1 to 4.4 points.",
        ),
        ([HELPS], "Every L2 coefficient other than 0 helps, by 1.2 points."),
        (
            [SAME, HURTS, OPEN, BROKEN],
            "L2 coefficient against 0: v0 has no effect larger than 0.5 points; v1 hurts; v2 is undecided; "
            "v3 diverged.",
        ),
        (
            [HURTS, SAME, SAME, HURTS, HURTS],
            "L2 coefficient against 0: v0, v3 and v4 hurt; v1 and v2 have no effect larger than 0.5 points.",
        ),
    ],
)
def test_factor_sentences(verdicts: list[Verdict], expected: str) -> None:
    named = {f"v{index}": verdict for index, verdict in enumerate(verdicts)}
    assert factor_sentence(named, "L2 coefficient", "0") == expected


def test_numbers() -> None:
    assert scale_of("robust_accuracy") is POINTS
    assert scale_of("validation_loss") is PLAIN
    assert number(-0.0001, POINTS) == "0.0"
    assert number(-0.0001, POINTS, half_width=0.00005) == "−0.010"
    assert number(0.5, POINTS, half_width=0.0) == "50.0"
    assert number(-3e-14, PLAIN) == "−3e−14"
    assert number(3e-14, PLAIN, half_width=1e-15) == "3e−14"
    assert number(1.5, PLAIN, half_width=20.0) == "1.50"
    assert amount(0.01, POINTS) == "1 point"
    assert amount(-0.025, POINTS) == "−2.5 points"
    assert p_text(0.0009) == "p < 0.001"
    assert p_text(0.123) == "p = 0.12"


def test_steps() -> None:
    assert describe_steps(("a", "b", "c"), (1.0, 2.0, 3.0)) == "the means rise at every step"
    assert (
        describe_steps(("a", "b", "c", "d"), (1.0, 3.0, 3.0, 2.0))
        == "the means rise except from b to c, from c to d"
    )
