import pytest
import torch

from foolscope.models import Dropout, Normalize


def test_normalize_shifts_and_scales_every_channel():
    layer = Normalize(torch.tensor([0.5, 0.25]), torch.tensor([0.1, 2.0]))
    images = torch.tensor([[0.6, 0.25]]).reshape(1, 2, 1, 1).expand(3, 2, 4, 5)
    expected = torch.tensor([1.0, 0.0]).reshape(1, 2, 1, 1).expand(3, 2, 4, 5)
    torch.testing.assert_close(layer(images), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_normalize_keeps_the_data_type_and_the_inputs(dtype):
    images = torch.full((1, 1, 2, 2), 0.5, dtype=dtype)
    result = Normalize(torch.tensor([0.25]), torch.tensor([0.5]))(images)
    assert result.dtype == dtype
    assert torch.equal(result, torch.full((1, 1, 2, 2), 0.5, dtype=dtype))
    assert torch.equal(images, torch.full((1, 1, 2, 2), 0.5, dtype=dtype))


def test_normalize_travels_with_the_weights_but_is_not_trained():
    layer = Normalize(torch.tensor([0.25]), torch.tensor([0.5]))
    assert set(layer.state_dict()) == {"mean", "deviation"}
    assert list(layer.parameters()) == []


def dropout(rate, seed=0):
    layer = Dropout(rate)
    layer.generator = torch.Generator().manual_seed(seed)
    return layer


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_expectation_and_the_rate(rate):
    count = 200_000
    outputs = dropout(rate)(torch.full((count,), 3.0))
    kept = outputs != 0
    torch.testing.assert_close(outputs[kept], torch.full((int(kept.sum()),), 3.0 / (1.0 - rate)))
    standard_error = (rate * (1.0 - rate) / count) ** 0.5
    assert abs(float(kept.double().mean()) - (1.0 - rate)) < 5 * standard_error


def test_dropout_is_the_identity_in_evaluation_and_at_rate_zero():
    inputs = torch.rand(4, 5)
    layer = dropout(0.5).eval()
    before = layer.generator.get_state()
    assert layer(inputs) is inputs
    assert torch.equal(layer.generator.get_state(), before)
    assert dropout(0.0)(inputs) is inputs


def test_dropout_draws_from_its_own_generator_only():
    inputs = torch.rand(4, 50)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = dropout(0.5, 7)(inputs)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(dropout(0.5, 7)(inputs), first)
    assert not torch.equal(dropout(0.5, 8)(inputs), first)


def test_dropout_draws_anew_every_time_and_for_every_image():
    layer, inputs = dropout(0.5), torch.ones(2, 50)
    first, second = layer(inputs), layer(inputs)
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_dropout_without_a_generator_does_not_fall_back_on_the_global_one():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="generator"):
        Dropout(0.5)(torch.ones(3))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(Dropout(0.5).eval()(torch.ones(3)), torch.ones(3))


def test_dropout_passes_gradients_where_it_keeps():
    inputs = torch.ones(100, requires_grad=True)
    outputs = dropout(0.5)(inputs)
    outputs.sum().backward()
    assert torch.equal(inputs.grad, outputs.detach())


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dropout_keeps_the_data_type(dtype):
    assert dropout(0.5)(torch.ones(3, dtype=dtype)).dtype == dtype
