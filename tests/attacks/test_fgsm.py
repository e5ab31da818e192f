import pydantic
import pytest
import torch
from torch import nn

from foolscope.attacks import FGSM, FGSMRS, run
from foolscope.threats import Threat


class Watched(nn.Module):
    """A linear score that never wins; keeps what it was asked."""

    def __init__(self, weights):
        super().__init__()
        self.weights, self.asked = weights, []

    def forward(self, images):
        self.asked.append(images.detach().clone())
        score = images.flatten(1) @ self.weights
        return torch.stack([torch.full_like(score, 99.0), score], 1)


def test_settings():
    for wrong in ({"step_fraction": 0}, {"restarts": 0}, {"steps": 2}):
        with pytest.raises(pydantic.ValidationError):
            FGSMRS(**wrong)


def test_random_start_then_a_step_of_one_and_a_quarter_budgets(make_images):
    """Wong et al. (2020), algorithm 3, written out."""
    images, epsilon = make_images(5, 1, 3, 4), 0.08
    weights = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for attack, alpha in ((FGSMRS(), 1.25 * epsilon), (FGSMRS(step_fraction=0.5), 0.5 * epsilon)):
        model = Watched(weights)
        run(model, images, torch.zeros(5, dtype=torch.int64), Threat("linf", epsilon), attack, seed=0)
        clean, start, end = model.asked
        assert torch.equal(clean, images)
        assert 0.5 * epsilon < float((start - images).abs().max()) <= epsilon * (1 + 1e-9)
        delta = (start - images) + alpha * weights.sign().view(1, 1, 3, 4)
        torch.testing.assert_close(end, (images + delta.clamp(-epsilon, epsilon)).clamp(0, 1))


def test_without_random_start_it_is_the_plain_step(make_images):
    images = 0.5 + 0.1 * make_images(5, 1, 3, 4)
    weights = torch.randn(12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = Watched(weights)
    run(model, images, torch.zeros(5, dtype=torch.int64), Threat("linf", 0.08), FGSM(), seed=0)
    torch.testing.assert_close(model.asked[2], images + 0.08 * weights.sign().view(1, 1, 3, 4))
