"""The number of images at a time, against counts by hand; the peak, by adding up live storages."""

import pytest
import torch
from torch import nn

from foolscope.core.allocations import ENVIRONMENT_VARIABLE, allocations
from foolscope.learning.measuring.batch_sizes import MOST_IMAGES, evaluation_batch_size, gradient_batch_size
from foolscope.learning.packs.packing import Context, pack_program, solo_program
from foolscope.learning.packs.stacking import stacked_constants, stacked_parameters
from foolscope.models import MLP, ResNet18, build_model

CONTEXT = Context(training=False, dtype=torch.float32)


def pack_of(make, trials, program=pack_program):
    models = [make(seed).eval() for seed in range(trials)]
    tensors = stacked_parameters(models) | stacked_constants(models)
    return program(models), {name: value.detach() for name, value in tensors.items()}


def convolutions(seed):
    """Maps of 8 channels; the largest moment has the input and the output of a convolution."""
    layers = [nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 2))


def resnet(seed, side=32):
    settings = ResNet18(base_channels=4, normalization="none")
    return build_model(settings, (3, side, side), 10, seed=seed)


@pytest.mark.parametrize("side", [8, 16, 64])
@pytest.mark.parametrize("trials", [1, 4])
def test_two_maps_of_every_trial_fill_the_budget(side, trials, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "1")
    program, tensors = pack_of(convolutions, trials)
    own = (2 * trials * 8 + 3) * side * side * 4  # and the images
    assert evaluation_batch_size(program, tensors, torch.rand(3, 3, side, side), CONTEXT) == max(
        1, 2**20 // own
    )


def test_one_image_is_taken_where_the_budget_is_too_small_and_few_are_enough_for_tiny_ones(monkeypatch):
    program, tensors = pack_of(convolutions, 2)
    assert evaluation_batch_size(program, tensors, torch.rand(1, 3, 2, 2), CONTEXT) == MOST_IMAGES
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "0.001")
    for size in (evaluation_batch_size, gradient_batch_size):
        assert size(program, tensors, torch.rand(1, 3, 32, 32), CONTEXT) == 1


def test_weights_are_not_read_for_a_handful_of_images(monkeypatch):
    """A wide perceptron: activations are as much to write as the weights are to read."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "0.001")
    program, tensors = pack_of(
        lambda seed: nn.Sequential(nn.Flatten(), nn.Linear(400, 100), nn.Linear(100, 10)), 1
    )
    size = evaluation_batch_size(program, tensors, torch.rand(4, 1, 20, 20), CONTEXT)
    assert size == pytest.approx((400 * 100 + 100 + 100 * 10 + 10) / (400 + 100 + 10), rel=0.05)


@pytest.mark.parametrize("program", [pack_program, solo_program])
@pytest.mark.parametrize("side", [32, 64])
def test_what_evaluation_holds_at_a_time_keeps_to_the_budget(program, side, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "4")
    run, tensors = pack_of(resnet, 3, program)
    size = evaluation_batch_size(run, tensors, torch.rand(2, 3, side, side), CONTEXT)
    assert size > 2
    with torch.no_grad():
        found = allocations(lambda count: run(tensors, torch.rand(1, count * size, 3, side, side), CONTEXT))
    assert 0.9 * 2**22 < found.largest_per_image <= 2**22 * 1.001


@pytest.mark.parametrize("program", [pack_program, solo_program])
def test_a_gradient_holds_more_and_takes_fewer_images(program, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "4")
    run, tensors = pack_of(resnet, 2, program)
    images = torch.rand(2, 3, 32, 32)
    forward, backward = (
        size(run, tensors, images, CONTEXT) for size in (evaluation_batch_size, gradient_batch_size)
    )
    assert 1 <= backward < forward / 3
    assert not any(value.requires_grad for value in tensors.values())


def test_the_size_is_the_same_in_every_epoch_and_models_stay_as_they_are():
    program, tensors = pack_of(
        lambda seed: build_model(MLP(hidden=(6,), normalization="none"), (1, 4, 4), 3, seed=seed), 2
    )
    before = {name: value.clone() for name, value in tensors.items()}
    images = torch.rand(4, 1, 4, 4)
    assert evaluation_batch_size(program, tensors, images, CONTEXT) == evaluation_batch_size(
        program, tensors, images, CONTEXT
    )
    for name, value in tensors.items():
        assert torch.equal(value, before[name])
