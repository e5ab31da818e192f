"""Random numbers of an attack, derived per image, so that no image's result depends on its neighbours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from foolscope.core.randomness import derive_seed, numpy_generator
from foolscope.core.splitmix import GOLDEN, mixed, shifted

__all__ = ["Noise", "numbered_uniform"]

_Rows = Int64[Tensor, " batch"]
_Numbers = Float[Tensor, "batch count"]


@dataclass(frozen=True)
class Noise:
    """Random numbers derived from seed, attack, restart, image and draw.

    An image's numbers are the same whatever the batch size, the order of the images and the device.

    Args:
        seed: the root seed.
        name: the attack's name.
        images: seed and index of each image, where images of several seeds are attacked side by side; the
            indices of the rows then number this list, and ``seed`` has no meaning.

    Example:
        >>> first = Noise(0, "pgd").uniform(torch.tensor([7, 3]), torch.tensor([0, 0]), 5)
        >>> again = Noise(0, "pgd").uniform(torch.tensor([3]), torch.tensor([0]), 5)
        >>> bool((first[1] == again[0]).all())
        True
    """

    seed: int
    name: str
    images: Sequence[tuple[int, int]] | None = None

    def uniform(self, indices: _Rows, restarts: _Rows, count: int, *, draw: str = "start") -> _Numbers:
        """Draw float32 numbers in [0, 1), each row from a generator of its own.

        ``restarts`` are the numbers of work items; ``draw`` tells apart several draws of one attack.
        """
        return self._rows("random", indices, restarts, count, draw)

    def gaussian(self, indices: _Rows, restarts: _Rows, count: int, *, draw: str = "start") -> _Numbers:
        """Draw float32 numbers with mean 0 and variance 1; arguments as for :meth:`uniform`."""
        return self._rows("standard_normal", indices, restarts, count, draw)

    def keys(self, indices: _Rows, restarts: _Rows) -> _Rows:
        """Return one key for each row, from which :func:`numbered_uniform` draws at every step."""
        keys = [
            derive_seed(seed, "attack", self.name, restart, index, "key")
            for seed, index, restart in self._roots(indices, restarts)
        ]
        return torch.tensor(keys, dtype=torch.int64, device=indices.device)

    def _rows(self, distribution: str, indices: Tensor, restarts: Tensor, count: int, draw: str) -> Tensor:
        numbers = np.empty((len(indices), count), dtype=np.float32)
        for row, (seed, index, restart) in zip(numbers, self._roots(indices, restarts), strict=True):
            generator = numpy_generator(seed, "attack", self.name, restart, index, draw)
            getattr(generator, distribution)(out=row, dtype=np.float32)
        return torch.from_numpy(numbers).to(indices.device)

    def _roots(self, indices: Tensor, restarts: Tensor) -> Iterator[tuple[int, int, int]]:
        """Yield seed, index and restart of each row."""
        for number, restart in zip(indices.tolist(), restarts.tolist(), strict=True):
            seed, index = (self.seed, number) if self.images is None else self.images[number]
            yield seed, index, restart


def numbered_uniform(keys: _Rows, numbers: _Rows, count: int) -> _Numbers:
    """Draw float32 numbers in [0, 1) for all rows at once, without a generator for each row.

    Row i gets the outputs ``numbers[i] · count + 1, ..., (numbers[i] + 1) · count`` of the SplitMix64
    generator that starts at ``keys[i]``; output k is ``mix(key + k γ)`` and does not
    depend on the outputs before it.

    Source:
        Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators", with γ the golden
        ratio of 2⁶⁴.
    """
    places = numbers[:, None] * count + torch.arange(1, count + 1, device=keys.device)
    return (shifted(mixed(keys[:, None] + places * GOLDEN), 40)).to(torch.float32) * 2.0**-24
