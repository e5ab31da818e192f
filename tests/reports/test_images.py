import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from foolscope.reports.images import data_uri, encode_png, magnified_perturbation, pixels


@pytest.mark.parametrize("shape", [(5, 7), (1, 5, 7), (3, 5, 7)])
def test_a_png_holds_the_pixels_enlarged_by_a_whole_factor(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    decoded = np.asarray(Image.open(io.BytesIO(encode_png(image, minimum_side=20))))
    assert decoded.shape[:2] == (20, 28)
    assert np.array_equal(decoded[::4, ::4], pixels(image))
    assert np.array_equal(decoded[3::4, 3::4], pixels(image))


def test_floats_and_bytes_agree():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(pixels(image / 255), image)
    assert np.array_equal(pixels((image / 255).astype(np.float32)), image)


def test_values_outside_are_clipped():
    assert pixels(np.array([[-1.0, 2.0, np.nan, np.inf]])).tolist() == [[0, 255, 0, 255]]


@pytest.mark.parametrize(
    ("image", "message"),
    [(np.zeros((2, 4, 4)), "1 or 3 channels"), (np.zeros((4, 4), int), "uint8 or float")],
)
def test_other_arrays_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        pixels(image)


def test_a_data_address_holds_the_file():
    png = encode_png(np.zeros((2, 2)))
    assert base64.b64decode(data_uri(png).split(",")[1]) == png
    with pytest.raises(ValueError, match="PNG"):
        data_uri(b"<svg")


@given(st.floats(1e-6, 1), st.integers(0, 2**32 - 1))
def test_a_magnified_perturbation_is_large_and_never_clipped(size, seed):
    original = np.random.default_rng(seed).uniform(0, 1, (3, 4, 5))
    adversarial = original + np.random.default_rng(seed + 1).uniform(-size, size, original.shape)
    magnified = magnified_perturbation(original, adversarial)
    extent = np.abs(magnified.image - 0.5).max()
    assert 0.45 <= extent <= 0.5 + 1e-6
    assert np.allclose(magnified.image, 0.5 + magnified.factor * (adversarial - original))


def test_the_magnification_is_stated():
    zero = np.zeros((1, 2, 2))
    assert magnified_perturbation(zero, zero + 8 / 255).label == "magnified × 15"
    assert magnified_perturbation(np.zeros((2, 2), np.uint8), np.full((2, 2), 51, np.uint8)).factor == 2.5
    assert magnified_perturbation(zero, zero).factor == 1
    assert np.all(magnified_perturbation(zero, zero).image == 0.5)
