"""Blurs against other ways to compute them: SciPy, sums pixel by pixel, closed forms."""

import math

import numpy as np
import pytest
import torch
from photograph import photographs
from scipy import ndimage, signal

from foolscope.core.randomness import numpy_generator
from foolscope.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from foolscope.corruptions.blur import Disk, disk_kernel
from foolscope.corruptions.glass import scattered
from foolscope.corruptions.motion import Motion, motion_blurred
from foolscope.corruptions.zoom import zoomed

ONE_LEVEL = 1 / 255 + 1e-6


def planes(height=13, width=18):
    return photographs(3, height, width).numpy()


def test_defocus_is_a_convolution_with_a_soft_disk():
    images = photographs(2, 70, 66)
    result = corrupt(images, "defocus-blur", 3, seed=0).numpy()
    rows, columns = np.mgrid[-8:9, -8:9]
    disk = (np.hypot(rows, columns) <= 6).astype(float)
    rim = np.exp(-(rows**2 + columns**2) / (2 * 0.5**2)) * (np.maximum(abs(rows), abs(columns)) <= 1)
    soft = signal.convolve2d(disk / disk.sum(), rim / rim.sum(), mode="same")
    for image, blurred in zip(images.numpy(), result, strict=True):
        for channel, own in zip(image, blurred, strict=True):
            wide = np.pad(channel.astype(float), 8, mode="reflect")
            assert abs(signal.convolve2d(wide, soft, mode="valid") - own).max() <= ONE_LEVEL


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_disk_weighs_one_and_is_symmetric(size, severity):
    kernel = disk_kernel(CORRUPTIONS["defocus-blur"].parameters(severity, size))
    # Where the disk fills its field, the smoothing mirrors its rim back inside, as in the published sets.
    fills = size == "large" and severity > 3
    assert kernel.sum() == pytest.approx(1.012 if fills else 1.0, abs=0.0015 if fills else 1e-9)
    for other in (kernel.T, kernel[::-1], kernel[:, ::-1]):
        np.testing.assert_allclose(kernel, other)
    assert kernel[0].any()


def test_a_disk_smaller_than_a_pixel_is_its_rim():
    edge = math.exp(-1 / (2 * 0.4**2))
    line = np.array([edge, 1, edge]) / (1 + 2 * edge)
    np.testing.assert_allclose(disk_kernel(Disk(0.3, 0.4)), np.outer(line, line))


def test_gaussian_blur_is_a_sum_of_weighted_neighbors():
    image = planes()[0, 0]
    offsets = np.arange(-4, 5)  # four standard deviations
    weights = np.exp(-(offsets**2) / 2)
    weights /= weights.sum()
    wide = np.pad(image.astype(float), 4, mode="edge")
    expected = sum(
        vertical * horizontal * wide[4 + row : 17 + row, 4 + column : 22 + column]
        for row, vertical in zip(offsets, weights, strict=True)
        for column, horizontal in zip(offsets, weights, strict=True)
    )
    result = corrupt(photographs(3, 13, 18), "gaussian-blur", 5, seed=0).numpy()[0, 0]
    assert abs(expected - result).max() <= ONE_LEVEL


@pytest.mark.parametrize("degrees", [0.0, 30.0, -44.0, -90.0, -135.0])
def test_motion_blur_averages_along_a_line_pixel_by_pixel(degrees):
    image, motion = planes()[:1, :1], Motion(5, 2.0)
    result = motion_blurred(image, motion, np.array([degrees]))[0, 0]
    height, width = result.shape
    weights = [math.exp(-(step**2) / 8) for step in range(11)]
    angle = math.radians(degrees)
    for row, column in np.ndindex(height, width):
        total = 0.0
        for step, weight in enumerate(weights):
            y = min(max(row + math.ceil(step * math.sin(angle) - 0.5), 0), height - 1)
            x = min(max(column + math.ceil(step * math.cos(angle) - 0.5), 0), width - 1)
            total += weight * image[0, 0, y, x]
        assert result[row, column] == pytest.approx(total / sum(weights), abs=1e-5)


def test_each_image_moves_in_a_direction_of_its_own_near_the_horizontal():
    lines = np.zeros((40, 1, 64, 64), dtype=np.float32)
    lines[:, :, 32] = 1.0  # a horizontal line is blurred only by what moves down or up
    kept = motion_blurred(lines, Motion(6, 2), np.zeros(40))
    np.testing.assert_allclose(kept, lines, atol=1e-6)
    result = corrupt(torch.from_numpy(lines), "motion-blur", 3, seed=0).numpy()
    assert len({each.tobytes() for each in result}) > 3
    assert all(each[0, :, 20:40].sum(axis=0) == pytest.approx(1.0, abs=0.1) for each in result)


@pytest.mark.parametrize("factor", [1.0, 1.05, 1.21, 1.75, 2.5])
@pytest.mark.parametrize("side", [8, 31, 32])
def test_zooming_is_that_of_scipy(side, factor):
    image = photographs(1, side, side).numpy()
    kept = math.ceil(side / factor)
    first = (side - kept) // 2
    center = image[0, 0, first : first + kept, first : first + kept]
    whole = ndimage.zoom(center, factor, order=1)
    trim = (len(whole) - side) // 2
    expected = whole[trim : trim + side, trim : trim + side]
    np.testing.assert_allclose(zoomed(image, factor)[0, 0], expected, atol=1e-5)


def test_zooming_treats_each_side_by_its_own_length():
    image = planes(9, 20)
    tall = zoomed(np.ascontiguousarray(image.transpose(0, 1, 3, 2)), 1.3).transpose(0, 1, 3, 2)
    np.testing.assert_allclose(zoomed(image, 1.3), tall, atol=1e-6)


def test_glass_moves_pixels_one_after_another():
    image, generator = planes(9, 11)[:2], numpy_generator(0, "test")
    places = [(row, column) for _ in range(2) for row in range(7, 2, -1) for column in range(9, 2, -1)]
    moves = generator.integers(-2, 2, size=(2, len(places), 2))
    expected = image.copy()
    for one, own in zip(expected, moves, strict=True):
        for (row, column), (down, right) in zip(places, own, strict=True):
            one[:, row, column] = one[:, row + down, column + right]
    before = image.copy()
    np.testing.assert_array_equal(scattered(image, places, moves), expected)
    np.testing.assert_array_equal(image, before)
