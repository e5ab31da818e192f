"""Claims about curves: t tests by other means, and every outcome."""

from typing import Any

import numpy as np
import pydantic
import pytest
from scipy import stats

from foolscope.experiments.claims.claim import Claim, CurveClaim
from foolscope.experiments.claims.curves import (
    curve_evidence,
    curve_of,
)
from foolscope.experiments.claims.judgement import ClaimResult, judge_evidence
from foolscope.experiments.wording.sentences import POINTS
from foolscope.experiments.wording.statements import statement_sentence
from foolscope.statistics.curves import turning_epochs

CLAIM = pydantic.TypeAdapter(Claim)
SEEDS, EPOCHS = 5, 30
PROGRESS = np.linspace(0, 1, EPOCHS)
VALLEY = 2 - 4 * PROGRESS * (1 - PROGRESS) + 0.3 * PROGRESS  # lowest at epoch 14, 1.3 higher at the end


def claim(relation: str, **fields: Any) -> CurveClaim:
    entry = {"sentence": "So it goes", "kind": "curve", "recipe": "r", "metric": "validation_loss"}
    parsed = CLAIM.validate_python({**entry, "is": relation, **fields})
    assert isinstance(parsed, CurveClaim)
    return parsed


def noisy(mean: np.ndarray, noise: float = 0.02, seed: int = 0, seeds: int = SEEDS) -> np.ndarray:
    generator = np.random.default_rng(seed)
    own = generator.normal(0, 0.1, (seeds, 1))  # a seed is higher or lower throughout, which must not matter
    drawn: np.ndarray = mean + own + generator.normal(0, noise, (seeds, len(mean)))
    return drawn


def judged(given: CurveClaim, validation: np.ndarray, training: np.ndarray | None = None) -> ClaimResult:
    curves = {given.metric: validation}
    if training is not None:
        curves["running_loss"] = training
    return judge_evidence(given.sentence, curve_evidence(given, curves, practical_difference=0.01))


@pytest.mark.parametrize(
    ("relation", "mean", "outcome"),
    [
        ("rises", PROGRESS, "upheld"),
        ("rises", -PROGRESS, "contradicted"),
        ("rises", 0 * PROGRESS, "undecided"),
        ("falls", -PROGRESS, "upheld"),
        ("falls", PROGRESS, "contradicted"),
        ("turns upwards", VALLEY, "upheld"),
        ("turns upwards", -PROGRESS, "contradicted"),  # it falls to the end
        ("turns upwards", PROGRESS, "upheld"),  # lowest at the first epoch
        ("turns downwards", -VALLEY, "upheld"),
        ("turns downwards", VALLEY, "contradicted"),  # highest at the end
        ("rises steadily", 3 * PROGRESS, "upheld"),
        ("rises steadily", VALLEY, "contradicted"),
        ("falls steadily", -3 * PROGRESS, "upheld"),
    ],
)
def test_outcomes(relation: str, mean: np.ndarray, outcome: str) -> None:
    noise = 0.005 if "steadily" in relation else 0.02
    assert judged(claim(relation), noisy(mean, noise)).outcome == outcome


def test_rises_is_the_t_test_of_last_minus_first() -> None:
    curves = noisy(0.02 * PROGRESS)
    result = judged(claim("rises"), curves)
    change = curves[:, -1] - curves[:, 0]
    assert result.p_upheld == pytest.approx(stats.ttest_1samp(change, 0).pvalue)
    assert result.p_contradicted == pytest.approx(stats.ttest_1samp(change, 0.01, alternative="less").pvalue)
    by = judged(claim("rises", by=0.05), curves)
    assert by.p_contradicted == pytest.approx(stats.ttest_1samp(change, 0.05, alternative="less").pvalue)


def test_every_step_of_a_steady_curve_is_tested() -> None:
    curves = noisy(np.arange(4.0), noise=0.3)
    result = judged(claim("rises steadily"), curves)
    p_values = [stats.ttest_1samp(step, 0).pvalue for step in np.diff(curves, axis=1).T]
    assert result.p_upheld == pytest.approx(max(p_values))
    spans = [each.quantity.label.partition(" the ")[0] for each in result.evidence.statements]
    assert spans == ["From epoch 1 to 2", "From epoch 2 to 3", "From epoch 3 to 4"]


def test_meanwhile_is_measured_over_the_same_epochs() -> None:
    falling = {"metric": "running_loss", "is": "falls"}
    both = claim("turns upwards", meanwhile=falling)
    assert judged(both, noisy(VALLEY), noisy(2 - PROGRESS, seed=1)).outcome == "upheld"
    # it falls as a whole, but rises again from where the validation loss is lowest
    late = np.maximum(2 - 4 * PROGRESS, PROGRESS)
    assert judged(both, noisy(VALLEY), noisy(late, seed=1)).outcome == "contradicted"
    assert judged(claim("falls", metric="running_accuracy"), noisy(late)).outcome == "upheld"
    from_the_start = claim("rises", meanwhile=falling)
    assert judged(from_the_start, noisy(PROGRESS), noisy(late, seed=1)).outcome == "upheld"


def test_what_is_said_names_the_epochs_and_the_numbers() -> None:
    curves = np.tile(VALLEY, (SEEDS, 1)) + np.arange(SEEDS)[:, None] * 0.01 * PROGRESS
    falling = {"metric": "running_accuracy", "is": "falls"}
    given = claim("turns upwards", meanwhile=falling)
    own = {"validation_loss": curves, "running_accuracy": noisy(0.9 - 0.5 * PROGRESS)}
    evidence = curve_evidence(given, own, 0.01)
    assert evidence.note.endswith(f"epoch {int(np.argmin(VALLEY)) + 1} of {EPOCHS}")
    loss, accuracy = (each.quantity for each in evidence.statements)
    assert "validation loss rises" in loss.above
    assert "running accuracy falls" in accuracy.below
    assert accuracy.scale is POINTS  # whatever the claim's own metric is
    assert "validation loss rises by 1.1" in statement_of(judge_evidence(given.sentence, evidence), 0)


def statement_of(result: ClaimResult, position: int) -> str:
    each = result.evidence.statements[position]
    return statement_sentence(each.statement, each.quantity, result.scale, 0.05, contradicting=False)


def test_seeds_that_turn_at_different_epochs_are_told_apart() -> None:
    curves = np.array([[9.0, 1, 0, 9], [9, 0, 2, 9], [9, 9, 0, 9]])
    note = curve_evidence(claim("turns upwards"), {"validation_loss": curves}, 0.01).note
    starts = turning_epochs(curves)
    assert (starts.min(), starts.max()) == (1, 2)
    assert note.endswith("epochs 2 to 3 of 4")


def test_a_curve_that_is_lowest_at_the_end_has_not_turned() -> None:
    result = judged(claim("turns upwards"), noisy(-PROGRESS))
    assert result.outcome == "contradicted"
    assert "epoch 30 of 30" in result.reason
    assert result.doubts == ()


def test_costs_are_losses_with_the_penalty() -> None:
    history: list[dict[str, float | None]] = [
        {"running_loss": 1.0, "validation_loss": 2.0, "penalty": 0.25, "running_accuracy": 0.5},
        {"running_loss": None, "validation_loss": 3.0, "penalty": 0.5, "running_accuracy": 0.6},
    ]
    assert curve_of(history, "running_cost") == [1.25, None]
    assert curve_of(history, "validation_cost") == [2.25, 3.5]
    assert curve_of(history, "running_accuracy") == [0.5, 0.6]
