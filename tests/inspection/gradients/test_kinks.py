"""Kinks are noticed whatever function has them, and wherever it is called."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from foolscope.inspection.gradients.kinks import Kinks, same_side


class Rectified(torch.autograd.Function):
    @staticmethod
    def forward(context, numbers):
        return numbers.clamp(min=0)

    @staticmethod
    def backward(context, gradient):
        return gradient


KINKED = {
    "relu": (torch.relu, 0.0),
    "module": (nn.ReLU(), 0.0),
    "method": (lambda numbers: numbers.relu(), 0.0),
    "leaky": (nn.LeakyReLU(0.1), 0.0),
    "prelu": (nn.PReLU(), 0.0),
    "relu6 below": (nn.ReLU6(), 0.0),
    "relu6 above": (nn.ReLU6(), 6.0),
    "hardtanh": (nn.Hardtanh(-2.0, 0.5), 0.5),
    "hardtanh by place": (lambda numbers: functional.hardtanh(numbers, -2.0, 0.5), -2.0),
    "hardswish": (nn.Hardswish(), -3.0),
    "threshold": (nn.Threshold(0.7, 0.0), 0.7),
    "clamp by name": (lambda numbers: numbers.clamp(max=0.3), 0.3),
    "clamp by place": (lambda numbers: torch.clamp(numbers, -1.0, 0.3), -1.0),
    "clamp_min": (lambda numbers: numbers.clamp_min(0.2), 0.2),
    "clamp_max": (lambda numbers: torch.clamp_max(numbers, max=0.2), 0.2),
    "absolute": (torch.abs, 0.0),
    "maximum": (lambda numbers: torch.maximum(numbers, torch.tensor(0.4)), 0.4),
    "max of two": (lambda numbers: torch.max(numbers, torch.tensor(0.4)), 0.4),
    "max along": (lambda numbers: torch.stack([numbers, 0.4 + 0 * numbers]).max(dim=0), 0.4),
    "mask": (lambda numbers: torch.where(numbers > 0.4, numbers, 0 * numbers), 0.4),
    "max-pooling": (lambda numbers: functional.max_pool2d(pair(numbers), 2), 0.4),
    "adaptive max-pooling": (lambda numbers: nn.AdaptiveMaxPool2d(1)(pair(numbers)), 0.4),
    "own function": (Rectified.apply, 0.0),
}


def pair(numbers):
    return torch.cat([numbers, torch.full((3,), 0.4)]).reshape(1, 1, 2, 2)


@pytest.mark.parametrize("name", KINKED)
def test_a_step_over_a_kink_changes_the_pattern_and_one_beside_it_does_not(name):
    function, place = KINKED[name]
    patterns = []
    for shift in (-0.02, -0.01, 0.01, 0.02):
        with torch.no_grad(), Kinks() as kinks:
            function(torch.tensor([place + shift]))
        patterns.append(kinks.pattern)
    assert same_side(patterns[0], patterns[1])
    assert not same_side(patterns[1], patterns[2])
    assert same_side(patterns[2], patterns[3])


@pytest.mark.parametrize("function", [torch.tanh, torch.sigmoid, functional.gelu, torch.exp])
def test_smooth_functions_have_none(function):
    with Kinks() as kinks:
        function(torch.zeros(3))
    assert kinks.pattern == []


def test_inside_the_results_are_what_they_are_outside():
    numbers = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2), nn.Hardtanh())
    with Kinks():
        inside = model(numbers)
    assert torch.equal(inside, model(numbers))
