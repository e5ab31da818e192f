"""Filters: sharpness against Pillow, Gaussian blur against SciPy with torchvision's definition."""

import numpy as np
import pytest
from eight_bit import augmented, draws_for, in_pillow, levels, pictures, to_tensor
from PIL import ImageEnhance
from scipy.ndimage import gaussian_filter


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.9, 20.0])
def test_sharpness_is_that_of_pillow(factor, channels):
    """Pillow rounds the smoothed image (half a level) and cuts off the fraction of the result."""
    images = pictures(channels=channels)
    expected = in_pillow(images, lambda image: ImageEnhance.Sharpness(image).enhance(factor))
    assert np.abs(levels("sharpness", images, factor=factor) - expected).max() <= (
        1.0 + 0.5 * abs(1 - factor) + 1e-3
    )


@pytest.mark.parametrize(("height", "width"), [(2, 9), (9, 2), (1, 1)])
def test_sharpness_leaves_images_without_an_interior_alone(height, width):
    images = pictures(height=height, width=width)
    np.testing.assert_allclose(levels("sharpness", images, factor=0), images, atol=1e-4)


@pytest.mark.parametrize("radius", [1, 2, 6])
@pytest.mark.parametrize("sigma", [0.05, 0.7, 2.0])
def test_blur_is_a_convolution_with_the_cut_off_gaussian(radius, sigma):
    """torchvision's definition: weights exp(−d² / 2σ²) up to the radius, with sum 1, mirrored borders."""
    images = pictures(2, 3, height=8, width=11)
    expected = gaussian_filter(
        images.astype(float), sigma=(0, 0, sigma, sigma), radius=(0, 0, radius, radius), mode="mirror"
    )
    np.testing.assert_allclose(
        levels("gaussian-blur", images, sigma=sigma, radius=radius), expected, atol=1e-3
    )


def test_each_image_is_blurred_with_its_own_width():
    images = pictures(4, 1)
    sigmas = draws_for(4).uniform((0.1, 3.0)).tolist()
    result = 255 * augmented("gaussian-blur", to_tensor(images), sigma=(0.1, 3.0), radius=3).numpy()
    for image, blurred, sigma in zip(images, result, sigmas, strict=True):
        expected = gaussian_filter(
            image.astype(float), sigma=(0, sigma, sigma), radius=(0, 3, 3), mode="mirror"
        )
        np.testing.assert_allclose(blurred, expected, atol=1e-3)
