"""Packed passes against one model after another."""

import pytest
import torch
from torch import Tensor, nn

from foolscope.attacks.runner import packs as module
from foolscope.attacks.runner.low_precision import InBfloat16
from foolscope.attacks.runner.networks import SeveralModels
from foolscope.attacks.runner.packs import Packs

SIZES = [3, 0, 5, 2]


def networks(count: int = 4) -> list[nn.Module]:
    return [
        nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.ReLU(), nn.Linear(6, 3)).eval() for _ in range(count)
    ]


def points(count: int = 10) -> Tensor:
    return torch.rand(count, 1, 3, 4, generator=torch.Generator().manual_seed(0))


def owners(sizes: list[int]) -> Tensor:
    return torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))


@pytest.mark.parametrize("limit", [(0, 0), (10**9, 10**9)])
@pytest.mark.parametrize("order", [range(10), [9, 3, 0, 4, 7, 1, 2, 5, 8, 6]])
def test_each_row_is_evaluated_by_its_own_model(
    limit: tuple[int, int], order: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAYS_UP_TO", limit)
    models, images = networks(), points()
    rows, numbers = torch.tensor(list(order)), owners(SIZES)
    network = SeveralModels(models, numbers, Packs())
    variables = images[rows].requires_grad_()
    logits = network(variables, rows)
    (gradient,) = torch.autograd.grad(logits.square().sum(), variables)
    for place, row in enumerate(rows.tolist()):
        own = images[row : row + 1].clone().requires_grad_()
        expected = models[numbers[row]](own)
        torch.testing.assert_close(logits[place : place + 1], expected)
        (slope,) = torch.autograd.grad(expected.square().sum(), own)
        torch.testing.assert_close(gradient[place : place + 1], slope)


def test_rows_that_leave_are_noticed() -> None:
    models, images, numbers = networks(), points(), owners(SIZES)
    network = SeveralModels(models, numbers, Packs())
    for rows in (torch.arange(10), torch.arange(10), torch.tensor([1, 4, 9]), torch.tensor([8, 9])):
        expected = torch.cat([models[numbers[row]](images[row : row + 1]) for row in rows])
        torch.testing.assert_close(network(images[rows], rows), expected)
    assert network(images[:0], torch.arange(0)).shape == (0, 3)


def test_packs_pay_up_to_so_many_multiplications() -> None:
    models, packs = networks(), Packs()
    assert packs.multiplications(models[0], points(1)) == 12 * 6 + 6 * 3
    rows = module.PAYS_UP_TO[0] // 90
    assert packs.where_it_pays(models, rows, points()) is not None
    assert packs.where_it_pays(models, rows + 1, points()) is None
    assert [module.pays(1, count) for count in (module.PAYS_UP_TO[1], module.PAYS_UP_TO[1] + 1)] == [
        True,
        False,
    ]


def test_counting_multiplications_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(12, 3)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert Packs().multiplications(model, points(1)) == 36
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_what_a_trace_does_not_see_is_not_packed() -> None:
    models = networks(2)
    assert Packs().where_it_pays(models, 4, points()) is not None
    models[1].register_forward_hook(lambda layer, inputs, output: 2 * output)
    assert Packs().where_it_pays(models, 4, points()) is None
    wider = nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 3))
    assert Packs().where_it_pays([models[0], wider], 4, points()) is None
    assert Packs().where_it_pays([nn.Flatten(), nn.Flatten()], 4, points()) is None


def test_copies_in_bfloat16_compute_in_bfloat16() -> None:
    copies = [InBfloat16(model.to(torch.bfloat16)) for model in networks(3)]
    packed = Packs().where_it_pays(copies, 4, points())
    assert packed is not None
    images = points(12)
    logits = packed(images, [4, 4, 4])
    expected = torch.cat([copy(part) for copy, part in zip(copies, images.split(4), strict=True)])
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, rtol=2e-2, atol=2e-2)
    torch.testing.assert_close(logits, logits.bfloat16().float(), rtol=0, atol=0)  # bfloat16 numbers
