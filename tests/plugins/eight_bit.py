"""Images of 8 bits, as tensors and as Pillow's, and augmentation of them."""

import numpy as np
import torch
from PIL import Image

from foolscope.augmentation import AUGMENTATIONS, Draws


def pictures(count=3, channels=3, height=13, width=17, seed=0):
    """Smooth pictures with noise, uint8: (count, channels, height, width)."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    phase = generator.uniform(0, 6, (count, channels, 1, 1))
    waves = 120 + 110 * np.sin(0.4 * rows + 0.3 * columns * phase + phase)
    noise = generator.integers(-25, 26, (count, channels, height, width))
    return np.clip(waves + noise, 0, 255).astype(np.uint8)


def to_tensor(images):
    return torch.from_numpy(images).float() / 255


def to_pillow(image):
    return Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))


def from_pillow(image):
    array = np.asarray(image)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def in_pillow(images, change):
    """What a change of a Pillow image makes of each image."""
    return np.stack([from_pillow(change(to_pillow(image))) for image in images])


def draws_for(count, seed=0, epoch=0):
    return Draws(torch.Generator().manual_seed(seed), torch.arange(count), epoch, seed)


def augmented(name, images, seed=0, epoch=0, **settings):
    """Images in [0, 1] after an operation of the table."""
    entry = AUGMENTATIONS[name]
    return entry.apply(entry.settings(**settings), images, draws_for(len(images), seed, epoch))


def levels(name, images, **settings):
    """Gray levels, not rounded, of 8-bit images after an operation of the table."""
    return 255 * augmented(name, to_tensor(images), **settings).double().numpy()
