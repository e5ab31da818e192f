"""The result of a sanity check."""

from dataclasses import dataclass

__all__ = ["Check", "TensorError"]


@dataclass(frozen=True)
class TensorError:
    """How far two gradients by one tensor are apart.

    Args:
        tensor: name of the parameter, or "images".
        error: relative, in [0, 2].
        coordinates: how many of its numbers were compared.
        kinks: how many more were left out, for a kink is within the step.
    """

    tensor: str
    error: float
    coordinates: int
    kinks: int = 0


@dataclass(frozen=True)
class Check:
    """One check: whether it passed, in a sentence, with its numbers.

    Args:
        name: its key in the table of checks.
        passed: true also for one that is left out.
        sentence: what was found.
        numbers: measured.
        tensors: of a gradient check, in forward order.
        left_out: whether it could not be made; the sentence says why.
    """

    name: str
    passed: bool
    sentence: str
    numbers: dict[str, float]
    tensors: tuple[TensorError, ...] = ()
    left_out: bool = False
