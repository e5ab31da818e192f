"""The machine's limits, measured in the same run: matrix products and memory traffic."""

import functools
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ablation_ways.way import CORES, Way
from ablation_ways.work import Work, dataset_of
from foolscope.core.threads import thread_count
from foolscope.learning.optimizers import SGD

__all__ = [
    "Account",
    "Limits",
    "Peaks",
    "Products",
    "account_for",
    "measure_limits",
    "measure_peaks",
    "product_seconds",
    "products_of",
]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_LARGE_SIDES = {"cpu": 2048, "cuda": 8192}
_LARGE_BYTES = 768 * 2**20
_ROUNDS, _ROUND_SECONDS = 5, 0.02


def seconds_of(work: Callable[[], object], device: str) -> float:
    """Return the median time of a short piece of work, repeated until the clock can tell."""

    def run(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            work()
        if device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    run(1)
    count = max(1, round(_ROUND_SECONDS / run(1)))
    return statistics.median(run(count) / count for _ in range(_ROUNDS))


def _triad(size_bytes: float, device: str) -> float:
    """Return bytes per second of a = b + 2 c over three arrays of this total size."""
    count = max(1, int(size_bytes / 12))
    b, c, a = (torch.ones(count, device=device) for _ in range(3))
    return 12 * count / seconds_of(lambda: torch.add(b, c, alpha=2.0, out=a), device)


@dataclass(frozen=True)
class Peaks:
    """The peak FLOP/s and memory bandwidth of the machine.

    Args:
        flops: per second in a product of two large square matrices, by precision and arrangement.
        bytes: per second in main memory, by arrangement.
    """

    flops: dict[tuple[str, str], float]
    bytes: dict[str, float]

    def most_flops(self, arrangement: str) -> float:
        """Return the most that any precision reaches on the whole processor of an arrangement."""
        return max(
            rate * (CORES if where == "1 thread" else 1)
            for (_, where), rate in self.flops.items()
            if (where == "cuda") == (arrangement == "cuda")
        )


def _arrangements(devices: Iterable[str]) -> list[tuple[str, str, int]]:
    """Return arrangement, device and threads of each place to measure."""
    places = {"cpu": [("1 thread", "cpu", 1), ("2 threads", "cpu", CORES)], "cuda": [("cuda", "cuda", 1)]}
    return [place for device in devices for place in places[device]]


def measure_peaks(devices: Iterable[str]) -> Peaks:
    """Measure large products and large arrays."""
    peaks = Peaks({}, {})
    for arrangement, device, threads in _arrangements(devices):
        side = _LARGE_SIDES[device]
        with thread_count(threads):
            for precision, dtype in DTYPES.items():
                left, right, out = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(3))
                seconds = seconds_of(functools.partial(torch.mm, left, right, out=out), device)
                peaks.flops[precision, arrangement] = 2.0 * side**3 / seconds
            peaks.bytes[arrangement] = _triad(_LARGE_BYTES, device)
    return peaks


@dataclass(frozen=True, eq=False)
class Products:
    """The products of one layer in a step: forward, backward to its weights and backward to its input.

    Args:
        layer: an affine layer or a convolution.
        inputs: what it reads, of one minibatch.
        outputs: what it gives.
        is_first: the images need no gradient, and all trials of a seed share them.
    """

    layer: nn.Linear | nn.Conv2d
    inputs: torch.Size
    outputs: torch.Size
    is_first: bool

    @property
    def flops(self) -> float:
        """Floating-point operations of one trial."""
        positions = self.outputs.numel() // self.layer.weight.shape[0]
        return 2.0 * positions * self.layer.weight.numel() * (2 if self.is_first else 3)


def products_of(work: Work) -> list[Products]:
    """Return the products of one step of one trial, layer by layer."""
    network = work.network()
    found: list[Products] = []

    def note(layer: Any, inputs: tuple[Tensor], outputs: Tensor) -> None:
        found.append(Products(layer, inputs[0].shape, outputs.shape, is_first=not found))

    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.register_forward_hook(note)
    with torch.no_grad():
        network(torch.zeros(work.batch_size, *dataset_of(work.base.dataset).image_shape))
    return found


def _affine(products: Products, trials: int, dtype: torch.dtype, device: str) -> Callable[[], object]:
    """Return the affine layer's products as a function: wide where trials share their input, else batched."""
    (batch, features), units = products.inputs, products.outputs[1]
    lead, width = ((), trials * units) if products.is_first or trials == 1 else ((trials,), units)
    x = torch.ones(*lead, batch, features, dtype=dtype, device=device)
    w = torch.ones(*lead, width, features, dtype=dtype, device=device)
    y, dw, dx = x @ w.mT, torch.empty_like(w), torch.empty_like(x)

    def run() -> None:
        torch.matmul(x, w.mT, out=y)
        torch.matmul(y.mT, x, out=dw)
        if not products.is_first:
            torch.matmul(y, w, out=dx)

    return run


def _convolution(
    products: Products, trials: int, dtype: torch.dtype, device: str, memory_format: torch.memory_format
) -> Callable[[], object]:
    """Return the convolution's products as a function: more maps where trials share images, else grouped."""
    layer = products.layer
    assert isinstance(layer, nn.Conv2d)
    groups = 1 if products.is_first else trials
    (batch, channels, *sides), (maps, *kernel) = products.inputs, layer.weight.shape
    x = torch.ones(batch, groups * channels, *sides, dtype=dtype, device=device)
    w = torch.ones(trials * maps, *kernel, dtype=dtype, device=device)
    x, w = x.contiguous(memory_format=memory_format), w.contiguous(memory_format=memory_format)
    options: Any = (layer.stride, layer.padding, layer.dilation)
    forward = functools.partial(torch.conv2d, x, w, None, *options, groups)
    y = forward()
    wanted = [not products.is_first, True, False]

    def run() -> None:
        forward()
        torch.ops.aten.convolution_backward(y, x, w, None, *options, False, [0, 0], groups, wanted)

    return run


def product_seconds(work: Work, trials: int, precision: str, device: str) -> float:
    """Return the time per trial of all products of a step, in the faster memory format.

    Args:
        work: whose step.
        trials: side by side, with the shapes that a pack of them has.
        precision: of the products.
        device: where; on the CPU with the threads that are set.
    """
    formats = (torch.contiguous_format, torch.channels_last)
    dtype = DTYPES[precision]
    total = 0.0
    for products in products_of(work):
        if isinstance(products.layer, nn.Linear):
            runs = [_affine(products, trials, dtype, device)]
        else:
            runs = [_convolution(products, trials, dtype, device, each) for each in formats]
        total += min(seconds_of(run, device) for run in runs)
    return total / trials


@dataclass(frozen=True)
class Limits:
    """The least cost of one gradient step of one trial.

    Args:
        flops: of its products.
        bytes: of its weights, gradient and momentum, each read and written as often as an update must.
        image_bytes: of its minibatch in uint8, which the trials of a seed share.
        products: seconds of its products alone by trials side by side, precision and arrangement.
        cache_bytes: per second, in memory no larger than the state of a pack's trials, by arrangement.
    """

    flops: float
    bytes: float
    image_bytes: float
    products: dict[tuple[int, str, str], float]
    cache_bytes: dict[tuple[int, str], float]


def measure_limits(work: Work, sizes: Mapping[str, Iterable[int]]) -> Limits:
    """Measure the products of a step on its own shapes, and the traffic of its state.

    The weights are read by the products, the gradient is written and read, the weights are written; with
    momentum, that is read and written too.

    Args:
        work: which.
        sizes: device to the sizes of packs that share their images.
    """
    parameters = sum(parameter.numel() for parameter in work.network().parameters())
    assert isinstance(work.base.optimizer, SGD)
    moments = 1 if work.base.optimizer.momentum else 0
    images = dataset_of(work.base.dataset).train.images
    limits = Limits(
        flops=sum(products.flops for products in products_of(work)),
        bytes=4.0 * parameters * (4 + 2 * moments),
        image_bytes=float(work.batch_size * images[0].numel()),
        products={},
        cache_bytes={},
    )
    for arrangement, device, threads in _arrangements(sizes):
        with thread_count(threads):
            for size in sizes[device]:
                state = 4.0 * parameters * (2 + moments) * size + limits.image_bytes
                limits.cache_bytes[size, arrangement] = _triad(state, device)
                for precision in DTYPES:
                    seconds = product_seconds(work, size, precision, device)
                    limits.products[size, precision, arrangement] = seconds
    return limits


@dataclass(frozen=True)
class Account:
    """Where the time of one gradient step of one trial goes, in milliseconds.

    Args:
        total: measured.
        products: measured alone, on the shapes of the step, as the same cores compute them.
        traffic: the least bytes of an update, at the speed measured for as much memory.
        kernels: the products again, in the precision, the shapes and the arrangement in which they are
            fastest on the whole processor.
        limit: their arithmetic at the best speed that the machine reaches in any product.
    """

    total: float
    products: float
    traffic: float
    kernels: float
    limit: float

    @property
    def rest(self) -> float:
        """The rest: activations, pooling, the loss, gathering the images, and calling all of it."""
        return self.total - self.products - self.traffic


def account_for(way: Way, milliseconds: float, limits: Limits, peaks: Peaks) -> Account:
    """Split the measured milliseconds of one gradient step of one trial."""
    side_by_side = way.arrangement == "2 processes"
    where = "1 thread" if side_by_side else way.arrangement
    cells = way.trial_steps // way.seeds
    products = min(limits.products[size, way.precision, where] for size in (1, cells))
    traffic = (limits.bytes + limits.image_bytes / cells) / limits.cache_bytes[cells, where]
    share = CORES if side_by_side else 1
    kernels = min(
        seconds / (CORES if place == "1 thread" else 1)
        for (_, _, place), seconds in limits.products.items()
        if (place == "cuda") == (where == "cuda")
    )
    return Account(
        total=milliseconds,
        products=1e3 * products / share,
        traffic=1e3 * traffic / share,
        kernels=1e3 * kernels,
        limit=1e3 * limits.flops / peaks.most_flops(way.arrangement),
    )
