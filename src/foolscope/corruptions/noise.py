"""Noise of every pixel and channel: Gaussian, shot, impulse and speckle."""

import numpy as np

from foolscope.corruptions.corruption import Generators, Images

__all__ = ["add_gaussian_noise", "add_impulse_noise", "add_shot_noise", "add_speckle_noise"]


def add_gaussian_noise(images: Images, deviation: float, generators: Generators) -> Images:
    """Add normal noise: ``x + σ n``."""
    return images + np.float32(deviation) * _normal(images, generators)


def add_shot_noise(images: Images, photons: float, generators: Generators) -> Images:
    """Count photons: ``Poisson(c x) / c``, whose mean is x and whose variance is x / c.

    Args:
        images: in [0, 1].
        photons: c, the mean count where a pixel is white.
        generators: one per image.
    """
    counts = [generator.poisson(image * photons) for image, generator in zip(images, generators, strict=True)]
    return (np.stack(counts) / photons).astype(np.float32)


def add_impulse_noise(images: Images, share: float, generators: Generators) -> Images:
    """Replace a share of all values by black or white, with equal chances."""
    numbers = np.stack([generator.random(images.shape[1:]) for generator in generators])
    return np.where(numbers < share, (numbers < share / 2).astype(np.float32), images)


def add_speckle_noise(images: Images, deviation: float, generators: Generators) -> Images:
    """Add normal noise in proportion to the value: ``x + σ x n``."""
    return np.asarray(images + np.float32(deviation) * images * _normal(images, generators))


def _normal(images: Images, generators: Generators) -> Images:
    numbers = np.empty(images.shape, dtype=np.float32)
    for row, generator in zip(numbers, generators, strict=True):
        generator.standard_normal(out=row, dtype=np.float32)
    return numbers
