import numpy as np
import pydantic
import pytest
import torch
from torch import nn

from foolscope.attacks import PGD, Square, run
from foolscope.attacks.runner.randomness import Noise, numbered_uniform
from foolscope.attacks.square import bump, halvings, square_sides
from foolscope.threats import Threat


class Watched(nn.Module):
    """A model that keeps what it was asked."""

    def __init__(self, model):
        super().__init__()
        self.model, self.asked = model, []

    def forward(self, images):
        self.asked.append(images.clone())
        return self.model(images)


def constant(images):
    """A model that nothing moves."""
    return torch.tensor([[3.0, 1.0]], dtype=images.dtype).expand(len(images), 2)


def candidates_for(function, image, threat, label=0, **settings):
    """All images that Square asks about for one image, in order, without the clean one."""
    model = Watched(function)
    run(model, image, torch.tensor([label]), threat, Square(**settings), seed=0, batch_size=1)
    return torch.cat(model.asked[1:])


def test_settings():
    assert Square().steps == 5000
    for wrong in ({"steps": 0}, {"fraction": 0}, {"fraction": 1.1}, {"p": 0.1}):
        with pytest.raises(pydantic.ValidationError):
            Square(**wrong)


def test_the_fraction_follows_the_published_table():
    """Up to and including query 10, 50, 200, ... of 10,000 the fraction is 1, 1/2, 1/4, ... of the first."""
    ends = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000, 10000]
    expected = np.repeat(np.arange(10), np.diff([-1, *ends]))
    assert halvings(torch.arange(10001), 10000).tolist() == expected.tolist()
    assert halvings(torch.arange(0, 1001), 1000).tolist() == expected[::10].tolist()


def test_sides():
    assert square_sides(0.8, 28, 28) == (25, 18, 13, 9, 6, 4, 3, 2, 2, 1)  # round(28 sqrt(0.8 / 2^k))
    assert square_sides(0.8, 32, 32, smallest=3) == (29, 21, 15, 11, 7, 5, 5, 3, 3, 3)
    for height, width in [(1, 9), (2, 2), (4, 30), (7, 5)]:
        for smallest in (1, 3):
            sides = square_sides(1.0, height, width, smallest=smallest)
            assert all(1 <= side <= min(height, width) for side in sides)
            assert smallest == 1 or all(side % 2 for side in sides)


def test_linf_changes_one_square_to_the_corners(make_images):
    """Nothing improves, so every candidate differs from the stripes in one square."""
    images, epsilon, steps = make_images(1, 3, 9, 8), 0.05, 400
    asked = candidates_for(constant, images, Threat("linf", epsilon), steps=steps)
    assert len(asked) == steps + 1
    first = asked[0]
    low, high = (images - epsilon).clamp(0, 1)[0], (images + epsilon).clamp(0, 1)[0]
    assert torch.equal((asked == low) | (asked == high), torch.ones_like(asked, dtype=torch.bool))
    upper = first == high
    assert torch.equal(upper, upper[:, :1].expand_as(upper))  # vertical stripes
    sides = square_sides(0.8, 9, 8)
    tops, colors = set(), set()
    for k, candidate in enumerate(asked[1:]):
        changed = (candidate != first).any(0)
        assert changed.any()  # never a query that asks the same again
        side = sides[int(halvings(torch.tensor([k]), steps))]
        rows, columns = changed.any(1).nonzero()[:, 0], changed.any(0).nonzero()[:, 0]
        assert rows[-1] - rows[0] < side
        assert columns[-1] - columns[0] < side
        if side == 1:
            tops.add((int(rows[0]), int(columns[0])))
            pixel = (slice(None), rows[0], columns[0])
            colors.add(tuple((candidate[pixel] > images[0][pixel]).tolist()))
    assert len(tops) > 40  # of 72 places; the last row and column among them
    assert max(top for top, _ in tops) == 8
    assert max(left for _, left in tops) == 7
    assert len(colors) == 8


@pytest.mark.parametrize("channels", [1, 3])
def test_a_redrawn_color_is_a_uniform_choice_among_the_others(channels):
    """On a 1 x 1 image every change is a change of the color alone."""
    counts: dict[tuple[bool, ...], int] = {}
    images = torch.full((1, channels, 1, 1), 0.5)
    asked = candidates_for(constant, images, Threat("linf", 0.1), steps=400) > 0.5
    for color in asked[1:, :, 0, 0].tolist():
        counts[tuple(color)] = counts.get(tuple(color), 0) + 1
    first = tuple(asked[0, :, 0, 0].tolist())
    assert first not in counts
    assert len(counts) == 2**channels - 1
    expected = 400 / len(counts)
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 22.5  # chi², 6 df, 0.1 %


def test_a_change_is_kept_only_if_it_helps(make_images):
    weights = torch.randn(60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def score(images):
        return torch.stack([torch.full_like(images[:, 0, 0, 0], 99.0), images.flatten(1) @ weights], 1)

    images = make_images(1, 1, 6, 10)
    for norm, epsilon in (("linf", 0.1), ("l2", 0.5)):
        asked = candidates_for(score, images, Threat(norm, epsilon), steps=300)
        scores = score(asked)[:, 1]
        best = scores.cummax(0).values
        assert int((scores[1:] > best[:-1]).sum()) > 10
        if norm == "linf":  # each candidate differs from the best before it in one square
            for k in range(1, len(asked)):
                before = asked[int(scores[:k].argmax())]
                changed = (asked[k] != before).any(0)
                side = square_sides(0.8, 6, 10)[int(halvings(torch.tensor([k - 1]), 300))]
                assert changed.any(1).nonzero()[:, 0].diff().sum() < side
                assert changed.any(0).nonzero()[:, 0].diff().sum() < side


def test_the_bump_is_a_pile_of_rectangles():
    """The published construction: rectangles that grow around the middle, the k-th 1 / (k + 1)² bright."""

    def pile(height, width):
        pattern = np.zeros((height, width))
        for k in range(width // 2 + 1):
            for i in range(height):
                for j in range(width):
                    if abs(i - height // 2) <= k and abs(j - width // 2) <= k:
                        pattern[i, j] += 1 / (k + 1) ** 2
        return pattern / np.linalg.norm(pattern)

    for side in (2, 3, 4, 5, 9, 16):
        expected = np.concatenate([pile(side // 2, side), -pile(side - side // 2, side)]) / 2**0.5
        np.testing.assert_allclose(bump(side).numpy(), expected, atol=1e-12)
    assert bump(1).tolist() == [[-1.0]]


def test_l2_starts_with_a_tiling_of_bumps():
    images = torch.full((1, 2, 23, 31), 0.5, dtype=torch.float64)
    first = candidates_for(constant, images, Threat("l2", 1), steps=1)[0] - 0.5
    assert float(first.norm()) == pytest.approx(1)
    inner = first[:, 1:21, 1:29]  # tiles of side 23 // 5 = 4: 5 down, 7 across, in the middle
    assert float(inner.norm()) == pytest.approx(1)
    shapes = set()
    for channel in inner:
        for tile in channel.unfold(0, 4, 4).unfold(1, 4, 4).reshape(-1, 4, 4):
            kinds = {
                (turned, sign)
                for turned in (False, True)
                for sign in (-1, 1)
                if torch.allclose(tile / tile.norm(), sign * (bump(4).T if turned else bump(4)))
            }
            assert len(kinds) == 1
            shapes |= kinds
    assert len(shapes) == 4


def square_at(top, left, side):
    """The square in an image of 11 x 9 that two numbers in [0, 1) name."""
    first_row, first_column = int(top * (12 - side)), int(left * (10 - side))
    return slice(first_row, first_row + side), slice(first_column, first_column + side)


def test_l2_moves_budget_from_one_square_to_another():
    """A plain loop over channels, as in algorithm 3, at the places that the random numbers name."""
    images, epsilon, steps = torch.full((1, 2, 11, 9), 0.5, dtype=torch.float64), 0.7, 60
    before, *candidates = candidates_for(constant, images, Threat("l2", epsilon), steps=steps) - 0.5
    none = torch.tensor([0])
    keys = Noise(0, "square").keys(none, none)
    for k, after in enumerate(candidates):
        side = square_sides(0.8, 11, 9, smallest=3)[int(halvings(torch.tensor([k]), steps))]
        top, left, top2, left2, turn, *signs = numbered_uniform(keys, torch.tensor([k]), 7)[0].tolist()
        place, empty = square_at(top, left, side), square_at(top2, left2, side)
        pattern = bump(side).T if turn < 0.5 else bump(side)
        expected = before.clone()
        unused = max(epsilon**2 - float(before.square().sum()), 0)
        union = torch.zeros(11, 9, dtype=torch.bool)
        union[place] = union[empty] = True
        for c in range(2):
            old = before[c][place]
            new = pattern * (-1 if signs[c] < 0.5 else 1)
            if float(old.norm()) > 0:
                new = new + old / old.norm()
            budget = (unused / 2 + float(before[c][union].square().sum())) ** 0.5
            expected[c][empty] = 0
            expected[c][place] = new / new.norm() * budget
        torch.testing.assert_close(after, expected / expected.norm() * epsilon, atol=1e-9, rtol=0)


def test_finds_the_exact_linf_distance_of_a_linear_model(make_linear):
    """The corner that fools is unique; with enough queries the search gets within one percent of it."""
    generator = torch.Generator().manual_seed(4)
    weights = torch.randn(2, 24, generator=generator, dtype=torch.float64)
    difference = weights[1] - weights[0]
    dual = difference.abs().sum()
    flat = 0.1 * (torch.rand(8, 24, generator=generator, dtype=torch.float64) - 0.5)
    flat -= ((flat @ difference) / difference.square().sum())[:, None] * difference  # all margins agree
    images = (flat + 0.5).view(8, 1, 4, 6)
    bias = torch.stack([torch.zeros(()), -(0.5 * difference.sum() + 0.02 * dual)]).double()
    model, labels = make_linear(weights, bias), torch.zeros(8, dtype=torch.int64)
    for factor, falls in ((0.999, False), (1.01, True)):
        threat = Threat("linf", 0.02 * factor)
        result = run(model, images, labels, threat, Square(steps=300), seed=0)
        assert result.success.tolist() == [falls] * 8
        assert result.backward_count == 0
    assert int(result.forwards.max()) <= 300 + 3


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_finds_what_gradients_do_not_show(norm, make_network, make_images):
    """Behind a quantized input PGD sees no gradient at all."""
    inner, images = make_network(1, 6, 7, 3).eval(), make_images(20, 1, 6, 7)
    model = Watched(lambda images: inner((images * 64).round() / 64))
    labels = model(images).argmax(1)
    threat = Threat(norm, {"linf": 0.04, "l2": 0.3}[norm])
    gradient = run(model.eval(), images, labels, threat, PGD(steps=10, random_start=False), seed=0)
    search = run(model.eval(), images, labels, threat, Square(steps=150), seed=0)
    exact = run(inner, images, labels, threat, PGD(steps=20), seed=0)
    assert gradient.success.sum() == 0
    assert search.success.sum() >= 0.7 * exact.success.sum() > 0


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (2, 2, 1), (4, 2, 3), (1, 6, 5)])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_images_of_any_size(shape, norm, make_images):
    images = make_images(3, *shape)
    result = run(
        Watched(constant).eval(),
        images,
        torch.tensor([0, 1, 0]),
        Threat(norm, 0.1),
        Square(steps=40),
        seed=0,
    )
    assert result.success.tolist() == [False, True, False]
    assert result.doubts == ()
    assert bool((result.perturbation_sizes[[0, 2]] > 0.01).all())
