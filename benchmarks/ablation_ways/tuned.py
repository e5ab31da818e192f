"""Way (b), tuned: images in memory, one trial after another, with every choice that makes the loop faster."""

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablation_ways.way import ARRANGEMENTS, Training, Way
from ablation_ways.work import (
    Work,
    batches,
    dataset_of,
    decay_of,
    drawn_network,
    pixel_statistics,
    trials_of,
)
from foolscope.data import DatasetSettings
from foolscope.experiments.recipe import Recipe
from foolscope.learning.optimizers import SGD

__all__ = [
    "COMPILED",
    "EAGER",
    "Tuning",
    "compiler_failure",
    "images_of",
    "network_of",
    "start",
    "step_of",
    "train",
    "tunings",
    "ways",
]

EAGER, COMPILED = "(b) tuned", "(b) torch.compile"


@dataclass(frozen=True)
class Tuning:
    """The choices of a tuned loop.

    Args:
        precision: bfloat16 by autocast; weights stay float32.
        pixels: how the images lie in memory: as they came, or normalized once in the precision's type.
        memory_format: of images and of the convolutions' weights.
        optimizer: which implementation of ``torch.optim.SGD``.
        device: where everything is.
        compiled: whether ``torch.compile`` makes the network and its loss.
    """

    precision: Literal["float32", "bfloat16"] = "float32"
    pixels: Literal["uint8", "normalized"] = "normalized"
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    optimizer: Literal["foreach", "fused"] = "fused"
    device: str = "cpu"
    compiled: bool = False

    @property
    def stored_as(self) -> torch.dtype:
        """Data type of the images in memory."""
        if self.pixels == "uint8":
            return torch.uint8
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32

    def __str__(self) -> str:
        """Return what is not in the table's columns."""
        return f"{self.pixels} images, {self.memory_format}, {self.optimizer} SGD"


def tunings(work: Work, device: str = "cpu") -> list[Tuning]:
    """Return every combination that makes a difference for the work's network, without the compiler."""
    convolves = any(isinstance(layer, nn.Conv2d) for layer in work.network().modules())
    return [
        Tuning(precision, pixels, memory_format, optimizer, device)
        for precision in ("float32", "bfloat16")
        for pixels in ("uint8", "normalized")
        for memory_format in (("contiguous", "channels_last") if convolves else ("contiguous",))
        for optimizer in ("foreach", "fused")
    ]


def ways(work: Work, *, compiles: bool) -> list[Way]:
    """Return every tuning on one thread, on two, and in two processes side by side."""
    one, *more = ARRANGEMENTS
    rows = [(EAGER, tuning, (one, *more)) for tuning in tunings(work)]
    rows += [
        (COMPILED, replace(tuning, compiled=True), (one, *more[1:]))  # each thread count would compile anew
        for tuning in tunings(work)
        if compiles and (tuning.pixels, tuning.optimizer) == ("normalized", "fused")
    ]
    return [
        Way(row, tuning.precision, arrangement, functools.partial(start, train, work, tuning), tuning)
        for row, tuning, arrangements in rows
        for arrangement in arrangements
    ]


def compiler_failure() -> str:
    """Return why ``torch.compile`` does not work here; an empty string where it does."""
    try:
        torch.compile(torch.sin)(torch.zeros(8))
    except Exception as error:  # the compiler is another program: whatever is wrong with it, say so
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    return ""


def start(
    train: Callable[[Work, Recipe, Tuning], Training], work: Work, tuning: Tuning, process: int
) -> list[Training]:
    """Begin one training of every kind of trial."""
    return [train(work, recipe, tuning) for recipe in trials_of(work, work.kinds, first_seed=process)]


def train(work: Work, recipe: Recipe, tuning: Tuning) -> Iterator[Tensor]:
    """Train one trial; yield the loss of every step, left on the device."""
    step, scheduler = step_of(network_of(work, recipe, tuning), recipe, tuning)
    for epoch in itertools.count():
        for batch in batches(work, recipe.seed, epoch):
            yield step(batch.to(tuning.device))
        scheduler.step()


def network_of(work: Work, recipe: Recipe, tuning: Tuning) -> nn.Module:
    """Return the recipe's network before its first step, where and as the tuning wants it."""
    network = drawn_network(work, recipe).to(tuning.device)
    if tuning.memory_format == "channels_last":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def step_of(
    network: nn.Module, recipe: Recipe, tuning: Tuning
) -> tuple[Callable[[Tensor], Tensor], torch.optim.lr_scheduler.LRScheduler]:
    """Return the function that takes a step on the images of given indices, and its rate's schedule."""
    parameters: list[Tensor] = list(network.parameters())
    assert isinstance(recipe.optimizer, SGD)
    optimizer = torch.optim.SGD(
        parameters,
        lr=recipe.optimizer.learning_rate,
        momentum=recipe.optimizer.momentum,
        weight_decay=recipe.regularization.l2,
        foreach=tuning.optimizer == "foreach",
        fused=tuning.optimizer == "fused",
    )
    pixels_of = images_of(recipe, "train", tuning)
    labels = dataset_of(recipe.dataset, tuning.device).train.labels
    loss_of = _compiled_loss() if tuning.compiled else _loss
    l1 = recipe.regularization.l1

    def step(batch: Tensor) -> Tensor:
        pixels = pixels_of(batch)
        with torch.autocast(batch.device.type, torch.bfloat16, tuning.precision == "bfloat16", False):
            loss = loss_of(network, pixels, labels.index_select(0, batch))
        loss.backward()  # type: ignore[no-untyped-call]
        if l1:  # cheaper than through automatic differentiation
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            with torch.no_grad():
                torch._foreach_add_(gradients, torch._foreach_sign(parameters), alpha=l1)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    return step, torch.optim.lr_scheduler.ExponentialLR(optimizer, decay_of(recipe))


def images_of(recipe: Recipe, split: str, tuning: Tuning) -> Callable[[Tensor], Tensor]:
    """Return the function from indices to normalized images of a split, as the network takes them."""
    images = _stored_images(recipe.dataset, split, tuning.stored_as, tuning.memory_format, tuning.device)
    mean, deviation = (each.to(tuning.device)[:, None, None] for each in pixel_statistics(recipe.dataset))
    shift, scale = 255.0 * mean, 1.0 / (255.0 * deviation)

    def normalized(indices: Tensor) -> Tensor:
        pixels = images.index_select(0, indices)
        if tuning.memory_format == "channels_last":
            pixels = pixels.permute(0, 3, 1, 2)
        return pixels.float().sub_(shift).mul_(scale) if tuning.pixels == "uint8" else pixels

    return normalized


def _loss(network: nn.Module, pixels: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(network(pixels), labels)


@functools.cache
def _compiled_loss() -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    torch._dynamo.config.recompile_limit = 64  # one for every network and precision of a run
    return torch.compile(_loss, dynamic=False)


@functools.cache
def _stored_images(
    settings: DatasetSettings, split: str, dtype: torch.dtype, memory_format: str, device: str
) -> Tensor:
    """Return the images of a split as they lie in memory: uint8 as they came, or floats, normalized."""
    images = dataset_of(settings, device).split(split).images
    if dtype != torch.uint8:
        mean, deviation = (each.to(device)[:, None, None] for each in pixel_statistics(settings))
        normalized = [((part / 255.0 - mean) / deviation).to(dtype) for part in torch.split(images, 1000)]
        images = torch.cat(normalized)
    return images.permute(0, 2, 3, 1).contiguous() if memory_format == "channels_last" else images
