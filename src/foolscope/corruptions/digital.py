"""What storing an image does to it: coarser pixels and JPEG, both by Pillow."""

import io
from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from foolscope.corruptions.corruption import Generators, Images

__all__ = ["compress", "pixelate"]


def pixelate(images: Images, scale: float, generators: Generators) -> Images:
    """Shrink to ⌊scale · side⌋ pixels and enlarge again, both with Pillow's box filter."""
    height, width = images.shape[2:]
    coarse = (max(1, int(width * scale)), max(1, int(height * scale)))
    box = Image.Resampling.BOX
    return _arrays(picture.resize(coarse, box).resize((width, height), box) for picture in _pictures(images))


def compress(images: Images, quality: int, generators: Generators) -> Images:
    """Write and read JPEG files of a quality, 1 to 95."""
    return _arrays(_decoded(picture, quality) for picture in _pictures(images))


def _decoded(picture: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def _pictures(images: Images) -> Iterator[Image.Image]:
    levels = np.rint(images * np.float32(255.0)).astype(np.uint8)
    for image in levels:
        yield Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))


def _arrays(pictures: Iterable[Image.Image]) -> Images:
    levels = np.stack([np.asarray(picture) for picture in pictures])
    planes = levels[:, None] if levels.ndim == 3 else levels.transpose(0, 3, 1, 2)
    return planes.astype(np.float32) / np.float32(255.0)
