import numpy as np
import pytest

from foolscope.reports.heat import diverging, overlay

RAMP = np.linspace(-1, 1, 9)[None]


def test_red_is_above_zero_blue_below_and_stronger_is_darker():
    red, green, blue = diverging(RAMP)[:, 0]
    assert (red[5:] > blue[5:]).all()
    assert (blue[:4] > red[:4]).all()
    lightness = red + green + blue
    assert (np.diff(lightness[:5]) > 0).all()
    assert (np.diff(lightness[4:]) < 0).all()
    np.testing.assert_array_equal(diverging(3 * RAMP)[:, 0, 0], diverging(RAMP)[:, 0, 0])


@pytest.mark.parametrize("shape", [(1, 1, 9), (3, 1, 9), (1, 9)])
def test_an_overlay_shows_the_gray_image_where_the_map_is_zero(shape):
    image = np.broadcast_to(np.linspace(0, 1, 9), shape)
    seen = overlay(image, np.zeros((1, 9)))
    assert seen.shape == (3, 1, 9)
    np.testing.assert_allclose(seen, np.broadcast_to(np.linspace(0, 1, 9), (3, 1, 9)), atol=1 / 255)
    strong = overlay(image, np.ones((1, 9)))
    assert (strong[0] > strong[2] + 0.3).all()
    assert (np.diff(strong[0, 0]) > 0).all()  # the image still shows
    assert (overlay(image, -np.ones((1, 9)))[2] > overlay(image, -np.ones((1, 9)))[0] + 0.3).all()
