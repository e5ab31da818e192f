"""Random numbers of an attack, derived per image, so that no image's result depends on its neighbours."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from foolscope.core.randomness import numpy_generator

__all__ = ["Noise"]


@dataclass(frozen=True)
class Noise:
    """A source of uniform numbers, named by seed, attack, restart, image and draw.

    An image's numbers are the same whatever the batch size, the order of the images and the device.

    Args:
        seed: the root seed.
        name: the attack's name.

    Example:
        >>> first = Noise(0, "pgd").uniform(torch.tensor([7, 3]), torch.tensor([0, 0]), 5)
        >>> again = Noise(0, "pgd").uniform(torch.tensor([3]), torch.tensor([0]), 5)
        >>> bool((first[1] == again[0]).all())
        True
    """

    seed: int
    name: str

    def uniform(
        self,
        indices: Int64[Tensor, " batch"],
        restarts: Int64[Tensor, " batch"],
        count: int,
        *,
        draw: str | int = "start",
    ) -> Float[Tensor, "batch count"]:
        """Draw float32 numbers in [0, 1), for each row from its own generator.

        Args:
            indices: the images' indices in their data set.
            restarts: the work items' numbers.
            count: how many numbers each row gets.
            draw: what the numbers are for, where an attack draws more than once: a word, or the step's
                number.
        """
        numbers = np.empty((len(indices), count), dtype=np.float32)
        for row, index, restart in zip(numbers, indices.tolist(), restarts.tolist(), strict=True):
            numpy_generator(self.seed, "attack", self.name, restart, index, draw).random(
                out=row, dtype=np.float32
            )
        return torch.from_numpy(numbers).to(indices.device)
