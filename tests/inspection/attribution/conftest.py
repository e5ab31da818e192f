import pytest
import torch
from torch import nn

from foolscope.core.randomness import torch_generator

CHANNELS, HEIGHT, WIDTH, CLASSES = 1, 9, 7, 2


def small_network(channels=CHANNELS, height=HEIGHT, width=WIDTH, classes=CLASSES, dtype=torch.float64):
    """A network with convolutions, batch normalization and dropout, fixed weights, in train mode."""
    network = nn.Sequential(
        nn.Conv2d(channels, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(inplace=True),
        nn.Conv2d(5, 4, 3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(4 * (height - 2) * (width - 2), classes),
    ).to(dtype)
    generator = torch_generator(3, "attributed network")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator, dtype=dtype))
    return network.train()


def random_images(count, channels=CHANNELS, height=HEIGHT, width=WIDTH, dtype=torch.float64):
    generator = torch_generator(4, "attributed images")
    return torch.rand(count, channels, height, width, generator=generator, dtype=dtype)


@pytest.fixture
def make_network():
    return small_network


@pytest.fixture
def make_images():
    return random_images
