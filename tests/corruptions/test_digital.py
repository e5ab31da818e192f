"""Digital corruptions against Pillow, colorsys, SciPy and closed forms."""

import colorsys
import io

import numpy as np
import pytest
import torch
from photograph import photographs
from PIL import Image
from scipy import ndimage

from foolscope.core.randomness import numpy_generator
from foolscope.corruptions import corrupt
from foolscope.corruptions.elastic import Elastic, stretch, triangle_map

ONE_LEVEL = 1 / 255 + 1e-6


def pictures_of(images):
    return [
        Image.fromarray(
            (255 * each).round().byte().permute(1, 2, 0).squeeze(2).numpy()
            if len(each) == 1
            else (255 * each).round().byte().permute(1, 2, 0).numpy()
        )
        for each in images
    ]


def levels(picture):
    array = torch.from_numpy(np.array(picture))
    return array[None] if array.ndim == 2 else array.permute(2, 0, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_that_of_pillow(channels):
    images = photographs(2, 21, 30, channels)
    result = corrupt(images, "jpeg-compression", 5, seed=0)
    for picture, own in zip(pictures_of(images), result, strict=True):
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=40)
        assert torch.equal((255 * own).round().byte(), levels(Image.open(stream)))


def test_coarse_pixels_are_means_of_blocks():
    images = photographs(2, 68, 72)  # large, severity 2: half as many pixels
    result = corrupt(images, "pixelate", 2, seed=0)
    blocks = torch.nn.functional.avg_pool2d(255 * images, 2)
    expected = blocks.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert float((255 * result - expected).abs().max()) <= 1.001  # Pillow rounds after each side


def test_contrast_shrinks_deviations_from_each_channels_mean():
    images = photographs(3, 20, 25)
    result = corrupt(images, "contrast", 2, seed=0)
    means = images.mean(dim=(2, 3), keepdim=True)
    assert float((result - (means + 0.5 * (images - means))).abs().max()) <= ONE_LEVEL


@pytest.mark.parametrize(("severity", "factor", "shift"), [(2, 0.1, 0.0), (3, 1.5, 0.0), (5, 2.5, 0.2)])
def test_saturation_is_that_of_hsv(severity, factor, shift):
    images = photographs(1, 9, 7)
    images[0, :, 0, 0], images[0, :, 0, 1] = 0.0, 0.4  # black and gray have the hue 0
    result = corrupt(images, "saturate", severity, seed=0)
    for row, column in np.ndindex(9, 7):
        hue, saturation, value = colorsys.rgb_to_hsv(*images[0, :, row, column].tolist())
        expected = colorsys.hsv_to_rgb(hue, min(1.0, factor * saturation + shift), value)
        assert abs(result[0, :, row, column] - torch.tensor(expected)).max() <= ONE_LEVEL


def test_the_affine_map_moves_its_three_points():
    moves = numpy_generator(0, "moves").uniform(-2, 2, (4, 3, 2))
    points = np.array([(6, 10), (6, 10), (6, 10)]) + 4 * np.array([(1, 1), (-1, 1), (-1, -1)])
    for own, matrix in zip(moves, triangle_map(12, 20, moves), strict=True):
        for point, (right, down) in zip(points, own, strict=True):
            np.testing.assert_allclose(np.array([point[0] + down, point[1] + right, 1]) @ matrix, point)


def test_without_jitter_and_strength_an_image_stays():
    images = photographs(2, 15, 12).numpy()
    generators = [numpy_generator(0, "still", each) for each in range(2)]
    np.testing.assert_allclose(stretch(images, Elastic(0.0, 0.1, 0.0), generators), images, atol=1e-6)


def test_pixels_move_by_smoothed_noise():
    image, settings = photographs(1, 16, 20).numpy(), Elastic(0.2, 0.1, 0.0)
    result = stretch(image, settings, [numpy_generator(0, "moved")])
    generator = numpy_generator(0, "moved")
    generator.uniform(-1.0, 1.0, (3, 2))  # of the affine map, which stays
    right, down = (
        0.2
        * 16
        * ndimage.gaussian_filter(generator.uniform(-1.0, 1.0, (16, 20)), 1.6, mode="reflect", truncate=3)
        for _ in range(2)
    )
    wide = np.pad(image[0, 0].astype(float), 20, mode="symmetric")
    for row, column in np.ndindex(16, 20):
        y, x = 20 + row + down[row, column], 20 + column + right[row, column]
        top, left = int(np.floor(y)), int(np.floor(x))
        a, b = y - top, x - left
        corners = wide[top : top + 2, left : left + 2]
        expected = np.array([1 - a, a]) @ corners @ np.array([1 - b, b])
        assert result[0, 0, row, column] == pytest.approx(expected, abs=1e-5)
