import pytest
import torch
from scipy.stats import kstest
from scipy.stats import norm as normal
from torch import nn

from foolscope.attacks import GaussianNoise, UniformNoise, run
from foolscope.threats import NORMS, Threat


class Watched(nn.Module):
    """Two classes, the second beyond reach; keeps what it was asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, images):
        self.asked.append(images.clone())
        return torch.tensor([[1.0, 0.0]], dtype=images.dtype).expand(len(images), 2)


def draws(attack, norm, epsilon, images):
    model = Watched()
    run(model, images, torch.zeros(len(images), dtype=torch.int64), Threat(norm, epsilon), attack, seed=0)
    return (torch.cat(model.asked)[len(images) :] - images[:1]).flatten(1)


@pytest.fixture
def gray():
    return torch.full((20, 1, 5, 4), 0.5, dtype=torch.float64)


def test_uniform_noise_fills_the_linf_ball(gray):
    noise = draws(UniformNoise(restarts=5), "linf", 0.1, gray)
    assert noise.shape == (100, 20)
    assert kstest((noise.flatten() / 0.2 + 0.5).numpy(), "uniform").pvalue > 0.01


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_uniform_noise_fills_every_ball(norm, gray):
    """In n dimensions the size of a uniform point, as a fraction of the radius, to the n is uniform."""
    noise = draws(UniformNoise(restarts=15), norm, 0.4, gray)
    fractions = NORMS[norm].size(noise) / 0.4
    assert kstest((fractions**20).numpy(), "uniform").pvalue > 0.01


def test_gaussian_noise_spends_the_budget_in_a_gaussian_direction(gray):
    for norm in NORMS:
        noise = draws(GaussianNoise(restarts=5), norm, 0.1, gray)
        torch.testing.assert_close(NORMS[norm].size(noise), torch.full((100,), 0.1, dtype=torch.float64))
    largest = draws(GaussianNoise(), "linf", 0.1, gray).abs() > 0.1 - 1e-9
    assert largest.sum(1).tolist() == [1] * 200  # scaled, not clipped: one pixel has the whole budget
    noise = draws(GaussianNoise(restarts=50), "l2", 0.1, gray)
    # A coordinate of a uniform direction in 20 dimensions is nearly Gaussian; its square is Beta(1/2, 19/2).
    assert kstest((noise / 0.1).square()[:, 3].numpy(), "beta", args=(0.5, 9.5)).pvalue > 0.01
    assert kstest((noise.sum(1) / 0.1).numpy(), normal(scale=1).cdf).pvalue > 0.01


@pytest.mark.parametrize("attack", [UniformNoise(restarts=3), GaussianNoise(restarts=3)])
def test_costs_a_forward_pass_for_each_draw(attack, gray):
    model = Watched()
    labels = torch.zeros(20, dtype=torch.int64)
    result = run(model, gray, labels, Threat("linf", 0.1), attack, seed=0)
    assert result.forwards.tolist() == [4] * 20
    assert result.backward_count == 0
    assert len({tuple(points.flatten().tolist()) for points in torch.cat(model.asked)[20:]}) == 60


@pytest.mark.parametrize("attack", [UniformNoise(restarts=30), GaussianNoise(restarts=30)])
def test_a_model_that_noise_fools_is_fooled(attack, gray):
    class Checkered(nn.Module):
        def forward(self, images):
            return torch.stack([images[:, 0, 0, 0] * 0 + 0.51, images[:, 0, 0, 0]], 1)

    result = run(Checkered(), gray, torch.zeros(20, dtype=torch.int64), Threat("linf", 0.1), attack, seed=0)
    assert result.success.all()
