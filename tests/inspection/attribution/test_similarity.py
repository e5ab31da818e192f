import numpy as np
import torch
from scipy import stats

from foolscope.inspection.attribution.similarity import other_images, spearman, structural_similarity

GENERATOR = torch.Generator().manual_seed(0)
ONE, OTHER = (torch.rand(5, 14, 12, generator=GENERATOR) for _ in range(2))


def test_rank_correlations_are_scipys_with_ties():
    other = (4 * (ONE + OTHER)).round()
    expected = [
        stats.spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(ONE.numpy(), other.numpy(), strict=True)
    ]
    np.testing.assert_allclose(spearman(ONE, other).numpy(), expected, atol=1e-12)


def ssim(one, other):
    """Wang et al. 2004, equation 13, window by window: Gaussian, 11 × 11, deviation 1.5."""
    bell = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weights = np.outer(bell, bell) / bell.sum() ** 2
    values = []
    for row in range(one.shape[0] - 10):
        for column in range(one.shape[1] - 10):
            a, b = (each[row : row + 11, column : column + 11] for each in (one, other))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            variance_a, variance_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + 0.01**2)
                * (2 * covariance + 0.03**2)
                / ((mean_a**2 + mean_b**2 + 0.01**2) * (variance_a + variance_b + 0.03**2))
            )
    return np.mean(values)


def test_structural_similarity_is_that_of_a_loop_over_windows():
    mixed = 0.5 * ONE + 0.5 * OTHER
    expected = [ssim(a, b) for a, b in zip(ONE.double().numpy(), mixed.double().numpy(), strict=True)]
    torch.testing.assert_close(
        structural_similarity(ONE, mixed), torch.tensor(expected), atol=1e-6, rtol=1e-6
    )
    torch.testing.assert_close(structural_similarity(ONE, ONE), torch.ones(5, dtype=torch.float64))


def test_small_and_flat_maps():
    small = ONE[:, :8, :4]
    assert structural_similarity(small, OTHER[:, :8, :4]).isfinite().all()
    flat = ONE.clone()
    flat[1] = 0.25
    for found in (spearman(ONE, flat), structural_similarity(ONE, flat)):
        assert found.isnan().tolist() == [False, True, False, False, False]


def test_every_image_is_the_other_of_exactly_one():
    others = other_images(7, np.random.default_rng(0))
    assert sorted(others.tolist()) == list(range(7))
    assert (others != torch.arange(7)).all()
