"""Operations on colors, against Pillow and the standard library's HSV."""

import colorsys

import numpy as np
import pytest
import torch
from eight_bit import augmented, in_pillow, levels, pictures, to_tensor
from PIL import Image, ImageEnhance

FACTORS = [0.0, 0.3, 1.0, 1.7]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(
    ("name", "enhancer", "rounded"),
    [
        ("brightness", ImageEnhance.Brightness, 0.0),
        ("contrast", ImageEnhance.Contrast, 1.0),
        ("saturation", ImageEnhance.Color, 0.5),
    ],
)
def test_factors_are_those_of_pillow(name, enhancer, rounded, factor, channels):
    """Pillow cuts off the fraction of a gray level, and rounds what it blends with.

    Its mean gray is the rounded mean of rounded grays (one level at most), its gray is rounded (half).
    """
    images = pictures(channels=channels)
    expected = in_pillow(images, lambda image: enhancer(image).enhance(factor))
    result = levels(name, images, factor=factor)
    assert np.abs(result - expected).max() <= 1.0 + rounded * abs(1 - factor) + 1e-3


def test_gray_is_pillows():
    images = pictures()
    expected = in_pillow(images, lambda image: image.convert("L").convert("RGB"))
    result = levels("gray", images, probability=1)
    assert np.abs(result - expected).max() <= 0.5 + 1e-2  # Pillow rounds
    assert (result == result[:, :1]).all()


@pytest.mark.parametrize("shift", [-0.5, -0.13, 0.0, 0.3, 0.5])
def test_hue_turns_the_circle_of_hsv(shift):
    images = pictures(height=6, width=7)
    images[0, :, 0] = [[0, 255, 255, 7, 7, 0, 9], [0, 255, 0, 7, 200, 0, 9], [0, 255, 0, 7, 7, 1, 255]]
    expected = np.empty(images.shape)
    for index in np.ndindex(3, 6, 7):
        hue, saturation, value = colorsys.rgb_to_hsv(*images[index[0], :, *index[1:]] / 255)
        expected[index[0], :, *index[1:]] = colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
    np.testing.assert_allclose(levels("hue", images, shift=shift), 255 * expected, atol=1e-3)


def test_hue_is_that_of_pillow_but_for_its_8_bits():
    """Pillow cuts hue and saturation off to 8 bits, up to 6 levels and one, and rounds the result."""
    images = pictures()

    def turned(image):
        hue, saturation, value = image.convert("HSV").split()
        hue = hue.point([(level + 77) % 255 for level in range(256)])
        return Image.merge("HSV", (hue, saturation, value)).convert("RGB")

    expected = in_pillow(images, turned)
    assert np.abs(levels("hue", images, shift=77 / 255) - expected).max() <= 8


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "sharpness"])
def test_a_factor_of_one_changes_nothing(name):
    images = to_tensor(pictures())
    assert torch.equal(augmented(name, images, factor=1), images)
