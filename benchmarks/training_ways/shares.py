"""Where the time of a step of the fast network goes, and what a pack of three seeds costs."""

import statistics
import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from foolscope.data import Dataset, LabeledImages
from foolscope.experiments.recipe import Recipe, with_values
from foolscope.experiments.recipe_files import read_recipe
from foolscope.learning.augmenting import EpochAugmentation
from foolscope.learning.packs.packing import Context
from foolscope.learning.preparation import prepare
from foolscope.learning.training import train_step

__all__ = ["pack_times", "shares_of_step"]

_KINDS = {
    "convolutions": ("convolution",),
    "pooling": ("max_pool",),
    "normalization": ("batch_norm",),
    "activation": ("gelu",),
    "Muon's products": ("bmm",),
}
_IMAGES = 2000


def _stepper(recipes: list[Recipe]) -> Callable[[], None]:
    """Return what takes a step at full size, on noise of CIFAR-10's shape."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (_IMAGES, 3, 32, 32), dtype=torch.uint8, generator=generator)
    split = LabeledImages(images, torch.randint(0, 10, (_IMAGES,), generator=generator))
    dataset = Dataset.build("noise", tuple("abcdefghij"), split, None, split)
    whole, state = prepare(recipes, dataset)
    setup = whole.narrowed(state.trained)
    augmentation = EpochAugmentation(setup.augmentation, setup.group_seeds, 0, images.device)
    context = Context(training=True, dtype=setup.dtype)
    rates = torch.full((len(recipes),), 1e-3)
    batch = torch.stack([torch.randperm(_IMAGES)[: setup.batch_size] for _ in range(setup.groups)])
    state.epoch = recipes[0].training.resizing_epochs

    def step() -> None:
        train_step(setup, state, batch, rates, context, augmentation)

    return step


def _milliseconds(step: Callable[[], object], rounds: int) -> float:
    step()
    found = []
    for _ in range(rounds):
        begin = time.perf_counter()
        step()
        found.append(1000 * (time.perf_counter() - begin))
    return statistics.median(found)


def shares_of_step(rounds: int) -> dict[str, float]:
    """Return milliseconds of a step by kind of operation, as the profiler sees them, and of the whole step.

    The machine's limit is the convolutions' arithmetic at the best rate of a product of large matrices.
    """
    recipe = read_recipe("fast-cifar10")
    step = _stepper([recipe])
    whole = _milliseconds(step, rounds)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(rounds):
            step()
    found = dict.fromkeys(_KINDS, 0.0)
    for event in seen.key_averages():
        kind = next(
            (kind for kind, names in _KINDS.items() if any(name in event.key for name in names)), None
        )
        if kind is not None:
            found[kind] += event.self_cpu_time_total / 1000 / rounds
    found["everything else"] = whole - sum(found.values())
    side = 2048
    left, right = torch.randn(2, side, side).bfloat16()
    rate = 2 * side**3 / min(_milliseconds(lambda: torch.mm(left, right), 5) for _ in range(3))
    found["the convolutions at the machine's limit"] = _flops(recipe.training.batch_size) / rate
    return {**found, "step": whole}


def _flops(batch_size: int) -> float:
    """Return the operations of the convolutions of a step: forward, and twice that backward.

    The first layer has no trained filters and no gradient of its input.
    """
    layers = ((24, 64, 31), (64, 64, 15), (64, 256, 15), (256, 256, 7), (256, 256, 7), (256, 256, 3))
    trained = sum(2 * 9 * before * after * side**2 for before, after, side in layers)
    return batch_size * (3 * trained + 2 * 4 * 3 * 24 * 31**2)


def pack_times(rounds: int) -> dict[str, float]:
    """Return milliseconds of a step of three seeds, one after another and side by side."""
    recipe = read_recipe("fast-cifar10")
    seeds = [with_values(recipe, {"seed": seed}) for seed in range(3)]
    alone = [_milliseconds(_stepper([each]), rounds) for each in seeds]
    return {"one after another": sum(alone), "side by side": _milliseconds(_stepper(seeds), rounds)}
