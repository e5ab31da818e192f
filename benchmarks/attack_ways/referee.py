"""The referee: counts passes through the model, takes the time, judges the images that a way returns."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attack_ways.case import Case
from foolscope.threats import NORMS

__all__ = [
    "Counted",
    "Passes",
    "Result",
    "Way",
    "absence",
    "judge",
    "measure",
    "tried_batch_sizes",
    "version",
]

_ROUNDING = 1e-5


@dataclass(frozen=True, eq=False)
class Way:
    """One way to attack.

    Args:
        row: what it is called in the table.
        attack: from a model, a case (whose model it must not use), a batch size and a seed to one image for
            each image of the case, in the ball and in the bounds.
        module: what must be there to be imported; nothing for our own.
        package: under which name it is installed.
        hint: how to get it.
        remark: what a reader must know who compares it.
        batch_sizes: those that may be tried; the fastest in the warm-up is taken.
    """

    row: str
    attack: Callable[[nn.Module, Case, int, int], Tensor]
    module: str = ""
    package: str = ""
    hint: str = "pip install -c constraints.txt '.[peers]'"
    remark: str = ""
    batch_sizes: tuple[int, ...] = (250,)


@dataclass
class Passes:
    """Passes through a model, in images; copies of the model count here, too."""

    forwards: int = 0
    backwards: int = 0

    @property
    def total(self) -> int:
        """Forward passes' worth: one back to the images multiplies as many numbers as one forward does."""
        return self.forwards + self.backwards

    def __deepcopy__(self, memo: dict[int, Any]) -> "Passes":
        return self


class Counted(nn.Module):
    """A model that counts its passes."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.passes = Passes()

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits."""
        self.passes.forwards += len(images)
        logits: Tensor = self.body(images)
        if logits.requires_grad:
            logits.register_hook(self._count)
        return logits

    def _count(self, gradient: Tensor) -> None:
        self.passes.backwards += len(gradient)


@dataclass(frozen=True)
class Result:
    """What was measured of one way on one case.

    Args:
        way: which.
        batch_size: that it was given.
        robust: which images it left right; those of the first round.
        outside: how many of its images are outside of ball or bounds; these do not count as fooling.
        passes: of the first round.
        seconds: by round.
    """

    way: Way
    batch_size: int
    robust: Tensor
    outside: int
    passes: Passes
    seconds: list[float] = field(default_factory=list)

    @cached_property
    def median(self) -> float:
        """Of the seconds."""
        return statistics.median(self.seconds)

    @property
    def robust_accuracy(self) -> float:
        """The share of images that it left right."""
        return self.robust.double().mean().item()


def absence(way: Way) -> str | None:
    """Say why a way cannot be taken here; None if it can."""
    try:
        if not way.module or find_spec(way.module) is not None:
            return None
    except ModuleNotFoundError:  # a package in which to look for the module
        pass
    return f"not present: {way.hint}"


def version(way: Way) -> str:
    """Return the installed version of what a way comes from; a checkout has none."""
    try:
        return metadata.version(way.package or "foolscope")
    except metadata.PackageNotFoundError:
        return "from a checkout"


def measure(way: Way, case: Case, batch_size: int, seed: int) -> Result:
    """Attack once, and judge what comes back; the clock stops before that."""
    counted = Counted(case.model).eval()
    with _global_seeds(seed):
        _wait(case.images)
        begin = time.perf_counter()
        fooling = way.attack(counted, case, batch_size, seed)
        _wait(case.images)
        seconds = time.perf_counter() - begin
    passes = Passes(counted.passes.forwards, counted.passes.backwards)
    robust, outside = judge(case, fooling)
    return Result(way, batch_size, robust, outside, passes, [seconds])


def judge(case: Case, fooling: Tensor) -> tuple[Tensor, int]:
    """Return which images are still right, clean and attacked, and how many attacked ones are not allowed."""
    sizes = NORMS[case.norm].size(fooling - case.images)
    inside = (fooling >= 0).flatten(1).all(1) & (fooling <= 1).flatten(1).all(1)
    allowed = inside & (sizes <= case.epsilon * (1 + _ROUNDING) + 1e-6)
    with torch.no_grad():
        right = [case.model(images).argmax(1) == case.labels for images in (case.images, fooling)]
    return right[0] & (right[1] | ~allowed), int((~allowed).sum())


def tried_batch_sizes(way: Way, case: Case, seed: int) -> int:
    """Return the batch size with which a way is fastest on a case: its warm-up."""
    return min(way.batch_sizes, key=lambda size: measure(way, case, size, seed).seconds[0])


@contextmanager
def _global_seeds(seed: int) -> Iterator[None]:
    """Seed the generators that everybody shares, for those who draw from them, and restore them."""
    numbers: Any = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        yield
    np.random.set_state(numbers)  # noqa: NPY002


def _wait(images: Tensor) -> None:
    if images.is_cuda:
        torch.cuda.synchronize()


def in_batches(attack: Callable[[Tensor, Tensor], Tensor], case: Case, batch_size: int) -> Tensor:
    """Attack batch by batch, for those who take what they are given in one piece."""
    parts: Sequence[tuple[Tensor, Tensor]] = list(
        zip(case.images.split(batch_size), case.labels.split(batch_size), strict=True)
    )
    return torch.cat([attack(images, labels).detach() for images, labels in parts])
