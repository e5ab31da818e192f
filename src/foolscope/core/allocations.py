"""What a computation allocates, and the memory that activations of evaluation may take."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from foolscope.core.errors import RecipeError
from foolscope.core.threads import thread_count

__all__ = ["ENVIRONMENT_VARIABLE", "Allocations", "activation_bytes", "allocations"]

ENVIRONMENT_VARIABLE = "FOOLSCOPE_ACTIVATION_MB"

# On a CPU half of its last-level cache: on an AMD EPYC with 32 MB of it, networks from perceptrons to a
# ResNet-18 predict fastest, within 10 %, with 12 to 25 MB; with 100 MB they take up to 2.5 times as long,
# half of it for fresh pages. A GPU needs work for all its cores.
_BYTES_ON_CPU = 16 * 2**20
_BYTES_ELSEWHERE = 256 * 2**20
_WITH_GRADIENTS = 8  # times as much where all activations are kept for a gradient
_FEW, _MORE = 2, 4  # images; a single one may take another path through a model


@dataclass(frozen=True)
class Allocations:
    """Bytes of the tensors that a computation on some images makes and holds, operation by operation.

    Args:
        fixed: held after each operation however many images there are, such as copies of weights.
        per_image: held after each operation for each image.
        total_per_image: of all tensors that are made, for each image.
    """

    fixed: tuple[float, ...]
    per_image: tuple[float, ...]
    total_per_image: float

    @property
    def largest_per_image(self) -> float:
        """The most that is held for an image at a time."""
        return max(self.per_image, default=0.0)

    def peak(self, images: float) -> float:
        """Return the most that is held at a time with a number of images."""
        return max(
            (own + images * each for own, each in zip(self.fixed, self.per_image, strict=True)), default=0
        )


def allocations(compute: Callable[[int], object]) -> Allocations:
    """Run a computation on two and on four images and compare what it allocates.

    Only what torch's operations return is counted: not what is there before, and not what an operation needs
    inside.

    Args:
        compute: gets the number of images; it must take the same operations whatever the number.

    Example:
        >>> images, weights = torch.zeros(4, 25), torch.zeros(25)
        >>> found = allocations(lambda count: (images[:count] + 1) * (weights * 2))
        >>> found.largest_per_image, found.peak(images=10)
        (200.0, 2100.0)
    """
    few, more = (_watched(compute, count) for count in (_FEW, _MORE))
    if len(few.held) != len(more.held):  # not the same operations: all counts as the images'
        return Allocations((0.0,), (max(more.held) / _MORE,), more.total / _MORE)
    step = _MORE - _FEW
    slopes = tuple((after - before) / step for before, after in zip(few.held, more.held, strict=True))
    fixed = tuple(held - _FEW * slope for held, slope in zip(few.held, slopes, strict=True))
    return Allocations(fixed, slopes, (more.total - few.total) / step)


def _watched(compute: Callable[[int], object], count: int) -> "_Watch":
    watch = _Watch()
    with thread_count(1), torch.random.fork_rng(devices=[]), watch:
        compute(count)
    return watch


def activation_bytes(device: torch.device, *, gradients: bool = False) -> int:
    """Return the bytes that the activations of a pass may take where the number of images is free.

    16 MB on a CPU, 256 MB elsewhere, 8 times as much where they are kept for a gradient; or what the
    environment variable ``FOOLSCOPE_ACTIVATION_MB`` says for all of them. Evaluation and attacks take as many
    images at a time as fit, so speed and memory depend on it, and results only by rounding.

    Raises:
        RecipeError: the variable is not a positive number.
    """
    text = os.environ.get(ENVIRONMENT_VARIABLE)
    if text is None:
        own = _BYTES_ON_CPU if device.type == "cpu" else _BYTES_ELSEWHERE
        return own * (_WITH_GRADIENTS if gradients else 1)
    try:
        megabytes = float(text)
    except ValueError:
        megabytes = 0.0
    if not 0.0 < megabytes < float("inf"):
        raise RecipeError(f"{ENVIRONMENT_VARIABLE} must be a positive number of megabytes; got {text!r}")
    return int(megabytes * 2**20)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations return, as long as they are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.held: list[int] = []
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # torch would import its compiler, which takes a second

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        given = {each.untyped_storage()._cdata for each in _with_storage((args, kwargs))}
        self.alive = {key: entry for key, entry in self.alive.items() if not _is_gone(entry[0])}
        for tensor in _with_storage(result):
            storage = tensor.untyped_storage()
            if storage._cdata not in given and storage._cdata not in self.alive:
                self.alive[storage._cdata] = (_reference(storage), storage.nbytes())
                self.total += storage.nbytes()
        self.held.append(sum(size for _, size in self.alive.values()))
        return result


def _reference(storage: torch.UntypedStorage) -> StorageWeakRef:
    return StorageWeakRef(storage)  # type: ignore[no-untyped-call]


def _is_gone(reference: StorageWeakRef) -> bool:
    return bool(reference.expired())  # type: ignore[no-untyped-call]


def _with_storage(values: Any) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor) and each.layout is torch.strided]
