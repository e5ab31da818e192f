"""Flips, crops, erasing and noise: where, how often and how much."""

import numpy as np
import pytest
import torch
from eight_bit import augmented, pictures, to_tensor
from torch.nn import functional


def numbered(count, height=7, width=9):
    """Images whose every pixel has a value of its own, none of them 0."""
    one = torch.arange(1.0, height * width + 1).view(1, 1, height, width) / (height * width + 1)
    return one.expand(count, 1, height, width).contiguous()


def is_flipped(images, result):
    both = torch.stack([(result == images).flatten(1).all(1), (result == images.flip(3)).flatten(1).all(1)])
    assert (both.sum(0) == 1).all()
    return both[1]


def test_about_the_given_share_of_images_is_mirrored():
    images = numbered(2000)
    assert abs(is_flipped(images, augmented("horizontal-flip", images)).float().mean() - 0.5) < 0.04
    rare = augmented("horizontal-flip", images, probability=0.1)
    assert abs(is_flipped(images, rare).float().mean() - 0.1) < 0.03


def test_alternating_flips_show_every_image_both_ways_in_each_two_epochs():
    images = numbered(2000)
    epochs = [is_flipped(images, augmented("alternating-flip", images, epoch=epoch)) for epoch in range(4)]
    assert abs(epochs[0].float().mean() - 0.5) < 0.04
    assert torch.equal(epochs[1], ~epochs[0])
    assert torch.equal(epochs[2], epochs[0])
    assert torch.equal(epochs[3], epochs[1])
    other = is_flipped(images, augmented("alternating-flip", images, seed=1))
    assert abs((other == epochs[0]).float().mean() - 0.5) < 0.04


@pytest.mark.parametrize(("border", "mode"), [("zeros", "constant"), ("reflect", "reflect")])
def test_every_window_of_the_padded_image_is_equally_likely(border, mode):
    images, padding = numbered(3000), 2
    padded = functional.pad(images[:1], (padding,) * 4, mode=mode)[0, 0]
    windows = padded.unfold(0, 7, 1).unfold(1, 9, 1).reshape(25, 1, 7, 9)
    result = augmented("random-crop", images, padding=padding, border=border)
    matches = (result[:, None] == windows).flatten(2).all(2)
    assert (matches.sum(1) == 1).all()
    counts = matches.sum(0)
    assert ((counts - 120) ** 2 / 120).sum() < 51.2  # χ² with 24 degrees of freedom: p = 0.001


def test_crops_that_do_not_happen_leave_the_image_where_it_is():
    images = numbered(500)
    stays = (augmented("random-crop", images, padding=3, probability=0.3) == images).flatten(1).all(1)
    assert abs(stays.float().mean() - (0.7 + 0.3 / 49)) < 0.07


@pytest.mark.parametrize("size", [1, 4, 7])
def test_cutout_erases_a_square_about_a_random_pixel(size):
    images = numbered(2500)
    erased = (augmented("cutout", images, size=size) == 0)[:, 0]
    allowed = torch.zeros(7 * 9, 7, 9, dtype=torch.bool)
    for place in range(7 * 9):
        top, left = place // 9 - size // 2, place % 9 - size // 2
        allowed[place, max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = True
    matches = (erased[:, None] == allowed).flatten(2).all(2)
    assert matches.any(1).all()
    assert matches.any(0).all()
    assert augmented("cutout", images, size=size, fill=1.0).max() == 1


def test_random_erasing_erases_rectangles_of_the_given_area_and_shape():
    images = numbered(1500, height=40, width=50)
    erased = (augmented("random-erasing", images, area=(0.1, 0.2), ratio=(0.5, 2), probability=1) == 0)[:, 0]
    tall, wide = erased.any(2).sum(1), erased.any(1).sum(1)
    assert torch.equal(erased.sum(dim=(1, 2)), tall * wide)
    share, ratio = tall * wide / 2000, tall / wide
    assert 0.09 < share.min() < 0.105
    assert 0.195 < share.max() < 0.21
    assert 0.45 < ratio.min() < 0.56
    assert 1.8 < ratio.max() < 2.2
    assert abs(ratio.log().mean()) < 0.05
    for axis in (0, 1):
        assert erased.any(0).any(axis).all(), "some rows or columns are never erased"
    half = (augmented("random-erasing", images) == 0).flatten(1).any(1)
    assert abs(half.float().mean() - 0.5) < 0.05


def test_an_image_stays_if_no_rectangle_fits():
    images = numbered(20)
    assert torch.equal(augmented("random-erasing", images, area=1, ratio=1, probability=1), images)


def test_noise_has_the_given_deviation():
    images = torch.full((4, 3, 50, 50), 0.5)
    noise = augmented("noise", images, deviation=0.1) - 0.5
    assert abs(noise.std() - 0.1) < 0.002
    assert abs(noise.mean()) < 0.003
    deviations = augmented("noise", images.repeat(50, 1, 1, 1), deviation=(0, 0.2)).flatten(1).std(1)
    assert np.corrcoef(np.sort(deviations), np.arange(200))[0, 1] > 0.98
    picture = to_tensor(pictures())
    assert torch.equal(augmented("noise", picture, deviation=0), picture)
