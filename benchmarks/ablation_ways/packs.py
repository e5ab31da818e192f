"""Way (c), packs: trials trained together, by foolscope's step and by its whole training loop."""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ablation_ways.way import ARRANGEMENTS, Arrangement, Training, Way
from ablation_ways.work import Work, batches, dataset_of, trials_of
from foolscope.core.randomness import torch_generator
from foolscope.data import Dataset, LabeledImages
from foolscope.experiments.recipe import Recipe, with_values
from foolscope.learning import train_pack
from foolscope.learning.packs.packing import Context
from foolscope.learning.preparation import prepare
from foolscope.learning.schedules import learning_rates
from foolscope.learning.training import train_step

__all__ = ["STEPS", "WHOLE", "short_training", "train", "ways", "whole_ways"]

STEPS, WHOLE = "(c) pack", "(c) train_pack"


def ways(work: Work, sizes: Sequence[int], device: str = "cpu") -> list[Way]:
    """Return packs of growing size, and one of several seeds, in every precision and arrangement."""
    arrangements: tuple[Arrangement, ...] = ("cuda",) if device == "cuda" else ARRANGEMENTS
    seeds, cells = work.seeded_pack
    packs = [(f"{STEPS} of {size}", size, 1) for size in sizes]
    packs.append((f"{STEPS} of {cells} x {seeds} seeds", cells, seeds))
    return [
        Way(
            row,
            precision,
            arrangement,
            functools.partial(_start, work, cells, seeds, precision, device),
            trial_steps=cells * seeds,
            seeds=seeds,
        )
        for row, cells, seeds in packs
        for precision in ("float32", "bfloat16")
        for arrangement in arrangements
    ]


def whole_ways(work: Work, steps: int) -> list[Way]:
    """Return ``train_pack`` from its first line to its last: set-up, epochs, validation, checkpoints, test.

    Args:
        work: which; its trials with one seed make one pack.
        steps: gradient steps of each trial, about.
    """
    dataset, epochs = short_training(work, steps)
    per_epoch = -(-len(dataset.train) // work.batch_size)
    return [
        Way(
            f"{WHOLE} of {work.trials}",
            precision,
            "1 thread",
            functools.partial(_start_whole, work, precision, steps),
            trial_steps=work.trials * epochs * per_epoch,
            warm_up=0,
        )
        for precision in ("float32", "bfloat16")
    ]


def _start(work: Work, cells: int, seeds: int, precision: str, device: str, process: int) -> list[Training]:
    recipes = trials_of(work, cells, seeds, first_seed=process * seeds)
    return [train(work, [with_values(recipe, {"precision": precision}) for recipe in recipes], device)]


def _start_whole(work: Work, precision: str, steps: int, process: int) -> list[Training]:
    dataset, epochs = short_training(work, steps)
    values = {"precision": precision, "epochs": epochs}
    recipes = [with_values(recipe, values) for recipe in trials_of(work, work.trials, first_seed=process)]
    return [(train_pack(recipes, dataset) for _ in itertools.count())]


def train(work: Work, recipes: Sequence[Recipe], device: str = "cpu") -> Iterator[Tensor]:
    """Train a pack; yield the losses of its trials at every step, left on the device."""
    dataset = dataset_of(work.base.dataset, device)
    setup, state = prepare(recipes, dataset)
    seeds = [recipe.seed for recipe in recipes[:: len(recipes) // setup.groups]]
    generators = tuple(torch_generator(recipe.seed, "dropout", device=device) for recipe in recipes)
    context = Context(training=True, dtype=setup.dtype, generators=generators)
    for epoch in itertools.count():
        rates = _learning_rates(work, recipes, epoch).to(device, setup.master)
        orders = zip(*(batches(work, seed, epoch) for seed in seeds), strict=True)
        for step, of_every_seed in enumerate(orders):
            batch = torch.stack(of_every_seed).to(device)
            losses, _ = train_step(setup, state, batch, rates[step], context)
            state.step += 1
            yield losses / work.batch_size


def _learning_rates(work: Work, recipes: Sequence[Recipe], epoch: int) -> Tensor:
    """Return the rates of an epoch: (step, trial)."""
    per_epoch = len(dataset_of(work.base.dataset).train) // work.batch_size
    steps = np.arange(per_epoch) + epoch * per_epoch
    rates = [
        learning_rates(
            recipe.schedule,
            recipe.optimizer.learning_rate,
            steps,
            steps_per_epoch=per_epoch,
            epochs=recipe.training.epochs,
        )
        for recipe in recipes
    ]
    return torch.from_numpy(np.stack(rates, axis=1))


@functools.cache
def short_training(work: Work, steps: int) -> tuple[Dataset, int]:
    """Return a part of the data set, splits in proportion, and the epochs that give about this many steps."""
    whole = dataset_of(work.base.dataset)
    kept = min(1.0, steps * work.batch_size / len(whole.train))

    def part(split: LabeledImages) -> LabeledImages:
        return split.take(torch.arange(max(1, round(kept * len(split)))))

    validation = None if whole.validation is None else part(whole.validation)
    dataset = replace(whole, train=part(whole.train), validation=validation, test=part(whole.test))
    return dataset, max(1, round(steps * work.batch_size / len(dataset.train)))
