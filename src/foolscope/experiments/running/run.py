"""Runs recipes: reads finished trials from the store, and trains the others in packs."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from foolscope.core.precision import resolve_precision
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.checkpoints import plan_from_checkpoints, sweep_checkpoints
from foolscope.experiments.running.executors import EXECUTORS, PackJob
from foolscope.experiments.running.executors.choice import choose_executor
from foolscope.experiments.running.packs import Pack, PackLimits, PendingTrial, plan_packs
from foolscope.experiments.running.provenance import dataset_facts, machine_facts
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import TRAINING_VERSION, StoredTrial
from foolscope.learning import EpochReport
from foolscope.learning.augmenting import check_augmentation
from foolscope.learning.packs.packing import solo_reason
from foolscope.learning.parameters.freezing import frozen_names
from foolscope.learning.parameters.groups import check_parameter_groups
from foolscope.models import ImageShape, ModelSettings, build_model

__all__ = [
    "EpochEvent",
    "Observer",
    "Session",
    "StageEvent",
    "dataset_facts",
    "ignore_events",
    "machine_facts",
    "plan_trials",
    "run_trials",
]


@dataclass(frozen=True)
class EpochEvent:
    """The event after each epoch of a pack: its trials, the fraction of the run done, the epoch's report."""

    trials: tuple[Recipe, ...]
    done_fraction: float
    report: EpochReport


@dataclass(frozen=True)
class StageEvent:
    """The event of any other work: its name and the fraction done, in [0, 1]."""

    name: str
    done_fraction: float
    detail: str = ""


Observer = Callable[[EpochEvent | StageEvent], None]


_STEP_FLOPS = 5e6  # the overhead of a step, in floating-point operations that it could do meanwhile


def ignore_events(event: EpochEvent | StageEvent) -> None:
    """Observe nothing."""


def plan_trials(recipes: Sequence[Recipe], session: Session) -> list[Pack]:
    """Return the packs of the recipes that the store lacks, each once; nothing is trained.

    Where a run was killed, they are planned around its checkpoints.

    Raises:
        DataError: a data set cannot be read.
        RecipeError: a model or an augmentation does not fit the images, or a pattern of names the model.
    """
    missing = {
        identity: recipe
        for identity, recipe in ((session.identify(recipe), recipe) for recipe in recipes)
        if not session.store.has(identity)
    }
    pending = []
    for identity, recipe in missing.items():
        dataset = session.dataset(recipe.dataset)
        size = _size(recipe.model, dataset.image_shape, len(dataset.classes))
        _check_fit(recipe, dataset.image_shape, size.names)
        batch_size = recipe.training.batch_size
        pending.append(
            PendingTrial(
                identity,
                recipe,
                parameter_count=size.parameters,
                flops=size.flops,
                input_bytes=4 * math.prod(dataset.image_shape) * batch_size,
                activation_bytes=4 * size.activations * math.ceil(batch_size / recipe.training.accumulation),
            )
        )
    limits = PackLimits.of_device(session.device)
    stored = [each for each in session.store.checkpoints() if each.version == TRAINING_VERSION]
    return plan_from_checkpoints(
        pending,
        stored,
        plan=lambda trials: plan_packs(trials, limits),
        fits=lambda pack: plan_packs(pack.trials, limits) == [pack],
    )


def run_trials(
    recipes: Sequence[Recipe], session: Session, observe: Observer = ignore_events
) -> list[StoredTrial]:
    """Return the finished trial of every recipe, training those that the store lacks.

    Args:
        recipes: in any order, with repetitions.
        session: store, data and device, and who trains.
        observe: called after every epoch.

    Raises:
        DataError: a data set cannot be read.
        RecipeError: a model does not fit its images, or there is no such executor.
        StoreError: a result cannot be written.
    """
    store = session.store
    store.complete_packs()
    sweep_checkpoints(store, map(session.identify, recipes))
    packs = plan_trials(recipes, session)
    for line in dict.fromkeys(_sequential_lines(packs, session)):
        observe(StageEvent("training", 0.0, line))
    jobs = [_job(pack, session) for pack in packs]
    executor = EXECUTORS[choose_executor(jobs, session, tuple(EXECUTORS))]
    if jobs:
        work = [job.work for job in jobs]
        done = [0.0] * len(jobs)

        def on_epoch(position: int, report: EpochReport) -> None:
            done[position] = max(done[position], work[position] * (report.epoch / report.epochs))
            observe(EpochEvent(jobs[position].recipes, math.fsum(done) / math.fsum(work), report))

        with closing(executor(jobs, session, on_epoch)) as finished:
            for position in finished:
                done[position] = work[position]
        sweep_checkpoints(store, map(session.identify, recipes))
    return [store.load(session.identify(recipe)) for recipe in recipes]


def _sequential_lines(packs: Sequence[Pack], session: Session) -> Iterator[str]:
    """Yield a line for each model that cannot be packed, with the reason."""
    for pack in packs:
        recipe = pack.trials[0].recipe
        dataset = session.dataset(recipe.dataset)
        reason = _size(recipe.model, dataset.image_shape, len(dataset.classes)).sequential_reason
        if reason is not None and len(pack.trials) > 1:
            yield f"{recipe.model.name} trains one trial after another: {reason}"


def _check_fit(recipe: Recipe, image_shape: ImageShape, names: Sequence[str]) -> None:
    """Refuse before anything is trained what training would refuse."""
    check_augmentation(
        recipe.augmentation,
        image_shape,
        loss=recipe.loss.name,
        defense=recipe.defense.name,
        batch_size=recipe.training.batch_size,
    )
    frozen = frozen_names(recipe.frozen, names)
    check_parameter_groups(recipe.parameter_groups, [name for name in names if name not in frozen])


@dataclass(frozen=True)
class _Size:
    """Size of a model: parameters, their names, FLOPs and activations per image; why it cannot be packed."""

    parameters: int
    names: tuple[str, ...]
    flops: float
    activations: int
    sequential_reason: str | None


@functools.lru_cache
def _size(settings: ModelSettings, image_shape: ImageShape, classes: int) -> _Size:
    plain = settings.model_copy(update={"normalization": "none"})
    model = build_model(plain, image_shape, classes, seed=0).eval()
    outputs: list[int] = []
    for layer in model.modules():
        if not any(True for _ in layer.children()):
            layer.register_forward_hook(lambda layer, inputs, output: outputs.append(output.numel()))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *image_shape))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    names = tuple(name for name, _ in model.named_parameters())
    return _Size(parameters, names, float(counter.get_total_flops()), sum(outputs), solo_reason(model))


def _job(pack: Pack, session: Session) -> PackJob:
    """Return the job for a pack."""
    recipes = tuple(trial.recipe for trial in pack.trials)
    dataset, training = session.dataset(recipes[0].dataset), recipes[0].training
    images = len(dataset.train)
    steps = training.epochs * math.ceil(images / training.batch_size)
    return PackJob(
        pack=pack.identity,
        identities=tuple(trial.identity for trial in pack.trials),
        recipes=recipes,
        precision=resolve_precision(recipes[0].precision, session.device),
        fingerprint=dataset.fingerprint,
        step_flops=3 * pack.flops_per_image * training.batch_size,
        work=3 * pack.flops_per_image * images * training.epochs + _STEP_FLOPS * steps,
    )
