import itertools

import numpy as np
import pytest
from scipy.special import log_softmax

from foolscope.inspection.answers.calibration import calibration, calibration_error_by_chance


def test_it_is_the_sum_over_bins_written_out():
    generator = np.random.default_rng(0)
    log_probabilities = log_softmax(2 * generator.normal(size=(200, 4)), axis=1)
    labels = generator.integers(4, size=200)
    probabilities = np.exp(log_probabilities)
    found = calibration(log_probabilities, labels, np.random.default_rng(1), bins=7)
    error = 0.0
    for place in range(7):
        inside = [row for row in range(200) if place / 7 < probabilities[row].max() <= (place + 1) / 7]
        counted = found.bins[place]
        assert counted.images == len(inside)
        if inside:
            accuracy = np.mean([probabilities[row].argmax() == labels[row] for row in inside])
            confidence = np.mean([probabilities[row].max() for row in inside])
            assert counted.accuracy == pytest.approx(accuracy)
            assert counted.confidence == pytest.approx(confidence)
            error += len(inside) / 200 * abs(accuracy - confidence)
    assert found.expected_error == pytest.approx(error)
    one_hot = np.eye(4)[labels]
    assert found.brier_score == pytest.approx(np.mean(np.sum((probabilities - one_hot) ** 2, axis=1)))
    assert found.negative_log_likelihood == pytest.approx(
        -np.mean(np.sum(one_hot * log_probabilities, axis=1))
    )


def test_the_upper_end_belongs_to_a_bin_and_certainty_to_the_last():
    with np.errstate(divide="ignore"):
        certain = np.log(np.array([[0.5, 0.5], [1.0, 0.0]]))
    generator = np.random.default_rng(0)
    found = calibration(certain, np.array([0, 0]), generator, bins=2)
    assert [each.images for each in found.bins] == [1, 1]
    empty = calibration(certain[1:], np.array([0]), generator, bins=2).bins[0]
    assert (empty.low, empty.high, empty.images) == (0.0, 0.5, 0)
    assert empty.confidence is empty.accuracy is empty.accuracy_low is None


def test_a_model_that_is_as_sure_as_it_is_right_has_no_error():
    log_probabilities = np.log(np.array([[0.75, 0.25]] * 4))
    for labels, error in (([0, 0, 0, 1], 0.0), ([0, 0, 0, 0], 0.25)):
        found = calibration(log_probabilities, np.array(labels), np.random.default_rng(0))
        assert found.expected_error == pytest.approx(error)


def test_the_error_by_chance_is_that_of_every_outcome_weighed():
    confidence = np.array([0.55, 0.58, 0.9])  # the first two share a bin
    expected = 0.0
    for outcome in itertools.product([0, 1], repeat=3):
        weight = np.prod(np.where(outcome, confidence, 1 - confidence))
        right = np.array(outcome)
        expected += weight * (abs(right[:2].sum() - 1.13) + abs(right[2] - 0.9)) / 3
    draws = calibration_error_by_chance(confidence, np.random.default_rng(0), bins=5, draws=4000)
    assert draws.mean() == pytest.approx(expected, abs=4 * draws.std() / 4000**0.5)
