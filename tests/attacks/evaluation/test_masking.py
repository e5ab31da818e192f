"""Signs of hidden gradients, each on a model made to show it; the whole evaluation is in its own file."""

import pytest
import torch
from torch import Tensor, nn

from foolscope.attacks.evaluation.masking import (
    black_box_check,
    budget_checks,
    gradient_checks,
    largest_distance,
    saturation_check,
)
from foolscope.attacks.runner.side_by_side import alone


class Band(nn.Module):
    """Wrong only where the image is a little brighter than mid-gray: a large step jumps over."""

    def forward(self, images: Tensor) -> Tensor:
        shift = images.flatten(1).mean(1) - 0.5
        inside = ((shift > 0.010) & (shift < 0.015)).to(shift) + 1e-3 * shift
        return torch.stack([0.5 - inside, inside - 0.5], 1)


GRAY = torch.full((40, 1, 2, 2), 0.5)
ZEROS = torch.zeros(40, dtype=torch.int64)


def test_an_attack_that_jumps_over_what_it_looks_for() -> None:
    checks, results = alone(budget_checks(Band(), GRAY, ZEROS, "linf", 0.0125, seed=0))
    fired = {check.name: check for check in checks if check.fired}
    assert set(fired) == {"accuracy rises with the budget", "unbounded attack fails"}
    assert "0 % hold at ε = 0.05 and 100 % at ε = 1" in fired["accuracy rises with the budget"].sentence
    assert fired["unbounded attack fails"].value == 1
    assert len(results) == 4


class BandOrDark(Band):
    """Dark images are wrong where they are almost black, as steps find out that are large enough."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(1, keepdim=True)
        return torch.where(mean < 0.4, torch.cat([mean - 0.1, 0.1 - mean], 1), super().forward(images))


def test_what_falls_at_a_larger_budget_counts_against_what_stands_up_there() -> None:
    """From ε = 0.05 to 1, thirty images stand up and ten fall."""
    images = torch.cat([GRAY[:30], torch.full((10, 1, 2, 2), 0.3)])
    checks, results = alone(budget_checks(BandOrDark(), images, ZEROS, "linf", 0.0125, seed=0))
    assert [result.robust_accuracy for result in results[-2:]] == [0.25, 0.75]
    rising = next(check for check in checks if check.name == "accuracy rises with the budget")
    assert (rising.fired, rising.value) == (True, 0.5)


@pytest.mark.parametrize(("count", "is_sign"), [(5, True), (4, False)])
def test_four_images_that_stand_up_may_be_chance(count: int, is_sign: bool) -> None:
    """The sign test: 2⁻⁵ is below 5 %, 2⁻⁴ is not."""
    checks, _ = alone(budget_checks(Band(), GRAY[:count], ZEROS[:count], "linf", 0.0125, seed=0))
    assert checks[0].fired == is_sign


def test_a_linear_model_has_no_such_sign() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
    model[1].weight.data = torch.tensor([[1.0, -1, 1, -1], [-1, 1, -1, 1]])
    images = torch.rand(40, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    labels = model(images).argmax(1)
    checks, _ = alone(budget_checks(model, images, labels, "l2", 0.01, seed=0))
    assert [check.name for check in checks if check.fired] == []
    assert [check.name for check in gradient_checks(model, images, labels) if check.fired] == []


def test_without_images_there_is_nothing_to_say() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    assert alone(budget_checks(model, GRAY[:0], ZEROS[:0], "l1", 0.1, seed=0)) == ((), ())
    assert gradient_checks(model, GRAY[:0], ZEROS[:0]) == ()


class Ramp(nn.Module):
    """Class 0 leads by 100 times the mean of the pixels above ``dead``; below that nothing changes."""

    def __init__(self, dead: float = 0.0) -> None:
        super().__init__()
        self.dead = dead

    def forward(self, images: Tensor) -> Tensor:
        lead = 100 * torch.relu(images.flatten(1).mean(1) - self.dead)
        return torch.stack([lead, torch.zeros_like(lead)], 1)


def fired(model: nn.Module, *brightness: float) -> dict[str, float]:
    """The signs that gradients give on one image of each brightness, with what was measured."""
    images = torch.tensor(brightness)[:, None, None, None].expand(-1, 1, 2, 2).clone()
    checks = gradient_checks(model, images, torch.zeros(len(images), dtype=torch.int64))
    return {check.name: check.value for check in checks if check.fired}


def test_one_image_in_a_hundred_without_a_gradient_is_a_sign() -> None:
    assert fired(Ramp(dead=0.1), *[0.11] * 99, 0.05) == {"zero gradients": pytest.approx(0.01)}
    assert fired(Ramp(dead=0.1), *[0.11] * 199, 0.05) == {}


def test_one_image_in_ten_whose_cross_entropy_is_lost_is_a_sign() -> None:
    """The gradient of the cross-entropy is exp(-lead) of the margin's: lost from a lead of 7 ln 10 = 16.1."""
    assert fired(Ramp(), *[0.01] * 9, 0.17) == {"vanished cross-entropy": pytest.approx(0.1)}
    assert fired(Ramp(), *[0.01] * 9, 0.15) == {}
    assert fired(Ramp(), *[0.01] * 10, 0.17) == {}


class Unsteady(nn.Module):
    """Another slope, and another output, at every second call."""

    def __init__(self, output: float = 0.0, slope: float = 0.0) -> None:
        super().__init__()
        self.output, self.slope, self.calls = output, slope, 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        mean = images.flatten(1).mean(1)
        turn = self.calls % 2
        lead = mean + turn * (self.output + self.slope * (mean - mean.detach()))
        return torch.stack([lead, torch.zeros_like(lead)], 1)


def test_two_answers_that_differ_by_more_than_rounding_are_a_sign() -> None:
    assert fired(Unsteady(output=0.01), 0.5) == {"random outputs": pytest.approx(0.01)}
    assert fired(Unsteady(slope=0.1), 0.5) == {"random gradients": pytest.approx(0.1 / 1.1, rel=1e-4)}
    assert fired(Unsteady(output=1e-6, slope=1e-6), 0.5) == {}


class Broken(nn.Module):
    """The gradient of the square root of 0 in black images."""

    def forward(self, images: Tensor) -> Tensor:
        lead = images.flatten(1).mean(1).sqrt()
        return torch.stack([lead, torch.zeros_like(lead)], 1)


def test_a_gradient_that_is_not_finite_is_a_sign_and_not_taken_for_noise() -> None:
    assert fired(Broken(), 0.0, 0.5, 0.5, 0.5)["gradients not finite"] == pytest.approx(0.25)
    assert "random gradients" not in fired(Broken(), 0.0, 0.5)


@pytest.mark.parametrize(
    ("found", "searched", "is_sign"),
    [(0, 10, False), (1, 10, False), (2, 10, True), (2, 199, True), (2, 200, False), (3, 200, True)],
)
def test_a_search_may_find_one_image_or_one_in_a_hundred_by_chance(
    found: int, searched: int, is_sign: bool
) -> None:
    check = black_box_check(found, searched, "linf")
    assert (check.fired, check.is_serious) == (is_sign, True)
    assert check.value == pytest.approx(found / searched)
    assert f"{found} of {searched} images" in check.sentence


def test_a_search_that_was_not_made_is_no_sign() -> None:
    assert not black_box_check(0, 0, "l2").fired
    assert not black_box_check(5, 5, "l1").fired
    assert "l1" in black_box_check(0, 0, "l1").sentence


def test_images_that_fall_late_ask_for_more_steps() -> None:
    assert saturation_check(3, 100).fired
    assert "more steps" in saturation_check(3, 100).sentence
    assert not saturation_check(1, 100).fired
    assert not saturation_check(0, 0).fired


def test_the_largest_distance_is_from_black_to_white() -> None:
    images = torch.zeros(1, 3, 2, 2)
    assert [largest_distance(norm, images) for norm in ("linf", "l1")] == [1, 12]
    assert abs(largest_distance("l2", images) - 12**0.5) < 1e-6
