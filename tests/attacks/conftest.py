import pytest
import torch
from torch import Tensor, nn

from foolscope.core.randomness import torch_generator


def linear_model(weights: Tensor, biases: Tensor) -> nn.Module:
    """Logits ``W x + b`` over the flattened image."""
    layer = nn.Linear(weights.shape[1], weights.shape[0], dtype=weights.dtype)
    with torch.no_grad():
        layer.weight.copy_(weights)
        layer.bias.copy_(biases)
    return nn.Sequential(nn.Flatten(), layer)


def small_network(channels: int, height: int, width: int, classes: int, dtype=torch.float64):
    """A network with convolution, batch normalization and dropout, fixed weights, in train mode."""
    hidden = 6
    network = nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1),
        nn.BatchNorm2d(hidden),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(hidden * height * width, classes),
    ).to(dtype)
    generator = torch_generator(5, "test network")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=dtype) * 0.3)
        gray = torch.full((1, channels, height, width), 0.5, dtype=dtype)
        network[-1].bias -= network.eval()(gray)[
            0
        ]  # gray images are undecided, so every class has its images
    return network.train()


def random_images(count: int, *shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.rand(count, *shape, generator=torch_generator(seed, "test images"), dtype=dtype)


@pytest.fixture
def make_linear():
    return linear_model


@pytest.fixture
def make_network():
    return small_network


@pytest.fixture
def make_images():
    return random_images
