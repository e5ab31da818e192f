"""Image files before they are decoded, and their decoding in threads, straight to where the pixels belong."""

import hashlib
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Int64, UInt8
from torch import Tensor

from foolscope.core.cores import available_cores
from foolscope.core.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Decoding", "ImageFiles", "ReadCallback", "decode_images", "decoder_versions", "digest_files"]

ReadCallback = Callable[[str, int, int], None]
"""Called with what has been done to images, to how many, and how many there are."""

_DECODING_VERSION = 1
"""Raised when the same file, decoded by the same Pillow, becomes other pixels."""

_AT_ONCE = 64  # files that a thread reads before the progress is told
_LIBRARIES = ("jpg", "libjpeg_turbo", "jpg_2000", "libtiff", "webp")  # the lossy ones; the others are exact


@dataclass(frozen=True)
class Decoding:
    """What image files become.

    Args:
        height: to which every image is resized, in pixels.
        width: to which every image is resized, in pixels.
        color: three channels or one.
    """

    height: int
    width: int
    color: Literal["rgb", "grayscale"]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channel, height, width."""
        return 3 if self.color == "rgb" else 1, self.height, self.width


@dataclass(frozen=True)
class ImageFiles:
    """Image files with their labels; nothing is read before it is known where it belongs.

    Args:
        paths: the files.
        labels: class indices in [0, classes).
        decoding: what they become.
    """

    paths: tuple[Path, ...]
    labels: Int64[Tensor, " count"]
    decoding: Decoding

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: Int64[Tensor, " some"]) -> "ImageFiles":
        """Return the files at these positions, in this order."""
        return replace(
            self,
            paths=tuple(self.paths[index] for index in indices.tolist()),
            labels=self.labels[indices],
        )


def decoder_versions() -> str:
    """Return what the pixels depend on beside the files: our decoding, Pillow, its libraries, the machine."""
    import PIL
    from PIL import features

    libraries = {name: features.version(name) for name in _LIBRARIES}
    return repr((_DECODING_VERSION, PIL.__version__, libraries, platform.machine()))


def digest_files(paths: Sequence[Path], progress: ReadCallback | None = None) -> list[bytes]:
    """Return the SHA-256 of the contents of each file.

    Raises:
        DataError: a file cannot be read.
    """
    found: list[bytes] = []
    with ThreadPoolExecutor(available_cores()) as pool:
        several = [paths[start : start + _AT_ONCE] for start in range(0, len(paths), _AT_ONCE)]
        for digests in pool.map(_digests, several):
            found.extend(digests)
            if progress is not None:
                progress("checked", len(found), len(paths))
    return found


def _digests(paths: Sequence[Path]) -> list[bytes]:
    return [hashlib.sha256(_content(path)).digest() for path in paths]


def decode_images(
    paths: Sequence[Path],
    decoding: Decoding,
    write: Callable[[int, UInt8[np.ndarray, "channel height width"]], None],
    progress: ReadCallback | None = None,
    done: str = "decoded",
) -> list[bytes]:
    """Decode image files, as many at once as there are cores; no more than those are held in memory.

    Args:
        paths: the files.
        decoding: what they become.
        write: called with the position of a file and its pixels, from several threads and in any order.
        progress: called from this thread.
        done: what the progress says has been done.

    Returns:
        The SHA-256 of the contents of each file, as it was decoded.

    Raises:
        DataError: a file cannot be read or decoded.
    """
    found: list[bytes] = []
    one = partial(_decode_one, decoding=decoding, write=write)
    # Pillow releases the interpreter while it decodes, so threads use all cores.
    with ThreadPoolExecutor(available_cores()) as pool:
        for digest in pool.map(one, range(len(paths)), paths):
            found.append(digest)
            if progress is not None:
                progress(done, len(found), len(paths))
    return found


def _decode_one(
    position: int,
    path: Path,
    *,
    decoding: Decoding,
    write: Callable[[int, UInt8[np.ndarray, "channel height width"]], None],
) -> bytes:
    content = _content(path)
    write(position, _decode(content, path, decoding))
    return hashlib.sha256(content).digest()


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error


def _unreadable(path: Path, problem: str) -> DataError:
    return DataError(f"cannot read the image {path}: {problem}; repair the file or remove it from the folder")


def _decode(content: bytes, path: Path, decoding: Decoding) -> UInt8[np.ndarray, "channel height width"]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    size = (decoding.width, decoding.height)
    try:
        with Image.open(BytesIO(content)) as opened:
            image = _eight_bits(ImageOps.exif_transpose(opened)).convert(
                "RGB" if decoding.color == "rgb" else "L"
            )
            if image.size != size:
                image = image.resize(size, Image.Resampling.BILINEAR)
    except UnidentifiedImageError as error:  # its words are about the bytes in memory
        raise _unreadable(path, "it is no image of a known kind, or is damaged") from error
    # Image decoders raise anything on damaged files: OSError, SyntaxError, ValueError, struct.error and more.
    except Exception as error:
        raise _unreadable(path, str(error)) from error
    pixels = np.asarray(image)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def _eight_bits(image: "Image.Image") -> "Image.Image":
    """Scale 16-bit gray values to 8 bits, where Pillow's own conversion would clip them."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    return Image.fromarray(np.clip(np.rint(values / 257), 0, 255).astype(np.uint8))
