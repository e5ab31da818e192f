"""Turning points against brute force, and how often a level curve "turns"."""

import numpy as np
import pytest
from scipy import stats

from foolscope.statistics.curves import changes_since, turning_epochs, turning_estimate
from foolscope.statistics.estimate import p_above

SEEDS, EPOCHS = 5, 30


def test_the_turning_point_of_a_seed_is_chosen_by_the_others() -> None:
    curves = np.array([[9.0, 1, 0, 9], [9, 0, 2, 9], [9, 0, 3, 9]])
    # the first: sums of the others 18, 0, 5, 18; the second: 18, 1, 3, 18; the third: 18, 1, 2, 18
    assert turning_epochs(curves).tolist() == [1, 1, 1]
    assert changes_since(curves, turning_epochs(curves)).tolist() == [8, 9, 9]
    curves[2] = [9, 9, 0, 9]
    assert turning_epochs(curves).tolist() == [2, 2, 1]
    brute = [
        int(
            np.argmin(
                [sum(curves[other, epoch] for other in range(3) if other != seed) for epoch in range(4)]
            )
        )
        for seed in range(3)
    ]
    assert turning_epochs(curves).tolist() == brute


def test_the_variance_of_a_shared_choice_is_nadeau_and_bengios() -> None:
    values = np.array([1.0, 2.0, 4.0])
    corrected = turning_estimate(values)
    assert corrected.standard_error == pytest.approx(np.sqrt((1 / 3 + 1 / 2) * values.var(ddof=1)))
    assert (corrected.value, corrected.degrees_of_freedom, corrected.seeds) == (values.mean(), 2, 3)


def level_noise(generator: np.random.Generator, seeds: int, kind: str) -> np.ndarray:
    drawn = generator.normal(size=(seeds, EPOCHS))
    if kind == "walk":
        drawn = drawn.cumsum(axis=1)
    return np.asarray(drawn)


@pytest.mark.parametrize("kind", ["independent", "walk"])
@pytest.mark.parametrize("seeds", [2, 5, 10])
def test_curves_of_noise_are_rarely_said_to_turn(kind: str, seeds: int) -> None:
    generator = np.random.default_rng(3)
    studies = [level_noise(generator, seeds, kind) for _ in range(500)]
    turns, biased = 0, 0
    for curves in studies:
        estimate = turning_estimate(changes_since(curves, turning_epochs(curves)))
        turns += p_above(estimate, 0.0) < 0.025
        own_minimum = curves[:, -1] - curves.min(axis=1)
        biased += stats.ttest_1samp(own_minimum, 0, alternative="greater").pvalue < 0.025
    # at most the promised 5 %, beyond what 500 studies show by chance
    assert stats.binomtest(turns, len(studies), 0.05, alternative="greater").pvalue > 1e-3
    if seeds == 10:
        assert biased > 0.9 * len(studies)  # what each seed's own minimum would have done


def test_the_expected_turn_of_level_noise_is_zero() -> None:
    generator = np.random.default_rng(4)
    means = []
    for _ in range(500):
        curves = level_noise(generator, SEEDS, "independent")
        means.append(changes_since(curves, turning_epochs(curves)).mean())
    assert abs(np.mean(means)) < 4 * np.std(means) / np.sqrt(500)
