"""Weather against scalar transcriptions and closed forms."""

import colorsys

import numpy as np
import pytest
import torch
from photograph import photographs
from scipy import ndimage

from foolscope.core.randomness import numpy_generator
from foolscope.corruptions import corrupt
from foolscope.corruptions.edges import canny_edges
from foolscope.corruptions.spatter import Spatter, equalized, rim_distances, spatter
from foolscope.corruptions.weather import Snow, add_snow, plasma

ONE_LEVEL = 1 / 255 + 1e-6


def plasma_by_points(side, decay, generator):
    """The diamond-square algorithm, place by place, on a field that wraps around."""
    heights, step, wobble = np.zeros((side, side)), side, 100.0

    def place(rows, columns, neighbors):
        noise = generator.uniform(-wobble, wobble, (len(rows), len(columns)))
        for (i, row), (j, column) in ((a, b) for a in enumerate(rows) for b in enumerate(columns)):
            around = [heights[(row + y) % side, (column + x) % side] for y, x in neighbors]
            heights[row, column] = sum(around) / 4 + wobble * noise[i, j]

    while step >= 2:
        half = step // 2
        corners, middles = range(0, side, step), range(half, side, step)
        place(middles, middles, [(-half, -half), (-half, half), (half, -half), (half, half)])
        straight = [(-half, 0), (half, 0), (0, -half), (0, half)]
        place(corners, middles, straight)
        place(middles, corners, straight)
        step, wobble = half, wobble / decay
    heights -= heights.min()
    return heights / heights.max()


def test_plasma_is_the_diamond_square_algorithm():
    generators = [numpy_generator(0, "plasma", each) for each in range(2)]
    fields = plasma(16, 1.75, generators)
    for each, field in enumerate(fields):
        np.testing.assert_allclose(field, plasma_by_points(16, 1.75, numpy_generator(0, "plasma", each)))


def test_fog_keeps_the_range_and_evens_out_the_rest():
    images = photographs(6, 20, 24)
    foggy = corrupt(images, "fog", 5, seed=0)
    brightest = images.amax(dim=(1, 2, 3))
    assert bool((foggy.amax(dim=(1, 2, 3)) <= brightest).all())
    assert foggy.std() < images.std()
    gray = corrupt(torch.full((8, 1, 32, 32), 0.5), "fog", 5, seed=0).double()
    density = 1.5
    clouds = (gray * (0.5 + density) / 0.5 - 0.5) / density
    assert float(clouds.amin(dim=(2, 3)).max()) == pytest.approx(0, abs=0.02)
    assert float(clouds.amax(dim=(2, 3)).min()) == pytest.approx(1, abs=0.02)


def test_snow_without_flakes_is_the_whitened_image():
    images = photographs(2, 12, 15)
    nothing = Snow(0.0, 0.1, 1.25, 0.9, 5, 2.0, 0.7)
    result = add_snow(images.numpy(), nothing, [numpy_generator(0, "snow", each) for each in range(2)])
    luma = 0.299 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2]
    expected = 0.7 * images + 0.3 * torch.maximum(images, (luma * 1.5 + 0.5)[:, None])
    np.testing.assert_allclose(result, expected.numpy(), atol=1e-6)


def test_flakes_are_as_dense_as_their_threshold_says_and_fall_on_both_halves_alike():
    black = np.zeros((400, 1, 32, 32), dtype=np.float32)
    flakes = Snow(0.3, 0.3, 1.0, 0.65, 0, 1.0, 1.0)  # radius 0: they hang in the air
    layer = add_snow(black, flakes, [numpy_generator(0, "snow", each) for each in range(400)])
    rng = np.random.default_rng(0)
    noise = np.clip(rng.normal(0.3, 0.3, (400, 32, 32)), 0, 1)
    expected = 2 * np.where(noise < 0.65, 0, noise).mean()
    assert layer.mean() == pytest.approx(expected, rel=0.03)
    np.testing.assert_allclose(layer, layer[:, :, ::-1, ::-1], atol=1e-6)


def test_brightness_raises_the_value_of_hsv():
    images = photographs(1, 9, 7)
    images[0, :, 0, 0] = 0.0  # black has no hue
    result = corrupt(images, "brightness", 4, seed=0)
    for row, column in np.ndindex(9, 7):
        hue, saturation, value = colorsys.rgb_to_hsv(*images[0, :, row, column].tolist())
        expected = colorsys.hsv_to_rgb(hue, saturation, min(1.0, value + 0.2))
        assert abs(result[0, :, row, column] - torch.tensor(expected)).max() <= ONE_LEVEL


def drops(images, settings):
    return spatter(images, settings, [numpy_generator(0, "drops", each) for each in range(len(images))])


def test_mud_has_its_color_where_it_is_thick_and_nothing_else_changes():
    images = photographs(4, 30, 30).numpy()
    result = drops(images, Spatter(0.65, 0.3, 1.0, 0.65, 0.5, True))
    mud = np.array([63, 42, 20], dtype=np.float32).reshape(1, 3, 1, 1) / 255
    cover = ((result - images) / np.where(abs(mud - images) < 0.05, np.nan, mud - images)).reshape(-1)
    cover = cover[np.isfinite(cover)]
    untouched = abs(cover) < 1e-4
    assert 0.1 < untouched.mean() < 0.9
    assert (cover[~untouched] > 0.8 - 1e-3).all()
    assert cover.max() == pytest.approx(1, abs=1e-3)


def test_water_adds_its_color_and_the_brightest_spot_gets_all_of_it():
    images = np.zeros((6, 3, 32, 32), dtype=np.float32)
    added = drops(images, Spatter(0.65, 0.3, 1.0, 0.69, 0.5, False))
    np.testing.assert_allclose(added[:, 0] * 238, added[:, 1] * 175, rtol=1e-5)
    np.testing.assert_array_equal(added[:, 1], added[:, 2])
    np.testing.assert_allclose(added[:, 1].max(axis=(1, 2)), 0.5 * 238 / 255, rtol=1e-5)
    assert 0.02 < (added[:, 0] > 0).mean() < 0.4


def windows(plane):
    """Every pixel's 3×3 neighborhood; beyond the border the plane is mirrored at its outermost pixels."""
    return np.lib.stride_tricks.sliding_window_view(np.pad(plane.astype(float), 1, mode="reflect"), (3, 3))


def test_water_glitters_by_a_relief_of_the_distance_from_its_rim():
    settings = Spatter(0.65, 0.3, 1.0, 0.69, 0.5, False)
    added = drops(np.zeros((3, 3, 20, 24), dtype=np.float32), settings)[:, 1] / (0.5 * 238 / 255)
    for each, own in enumerate(added):
        noise = numpy_generator(0, "drops", each).normal(0.65, 0.3, (20, 24)).astype(np.float32)
        liquid = ndimage.gaussian_filter(noise, 1.0, mode="nearest")
        levels = (255 * np.where(liquid < 0.69, 0, liquid).clip(0, 1)).astype(np.uint8)
        distance = rim_distances(canny_edges(levels[None], 50, 150))[0]
        near = np.floor(windows(distance).mean(axis=(2, 3)) + 1e-4).astype(np.uint8)
        light_from_above_left = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
        relief = (windows(equalized(near)) * light_from_above_left).sum(axis=(2, 3)).clip(0, 255)
        shine = levels * np.rint(windows(relief).mean(axis=(2, 3)))
        np.testing.assert_allclose(own, shine / shine.max(), atol=1e-5)


def test_without_drops_nothing_is_added():
    images = photographs(2, 12, 12).numpy()
    for is_mud in (False, True):
        np.testing.assert_allclose(drops(images, Spatter(0.1, 0.01, 1.0, 0.9, 0.5, is_mud)), images)


def canny_by_points(plane, low, high):
    """Canny's edges of one plane: pixels one by one, chains by a stack."""
    wide = np.pad(plane.astype(int), 1, mode="edge")
    height, width = plane.shape
    across = np.zeros((height, width), dtype=int)
    down = np.zeros_like(across)
    for row, column in np.ndindex(height, width):
        window = wide[row : row + 3, column : column + 3]
        across[row, column] = ((window[:, 2] - window[:, 0]) * [1, 2, 1]).sum()
        down[row, column] = ((window[2] - window[0]) * [1, 2, 1]).sum()
    size = abs(across) + abs(down)

    def at(row, column):
        return size[row, column] if 0 <= row < height and 0 <= column < width else 0

    ridge = np.zeros(plane.shape, dtype=bool)
    for row, column in np.ndindex(height, width):
        own, angle = (
            size[row, column],
            np.degrees(np.arctan2(abs(down[row, column]), abs(across[row, column]))),
        )
        if angle < 22.5:
            largest = own > at(row, column - 1) and own >= at(row, column + 1)
        elif angle > 67.5:
            largest = own > at(row - 1, column) and own >= at(row + 1, column)
        else:
            side = 1 if across[row, column] * down[row, column] > 0 else -1
            largest = own > at(row - 1, column - side) and own > at(row + 1, column + side)
        ridge[row, column] = own > low and largest
    found = ridge & (size > high)
    stack = [tuple(place) for place in np.argwhere(found)]
    while stack:
        row, column = stack.pop()
        for y, x in np.ndindex(3, 3):
            place = (row + y - 1, column + x - 1)
            if 0 <= place[0] < height and 0 <= place[1] < width and ridge[place] and not found[place]:
                found[place] = True
                stack.append(place)
    return found


def test_edges_are_those_found_point_by_point():
    smooth = ndimage.gaussian_filter(np.random.default_rng(1).normal(0.5, 0.4, (3, 20, 24)), (0, 1.5, 1.5))
    levels = (255 * np.clip(smooth, 0, 1)).astype(np.uint8)
    found = canny_edges(levels, 50, 150)
    assert 0.02 < found.mean() < 0.5
    for plane, own in zip(levels, found, strict=True):
        np.testing.assert_array_equal(own, canny_by_points(plane, 50, 150))


def test_a_step_has_one_edge():
    step = np.zeros((1, 9, 12), dtype=np.uint8)
    step[:, :, 6:] = 200
    np.testing.assert_array_equal(np.flatnonzero(canny_edges(step, 50, 150)[0].all(axis=0)), [5])
    assert not canny_edges(step // 10, 50, 150).any()


def test_equalizing_spreads_ranks_evenly():
    levels = np.random.default_rng(0).choice(256, size=50, replace=False).astype(np.uint8).reshape(5, 10)
    ranks = levels.ravel().argsort().argsort().reshape(5, 10)
    np.testing.assert_array_equal(equalized(levels), np.rint(ranks * 255 / 49))
    flat = np.full((3, 3), 7, dtype=np.uint8)
    np.testing.assert_array_equal(equalized(flat), flat)


def test_rim_distances_are_shortest_ways_by_kings_and_knights():
    edges = np.zeros((3, 26, 30), dtype=bool)
    edges[0, [3, 20, 11], [4, 25, 12]] = True
    edges[1, 0, 0] = True  # nothing in the third
    found = rim_distances(edges)
    for plane, own in zip(edges, found, strict=True):
        rows, columns = np.nonzero(plane)
        for row, column in np.ndindex(plane.shape):
            ways = [20.0]
            for far, near in (
                sorted((abs(row - y), abs(column - x)))[::-1] for y, x in zip(rows, columns, strict=True)
            ):
                knights = far - near if far < 2 * near else near
                rest = (2 * near - far) * 1.4 if far < 2 * near else far - 2 * near
                ways.append(knights * 2.1969 + rest)
            assert own[row, column] == pytest.approx(min(ways))
