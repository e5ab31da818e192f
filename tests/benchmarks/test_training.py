"""The record recipe that benchmarks/training.py times is the published one, and its verdict is ours."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import training
from training_ways import airbench
from training_ways.shares import _flops
from training_ways.verdict import behind

from foolscope.models.views import AveragedViews

IMAGES = torch.randint(0, 256, (24, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(24) % 10


def test_the_six_views_are_those_of_test_time_augmentation():
    network = nn.Sequential(nn.Conv2d(3, 4, 32), nn.Flatten())
    images = IMAGES.float() / 255
    averaged = AveragedViews(nn.Identity(), network, "flip-translate").eval()
    torch.testing.assert_close(airbench._six_views(network, images), averaged(images))


def test_every_image_is_moved_by_at_most_two_pixels_and_mirrored_in_every_other_epoch():
    images = IMAGES.float()
    for epoch in range(2):
        moved = airbench._epoch(images, epoch)
        moved = moved.flip(-1) if epoch else moved
        padded = nn.functional.pad(images, (2, 2, 2, 2), mode="reflect")
        for image, own in zip(padded, moved, strict=True):
            windows = [
                image[:, row : row + 32, column : column + 32] for row in range(5) for column in range(5)
            ]
            assert any(torch.equal(window, own) for window in windows)


def test_a_step_has_singular_values_near_one_and_the_weight_norm_root_rows():
    weight = nn.Parameter(torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(0)))
    weight.grad = torch.randn(8, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    before = weight.detach().clone()
    airbench._Muon([weight]).step(0.1)
    step = (weight.detach() - before * 8**0.5 / before.norm()).flatten(1) / 0.1
    values = torch.linalg.svdvals(step)
    assert values.min() > 0.3
    assert values.max() < 1.6


@pytest.mark.parametrize("parts", [1, 2])
def test_it_trains(parts):
    result = airbench.train((IMAGES, LABELS), (IMAGES, LABELS), 0, epochs=3, parts=parts)
    assert 0 <= result.accuracy <= 1
    assert result.training_seconds > 0


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ((0.91, 0.911, 0.909), "not behind"),
        ((0.89, 0.891, 0.889), "behind"),
        ((0.9, 0.92, 0.89), "undecided"),
    ],
)
def test_the_verdict(ours, verdict):
    theirs = [{"accuracy": each} for each in (0.9105, 0.9112, 0.9093)]
    assert behind(theirs, [{"accuracy": each} for each in ours], 0.005)["verdict"] == verdict


def test_the_arithmetic_is_that_of_the_network():
    macs = []

    def count(layer, inputs, outputs):
        macs.append(outputs[0].numel() * layer.weight[0].numel())

    network = airbench._Network()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    network.eval()(torch.rand(1, 3, 32, 32))
    first, *others = macs
    assert _flops(1) == pytest.approx(2 * first + 3 * 2 * sum(others))
    assert set(training.PARTS) == {"record", "fashion", "shares", "packs"}
