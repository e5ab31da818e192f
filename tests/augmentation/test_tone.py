"""Operations on gray values, against Pillow."""

import numpy as np
import pytest
from eight_bit import in_pillow, levels, pictures
from PIL import ImageOps


def special(channels):
    """Pictures, among them one of one value, one of two, and one whose histogram has a dominating value."""
    images = pictures(6, channels, height=20, width=31)
    images[1] = 77
    images[2] = np.where(images[2] > 100, 200, 50)
    images[3] = np.maximum(images[3], 240)
    images[4] = np.minimum(images[4], 40)
    return images


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "settings", "change"),
    [
        ("invert", {"probability": 1}, ImageOps.invert),
        ("solarize", {"threshold": "200/255"}, lambda image: ImageOps.solarize(image, 200)),
        ("solarize", {"threshold": 0}, lambda image: ImageOps.solarize(image, 0)),
        ("posterize", {"bits": 1}, lambda image: ImageOps.posterize(image, 1)),
        ("posterize", {"bits": 3}, lambda image: ImageOps.posterize(image, 3)),
        ("posterize", {"bits": 8}, lambda image: ImageOps.posterize(image, 8)),
        ("equalize", {}, ImageOps.equalize),
    ],
)
def test_gray_levels_are_exactly_those_of_pillow(name, settings, change, channels):
    images = special(channels)
    np.testing.assert_allclose(levels(name, images, **settings), in_pillow(images, change), atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_auto_contrast_is_that_of_pillow(channels):
    images = special(channels)
    result, expected = levels("auto-contrast", images), in_pillow(images, ImageOps.autocontrast)
    assert np.abs(result - expected).max() < 1.0 + 1e-3  # Pillow cuts off the fraction of a gray level
    assert (result[1] == images[1]).all() or np.abs(result[1] - images[1]).max() < 1e-4
    assert result[[0, 2, 3, 4, 5]].max() == 255


def test_equalize_leaves_small_images_alone_as_pillow_does():
    """Where a channel has fewer than 256 pixels, the step in whole numbers is 0."""
    images = pictures(2, 3, height=5, width=7)
    np.testing.assert_allclose(levels("equalize", images), images, atol=1e-4)
    np.testing.assert_array_equal(in_pillow(images, ImageOps.equalize), images)
