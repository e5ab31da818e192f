"""The work: the networks, data and recipes, and the speed-up that packs should have."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from foolscope.core.randomness import torch_generator
from foolscope.data import Dataset, DatasetSettings, load
from foolscope.experiments.recipe import Recipe, recipe_from, with_values
from foolscope.learning.measuring.evaluation import channel_statistics
from foolscope.models import build_model

__all__ = [
    "WORKS",
    "Work",
    "batches",
    "dataset_of",
    "decay_of",
    "drawn_network",
    "pixel_statistics",
    "trials_of",
]


@dataclass(frozen=True, eq=False)
class Work:
    """One ablation.

    Args:
        title: what it is, for people.
        base: the recipe that its cells change.
        network: the same network, as a notebook writes it.
        cells: one entry per cell, the values that it changes.
        kinds: how many of the cells, from the first, stand for all: the others do the same arithmetic.
        trials: how many the ablation has with one seed.
        pack_sizes: trials of one seed that train side by side.
        seeded_pack: seeds and cells of a pack of several seeds.
        suggest: the values that an Optuna trial tries.
        goals: how many times faster than other ways packs are meant to be.
        patience: factor on the number of steps measured, larger where a step is short.
    """

    title: str
    base: Recipe
    network: Callable[[], nn.Module]
    cells: Callable[[int], list[dict[str, Any]]]
    kinds: int
    trials: int
    pack_sizes: tuple[int, ...]
    seeded_pack: tuple[int, int]
    suggest: Callable[[Any], dict[str, Any]]
    goals: Mapping[str, float]
    patience: float

    @property
    def batch_size(self) -> int:
        """Images in a minibatch."""
        return self.base.training.batch_size

    @property
    def trial_steps(self) -> int:
        """Gradient steps of one whole trial."""
        return self.base.training.epochs * -(-len(dataset_of(self.base.dataset).train) // self.batch_size)


def trials_of(work: Work, cells: int, seeds: int = 1, first_seed: int = 0) -> tuple[Recipe, ...]:
    """Return the recipes of all cells with all seeds, ordered by seed."""
    return tuple(
        with_values(work.base, {**cell, "seed": seed})
        for seed in range(first_seed, first_seed + seeds)
        for cell in work.cells(cells)
    )


@functools.cache
def dataset_of(settings: DatasetSettings, device: str = "cpu") -> Dataset:
    """Return a data set on a device, read once a process."""
    return load(settings, device=device)


@functools.cache
def pixel_statistics(settings: DatasetSettings) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of the training images' channels, in [0, 1]."""
    return channel_statistics(dataset_of(settings).train)


def drawn_network(work: Work, recipe: Recipe) -> nn.Module:
    """Return the notebook's network with the initial weights of foolscope's for this seed."""
    dataset = dataset_of(recipe.dataset)
    settings = recipe.model.model_copy(update={"normalization": "none"})
    ours = build_model(settings, dataset.image_shape, len(dataset.classes), seed=recipe.seed)
    network = work.network()
    with torch.no_grad():
        for parameter, drawn in zip(network.parameters(), ours.parameters(), strict=True):
            parameter.copy_(drawn)
    return network


def batches(work: Work, seed: int, epoch: int) -> Iterator[Tensor]:
    """Yield the whole minibatches of an epoch, as indices: the same for every way of training."""
    count = len(dataset_of(work.base.dataset).train)
    order = torch.randperm(count, generator=torch_generator(seed, "batches", epoch))
    whole = count // work.batch_size * work.batch_size
    yield from torch.split(order[:whole], work.batch_size)


def decay_of(recipe: Recipe) -> float:
    """Return the factor on the learning rate after every epoch."""
    return float(getattr(recipe.schedule, "decay", 1.0))


def _rates_and_decays(count: int) -> list[dict[str, Any]]:
    rates = np.geomspace(0.01, 0.1, count)
    return [
        {"learning_rate": float(rate), "decay": (0.9, 0.95, 1.0)[index % 3]}
        for index, rate in enumerate(rates)
    ]


def _rates(count: int) -> list[dict[str, Any]]:
    return [{"learning_rate": float(rate)} for rate in np.geomspace(0.05, 0.5, count)]


def _penalties(count: int) -> list[dict[str, Any]]:
    """None, L1, L2, then L1 and L2 of other strengths."""
    return [{}, *({f"l{1 + index % 2}": 1e-5 * 2.0 ** (index // 2)} for index in range(count - 1))]


def _suggest_rate(trial: Any) -> dict[str, Any]:
    return {"learning_rate": trial.suggest_float("learning_rate", 0.01, 0.1, log=True)}


def _suggest_penalty(trial: Any) -> dict[str, Any]:
    penalty = trial.suggest_categorical("penalty", ["l1", "l2"])
    return {penalty: trial.suggest_float("strength", 1e-6, 1e-4, log=True)}


def _perceptron(*widths: int) -> nn.Module:
    inputs, hidden, outputs = widths
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def _small_cnn() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(8, 16, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(576, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


def _digits(hidden: int) -> Work:
    return Work(
        title=f"digits, MLP 64-{hidden}-10, batch 64: learning rate",
        base=recipe_from(
            {
                "dataset": "digits",
                "model": {"name": "mlp", "hidden": [hidden]},
                "training": {"batch_size": 64, "epochs": 30},
                "precision": "float32",
            }
        ),
        network=functools.partial(_perceptron, 64, hidden, 10),
        cells=_rates,
        kinds=1,
        trials=32,
        pack_sizes=(1, 2, 4, 8, 16, 32, 128),
        seeded_pack=(4, 8),
        suggest=_suggest_rate,
        goals={"(b)": 10.0},
        patience=4.0,
    )


WORKS: dict[str, Work] = {
    "a3": Work(
        title="A3: CIFAR-10, MLP 3072-100-10, batch 128: learning rate and its decay",
        base=recipe_from(
            {
                "dataset": "cifar10",
                "model": {"name": "mlp", "hidden": [100]},
                "schedule": "exponential",
                "training": {"batch_size": 128, "epochs": 20},
                "precision": "float32",
            }
        ),
        network=functools.partial(_perceptron, 3072, 100, 10),
        cells=_rates_and_decays,
        kinds=1,
        trials=8,
        pack_sizes=(1, 2, 4, 8, 16, 32),
        seeded_pack=(4, 7),
        suggest=_suggest_rate,
        goals={"(a)": 30.0, "(b)": 3.0, "(b) eager on the GPU": 30.0},
        patience=1.0,
    ),
    "c2": Work(
        title="C2: CIFAR-10, small CNN, batch 64, momentum 0.9: none, L1 or L2",
        base=recipe_from(
            {
                "dataset": "cifar10",
                "model": "small-cnn",
                "optimizer": {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9},
                "regularization": {"penalize": "all"},  # as weight_decay of torch.optim does
                "training": {"batch_size": 64, "epochs": 20},
                "precision": "float32",
            }
        ),
        network=_small_cnn,
        cells=_penalties,
        kinds=3,
        trials=8,
        pack_sizes=(1, 2, 4, 8, 16),
        seeded_pack=(4, 3),
        suggest=_suggest_penalty,
        goals={"(a)": 5.0, "(b)": 1.5},
        patience=0.5,
    ),
    "digits-32": _digits(32),
    "digits-64": _digits(64),
}
