import kornia
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


def test_structural_similarity_is_kornias():
    mixed = 0.5 * ONE + 0.5 * OTHER
    windows = kornia.metrics.ssim(ONE[:, None].double(), mixed[:, None].double(), 11, padding="valid")
    expected = windows.flatten(1).mean(dim=1)
    torch.testing.assert_close(structural_similarity(ONE, mixed), expected, atol=1e-6, rtol=1e-6)
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
