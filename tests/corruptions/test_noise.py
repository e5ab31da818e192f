"""Noise in distribution: means, variances and shares that follow from the definitions."""

import numpy as np
import pytest
import torch

from foolscope.corruptions import corrupt

LEVEL = 128 / 255
SEVERITIES = (1, 3, 5)
SIDE = 64


def noisy(name, severity, level=LEVEL):
    images = torch.full((4, 3, SIDE, SIDE), level)
    return corrupt(images, name, severity, seed=1).double().numpy()


def expected_after_8_bits(deviation):
    """What cutting off to 256 levels does to mean and deviation of a smooth density."""
    return LEVEL - 0.5 / 255, np.sqrt(deviation**2 + 1 / 12 / 255**2)


@pytest.mark.parametrize(
    ("name", "deviations"),
    [
        ("gaussian-noise", {1: 0.04, 3: 0.08, 5: 0.10}),
        ("speckle-noise", {1: 0.06 * LEVEL, 3: 0.12 * LEVEL, 5: 0.2 * LEVEL}),
        ("shot-noise", {each: np.sqrt(LEVEL / photons) for each, photons in ((1, 500), (3, 100), (5, 50))}),
    ],
)
def test_mean_and_deviation_follow_from_the_definition(name, deviations):
    for severity, deviation in deviations.items():
        values = noisy(name, severity)
        mean, spread = expected_after_8_bits(deviation)
        error = deviation / np.sqrt(values.size)
        assert values.mean() == pytest.approx(mean, abs=4 * error + 1e-4)
        assert values.std() == pytest.approx(spread, rel=4 / np.sqrt(2 * values.size) + 2e-3)


def test_shot_noise_counts_whole_photons():
    values = noisy("shot-noise", 5)
    counts = np.arange(51) / 50
    assert set(np.unique(values)) <= set((np.floor(255 * counts + 1e-3) / 255).astype(np.float32).tolist())


@pytest.mark.parametrize(("severity", "share"), [(1, 0.01), (3, 0.03), (5, 0.07)])
def test_impulse_noise_replaces_a_share_by_black_and_white(severity, share):
    values = noisy("impulse-noise", severity)
    tolerance = 4 * np.sqrt(share / 2 / values.size)
    for extreme in (0.0, 1.0):
        assert (values == extreme).mean() == pytest.approx(share / 2, abs=tolerance)
    assert (abs(values - LEVEL) < 1e-6).mean() == pytest.approx(1 - share, abs=2 * tolerance)


@pytest.mark.parametrize("name", ["gaussian-noise", "shot-noise", "impulse-noise", "speckle-noise"])
def test_noise_is_white_and_differs_between_channels(name):
    values = noisy(name, 3)
    values -= values.mean()
    variance = (values**2).mean()
    neighbors = [values[..., 1:] * values[..., :-1], values[..., 1:, :] * values[..., :-1, :]]
    for products in (*neighbors, values[:, 1:] * values[:, :-1], values[1:] * values[:-1]):
        assert abs(products.mean()) < 5 * variance / np.sqrt(products.size)


def test_noise_in_proportion_leaves_black_alone():
    for name in ("shot-noise", "speckle-noise"):
        assert not noisy(name, 5, level=0.0).any()
