"""Randomness derived by name from a seed, so that nothing reads or writes the global generators.

A trial's seed is the root; every use of chance has a name (``initialization``, ``batches``, ``attack``) and,
where it repeats, a number (the epoch, the image). The stream of one name therefore never depends on how much
another drew.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

__all__ = ["derive_seed", "numpy_generator", "torch_generator"]


def derive_seed(seed: int, *names: str | int) -> int:
    """Derive a child seed from a seed and a path of names.

    Returns:
        An integer in [0, 2**63), the same on every machine.

    Example:
        >>> derive_seed(0, "batches", 1) == derive_seed(0, "batches", 1)
        True
        >>> derive_seed(0, "batches", 1) == derive_seed(0, "batches", 2)
        False
    """
    text = "\x1f".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_generator(seed: int, *names: str | int, device: "torch.device | str" = "cpu") -> "torch.Generator":
    """Return a new torch generator for the named use of chance; see :func:`derive_seed`."""
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(seed, *names))


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a new NumPy generator for the named use of chance; see :func:`derive_seed`."""
    return np.random.default_rng(derive_seed(seed, *names))
