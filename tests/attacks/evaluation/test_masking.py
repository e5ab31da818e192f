"""Signs of hidden gradients, each on a model made to show it; the whole evaluation is in its own file."""

import torch
from torch import Tensor, nn

from foolscope.attacks.evaluation.masking import (
    budget_checks,
    gradient_checks,
    largest_distance,
    saturation_check,
)


class Band(nn.Module):
    """Wrong only where the image is a little brighter than mid-gray: a large step jumps over."""

    def forward(self, images: Tensor) -> Tensor:
        shift = images.flatten(1).mean(1) - 0.5
        inside = ((shift > 0.010) & (shift < 0.015)).to(shift) + 1e-3 * shift
        return torch.stack([0.5 - inside, inside - 0.5], 1)


GRAY = torch.full((40, 1, 2, 2), 0.5)
ZEROS = torch.zeros(40, dtype=torch.int64)


def test_an_attack_that_jumps_over_what_it_looks_for() -> None:
    checks, results = budget_checks(Band(), GRAY, ZEROS, "linf", 0.0125, seed=0)
    fired = {check.name: check for check in checks if check.fired}
    assert set(fired) == {"accuracy rises with the budget", "unbounded attack fails"}
    assert "0 % hold at ε = 0.05 and 100 % at ε = 1" in fired["accuracy rises with the budget"].sentence
    assert fired["unbounded attack fails"].value == 1
    assert len(results) == 4


def test_a_linear_model_has_no_such_sign() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    model[1].weight.data = torch.tensor([[1.0, -1, 1, -1], [-1, 1, -1, 1]])
    images = torch.rand(40, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    labels = model(images).argmax(1)
    checks, _ = budget_checks(model, images, labels, "l2", 0.01, seed=0)
    assert [check.name for check in checks if check.fired] == []
    assert [check.name for check in gradient_checks(model, images, labels) if check.fired] == []


def test_without_images_there_is_nothing_to_say() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    assert budget_checks(model, GRAY[:0], ZEROS[:0], "l1", 0.1, seed=0) == ((), ())
    assert gradient_checks(model, GRAY[:0], ZEROS[:0]) == ()


def test_images_that_fall_late_ask_for_more_steps() -> None:
    assert saturation_check(3, 100).fired
    assert "more steps" in saturation_check(3, 100).sentence
    assert not saturation_check(1, 100).fired
    assert not saturation_check(0, 0).fired


def test_the_largest_distance_is_from_black_to_white() -> None:
    images = torch.zeros(1, 3, 2, 2)
    assert [largest_distance(norm, images) for norm in ("linf", "l1")] == [1, 12]
    assert abs(largest_distance("l2", images) - 12**0.5) < 1e-6
