import gc

import pytest
import torch
from torch import nn

from foolscope.core.allocations import ENVIRONMENT_VARIABLE, activation_bytes, allocations
from foolscope.core.errors import RecipeError

CPU = torch.device("cpu")


def test_a_chain_holds_two_values_at_a_time_and_a_graph_all():
    """Of 1,000 floats each: without gradients an input and its output, with them every output."""
    images = torch.rand(4, 1000)
    layers = [nn.Sigmoid() for _ in range(5)]

    def chain(count):
        value = images[:count]
        for layer in layers:
            value = layer(value)
        return value

    found = allocations(chain)
    assert (found.largest_per_image, found.total_per_image, found.peak(100)) == (8000, 20_000, 800_000)
    images.requires_grad_()
    assert allocations(chain).largest_per_image == 20_000


def test_backward_passes_are_counted():
    """The output is kept, the gradient of the sum is expanded without memory, and one gradient is made."""
    images = torch.rand(4, 1000)

    def gradient(count):
        inputs = images[:count].detach().requires_grad_()
        return torch.autograd.grad(inputs.sigmoid().sum(), inputs)

    assert allocations(gradient).largest_per_image == 2 * 4000


def test_what_grows_and_what_does_not_are_told_apart_also_when_they_peak_at_different_times():
    """With few images the copy of the weights is the most, with many the wide activation."""
    images, weights = torch.rand(4, 10), torch.rand(100, 1000)

    def compute(count):
        wide = images[:count].repeat(1, 10)
        copied = weights * 2
        del wide
        return copied

    found = allocations(compute)
    assert found.largest_per_image == 400
    assert found.peak(0) == 4 * 100_000
    assert found.peak(1) == 4 * (100_000 + 100)
    assert found.peak(1_000_000) == 4 * (100_000 + 100_000_000)


def test_views_and_changes_in_place_are_no_allocations():
    images = torch.rand(4, 10)
    assert allocations(lambda count: images[:count].view(-1).add_(1.0)).largest_per_image == 0


def test_operations_that_depend_on_the_number_of_images_count_in_full():
    images = torch.rand(4, 1000)
    found = allocations(lambda count: [images[row] * 2 for row in range(count)])
    assert found.peak(8) == 8 * 4000


def test_nothing_is_kept_alive_and_global_randomness_stays():
    before, made = torch.get_rng_state(), []

    class Kept(torch.Tensor):
        pass

    def compute(count):
        made.append(torch.rand(count, 7).mul(2).untyped_storage().nbytes())

    allocations(compute)
    gc.collect()
    assert made == [56, 112]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("text", "size"), [("64", 64 * 2**20), ("0.5", 2**19)])
def test_the_budget_is_what_the_environment_says(text, size, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, text)
    assert activation_bytes(CPU) == activation_bytes(CPU, gradients=True) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "nan", "inf", "16 MB"])
def test_a_budget_that_is_no_number_is_refused(text, monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, text)
    with pytest.raises(RecipeError, match=r"FOOLSCOPE_ACTIVATION_MB must be a positive number of megabytes"):
        activation_bytes(CPU)


def test_gradients_may_take_more_and_a_gpu_more_than_a_cpu(monkeypatch):
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    assert activation_bytes(CPU) < activation_bytes(CPU, gradients=True)
    assert activation_bytes(CPU) < activation_bytes(torch.device("cuda"))
