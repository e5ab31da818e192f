import pytest
import torch
from torch import nn

from foolscope.core.allocations import ENVIRONMENT_VARIABLE
from foolscope.threats.prediction import automatic_batch_size, predict


class Counting(nn.Module):
    """Counts its calls, and fails if it should."""

    def __init__(self, body, fails=False):
        super().__init__()
        self.body, self.fails, self.calls = body, fails, []

    def forward(self, images):
        self.calls.append((len(images), self.training))
        if self.fails:
            raise ValueError("not today")
        return self.body(images)


def network():
    """Keeps its two hidden layers of 1,000 numbers for the gradient."""
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 1000), nn.Sigmoid(), nn.Linear(1000, 2))


def test_a_network_with_large_activations_gets_fewer_images(monkeypatch):
    images = torch.rand(1024, 1, 4, 4)
    assert automatic_batch_size(images) == automatic_batch_size(images, network()) == 1024
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "1")
    size = automatic_batch_size(images, network())
    assert 2**20 // (4 * 1000 * 4) <= size <= 2**20 // (2 * 1000 * 4)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "0.001")
    assert automatic_batch_size(images, network()) == 1


def test_a_model_is_asked_once_in_evaluation_mode_and_stays_as_it_is():
    model = Counting(network()).train()
    before = torch.get_rng_state()
    for _ in range(2):
        automatic_batch_size(torch.rand(1024, 1, 4, 4, generator=torch.Generator().manual_seed(0)), model)
    assert model.calls == [(2, False), (4, False)]
    assert model.training
    assert all(value.requires_grad and value.grad is None for value in model.parameters())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "model",
    [Counting(nn.Flatten()), None, Counting(network(), fails=True)],
    ids=["without parameters", "none", "that fails"],
)
def test_others_get_what_the_size_of_the_images_allows(model):
    assert automatic_batch_size(torch.rand(2, 3, 32, 32), model) == 170
    if model is not None and not model.fails:
        assert not model.calls


def test_no_model_is_asked_for_a_handful_of_small_images():
    model = Counting(network())
    assert automatic_batch_size(torch.rand(1000, 1, 4, 4), model) == 1024
    assert not model.calls


def test_a_model_without_gradient_is_asked_for_its_forward_pass(monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "1")
    model = network()
    model[2] = Detached()
    size = automatic_batch_size(torch.rand(1024, 1, 4, 4), model)
    assert 2**20 // (4 * 1000 * 4) <= size < 1024


class Detached(nn.Module):
    def forward(self, values):
        return torch.from_numpy(values.detach().numpy().round())


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_predictions_do_not_depend_on_the_batches(size):
    model, images = network().double(), torch.rand(7, 1, 4, 4, dtype=torch.float64)
    torch.testing.assert_close(predict(model, images, size), model(images).detach())
