"""Arrays as PNG pictures: nearest-neighbour enlargement, and perturbations magnified about mid-grey."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foolscope.reports.text import format_number

__all__ = ["Magnified", "data_uri", "encode_png", "magnified_perturbation", "pixels"]

_MINIMUM_SIDE = 128


@dataclass(frozen=True, eq=False)
class Magnified:
    """A perturbation as a picture: ``0.5 + factor * perturbation``.

    Args:
        image: floats in [0, 1], shaped like the inputs; mid-grey where nothing changed.
        factor: the magnification, two significant digits, rounded down so that nothing is clipped.
    """

    image: NDArray[np.float64]
    factor: float

    @property
    def label(self) -> str:
        """The magnification in words, for the title of the picture."""
        return f"magnified × {format_number(self.factor)}"


def pixels(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn an image into bytes of shape (height, width) or (height, width, 3).

    Args:
        image: (height, width) or (channel, height, width) with 1 or 3 channels; uint8, or float in [0, 1]
            (values outside are clipped, not-a-number is black).

    Raises:
        ValueError: the shape or the data type is another.

    Example:
        >>> pixels(np.full((1, 2, 2), 0.5)).tolist()
        [[128, 128], [128, 128]]
    """
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[0] in (1, 3):
        array = array[0] if array.shape[0] == 1 else array.transpose(1, 2, 0)
    elif array.ndim != 2:
        raise ValueError(
            "an image must be (height, width) or (channel, height, width) with 1 or 3 channels; "
            f"got shape {array.shape}"
        )
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"an image must be uint8 or float in [0, 1]; got {array.dtype}")
    scaled = np.nan_to_num(array.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1) * 255
    return np.ascontiguousarray(np.floor(scaled + 0.5).astype(np.uint8))


def encode_png(image: NDArray[Any], *, minimum_side: int = _MINIMUM_SIDE) -> bytes:
    """Encode an image as PNG, enlarged by a whole factor until its shorter side is ``minimum_side`` or more.

    Args:
        image: as for :func:`pixels`.
        minimum_side: in pixels; 1 keeps the size.

    Returns:
        The bytes of the file; the same for the same image.
    """
    from PIL import Image

    array = pixels(image)
    factor = -(-minimum_side // min(array.shape[:2]))
    enlarged = np.repeat(np.repeat(array, factor, axis=0), factor, axis=1)
    stream = io.BytesIO()
    Image.fromarray(enlarged).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def data_uri(png: bytes) -> str:
    """Write a PNG as a ``data:`` address that needs no file.

    Raises:
        ValueError: the bytes are not a PNG.
    """
    if not png.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError(f"expected the bytes of a PNG file; got {png[:8]!r}")
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def magnified_perturbation(original: NDArray[Any], adversarial: NDArray[Any]) -> Magnified:
    """Make a perturbation visible: its largest component reaches black or white.

    Args:
        original: uint8, or float in [0, 1], any shape.
        adversarial: in [0, 1], of the same shape.

    Example:
        >>> magnified_perturbation(np.zeros((1, 2, 2)), np.full((1, 2, 2), 1 / 32)).factor
        16.0
    """
    perturbation = _unit(adversarial) - _unit(original)
    largest = float(np.abs(perturbation).max(initial=0.0))
    factor = _round_down(0.5 / largest) if largest > 0 else 1.0
    return Magnified(0.5 + factor * perturbation, factor)


def _unit(image: NDArray[Any]) -> NDArray[np.float64]:
    array = np.asarray(image)
    return array / 255.0 if array.dtype == np.uint8 else array.astype(np.float64)


def _round_down(value: float) -> float:
    """Keep two significant digits, never rounding up; a hair of slack keeps 16 from becoming 15."""
    digit = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(f"{np.floor(value / digit * (1 + 1e-9)) * digit:.6g}")
