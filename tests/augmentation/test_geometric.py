"""Operations that move pixels, against Pillow."""

import math

import numpy as np
import pytest
import torch
from eight_bit import augmented, in_pillow, levels, pictures, to_tensor
from PIL import Image

RESAMPLING = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR}
HEIGHT, WIDTH = 13, 17


def affine(matrix):
    """Pillow's affine transform: from coordinates in the result to those in the image."""

    def change(image, resampling, fill):
        return image.transform(image.size, Image.Transform.AFFINE, matrix, resampling, fillcolor=fill)

    return change


def rotation(degrees):
    return lambda image, resampling, fill: image.rotate(degrees, resampling, fillcolor=fill)


def about_center(factor):
    x, y = WIDTH / 2, HEIGHT / 2
    return affine((1 / factor, 0, x - x / factor, 0, 1 / factor, y - y / factor))


def slope(degrees):
    return math.tan(math.radians(degrees))


CASES = {
    "right": ("translate-x", {"shift": 4 / WIDTH}, affine((1, 0, -4, 0, 1, 0))),
    "left": ("translate-x", {"shift": -2.3 / WIDTH}, affine((1, 0, 2.3, 0, 1, 0))),
    "down": ("translate-y", {"shift": 3.4 / HEIGHT}, affine((1, 0, 0, 0, 1, -3.4))),
    "shear x": ("shear-x", {"degrees": 17}, affine((1, slope(17), 0, 0, 1, 0))),
    "shear x back": ("shear-x", {"degrees": -31}, affine((1, slope(-31), 0, 0, 1, 0))),
    "shear y": ("shear-y", {"degrees": 10}, affine((1, 0, 0, slope(10), 1, 0))),
    "rotate": ("rotate", {"degrees": 20}, rotation(20)),
    "rotate back": ("rotate", {"degrees": -131}, rotation(-131)),
    "enlarge": ("scale", {"factor": 1.31}, about_center(1.31)),
    "shrink": ("scale", {"factor": 0.73}, about_center(0.73)),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fill", [0, 100])
@pytest.mark.parametrize("case", CASES)
def test_the_nearest_pixel_is_the_one_that_pillow_takes(case, fill, channels):
    name, settings, change = CASES[case]
    images = pictures(channels=channels)
    color = fill if channels == 1 else (fill,) * 3
    expected = in_pillow(images, lambda image: change(image, RESAMPLING["nearest"], color))
    result = levels(name, images, fill=fill / 255, **settings)
    np.testing.assert_allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize("fill", [0, 100])
@pytest.mark.parametrize("case", CASES)
def test_bilinear_interpolation_is_pillows(case, fill):
    """Also at the border; Pillow cuts off or rounds the fraction of a gray level, so up to one level."""
    name, settings, change = CASES[case]
    images = pictures()
    expected = in_pillow(images, lambda image: change(image, RESAMPLING["bilinear"], (fill,) * 3))
    result = levels(name, images, fill=fill / 255, interpolation="bilinear", **settings)
    assert np.abs(result - expected).max() <= 1.0 + 1e-3


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_quarter_turns_of_squares_move_whole_pixels(degrees, interpolation):
    images = to_tensor(pictures(height=12, width=12))
    result = augmented("rotate", images, degrees=degrees, interpolation=interpolation)
    torch.testing.assert_close(result, torch.rot90(images, degrees // 90, dims=(2, 3)), atol=1e-5, rtol=0)


def test_angles_of_a_range_are_drawn_for_each_image():
    """A white column through the center turns into a line whose slope gives the angle."""
    images = torch.zeros(300, 1, 41, 41)
    images[..., 20] = 1
    result = augmented("shear-x", images, degrees=(-20, 40))
    rows = torch.arange(41.0)
    places = (result[:, 0] * torch.arange(41.0)).sum(2)
    seen = result[:, 0].sum(2) > 0
    both = seen[:, 10] & seen[:, 0]
    angles = torch.atan((places[both, 0] - places[both, 10]) / (rows[10] - rows[0])).rad2deg()
    assert -25 < angles.min() < -14
    assert 34 < angles.max() < 45
    assert abs(angles.mean() - 10) < 4


def test_factors_and_their_inverses_are_equally_likely():
    images = torch.zeros(400, 1, 41, 41)
    images[..., 10:31, 10:31] = 1
    sides = augmented("scale", images, factor=(0.5, 2)).sum(dim=(1, 2, 3)).sqrt()
    assert abs((sides < 21).float().mean() - 0.5) < 0.1


@pytest.mark.parametrize("fill", [0.0, 0.4])
def test_a_center_between_two_pixels_belongs_to_the_second(fill):
    """Rounding to the even one would show every second pixel twice."""
    images = to_tensor(pictures())
    right = augmented("translate-x", images, shift=0.5 / WIDTH, fill=fill)
    assert torch.equal(right, images)
    left = augmented("translate-x", images, shift=-0.5 / WIDTH, fill=fill)
    assert torch.equal(left[..., :-1], images[..., 1:])
    assert (left[..., -1] == torch.tensor(fill)).all()
