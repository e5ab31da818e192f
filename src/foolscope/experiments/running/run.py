"""Runs recipes: reads finished trials from the store, and trains the others in packs."""

import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch

from foolscope.core.allocations import Allocations
from foolscope.core.cores import available_cores
from foolscope.core.precision import resolve_precision
from foolscope.core.threads import usable_threads
from foolscope.data import Dataset
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.checkpoints import plan_from_checkpoints, sweep_checkpoints
from foolscope.experiments.running.executors import EXECUTORS, PackJob
from foolscope.experiments.running.executors.choice import choose_executor
from foolscope.experiments.running.executors.processes import shares
from foolscope.experiments.running.memory import memory_line, pack_limits
from foolscope.experiments.running.operations import OperationCounter
from foolscope.experiments.running.packs import Pack, PendingTrial, plan_packs
from foolscope.experiments.running.plans import planned_before, remembered
from foolscope.experiments.running.provenance import dataset_facts, machine_facts
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.sharing import affordable_workers, plan_for_cores
from foolscope.experiments.running.store import TRAINING_VERSION, StoredTrial
from foolscope.learning import EpochReport
from foolscope.learning.augmenting import check_augmentation
from foolscope.learning.measuring.step_memory import step_allocations
from foolscope.learning.packs.packing import solo_reason
from foolscope.learning.parameters.freezing import freeze, frozen_names
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
    "pending_trial",
    "plan_trials",
    "run_trials",
    "watched",
]


@dataclass(frozen=True)
class EpochEvent:
    """The event after each epoch of a pack: its trials, the fraction of the run done, the epoch's report."""

    trials: tuple[Recipe, ...]
    done_fraction: float
    report: EpochReport


@dataclass(frozen=True)
class StageEvent:
    """The event of any other work: its name and the fraction done, in [0, 1].

    A detail that stays is to be read after the work, too: a warning.
    """

    name: str
    done_fraction: float
    detail: str = ""
    stays: bool = False


Observer = Callable[[EpochEvent | StageEvent], None]


_UNTOLD_SECONDS = 1.0  # of reading images, which is no stage of its own where it is quick
_TOLD_SECONDS = 0.1  # between two events


def ignore_events(event: EpochEvent | StageEvent) -> None:
    """Observe nothing."""


def watched(session: Session, observe: Observer) -> Session:
    """Return the session with its reading of images observed, where that takes more than a second."""
    began, told = math.inf, -math.inf

    def progress(done_what: str, done: int, count: int) -> None:
        nonlocal began, told
        now = time.monotonic()
        began = min(began, now)
        if now - began >= _UNTOLD_SECONDS and (done == count or now - told >= _TOLD_SECONDS):
            told = now
            observe(StageEvent("reading images", done / count, f"{done:,} of {count:,} {done_what}"))

    return session.telling(progress)


def plan_trials(recipes: Sequence[Recipe], session: Session) -> list[Pack]:
    """Return the packs of the recipes that the store lacks, each once; nothing is trained.

    Those of a run that was killed come first, as that run had planned them; others are planned around its
    checkpoints.

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
        _check_fit(recipe, dataset.image_shape, _size_of(recipe, session).names)
        pending.append(pending_trial(identity, recipe, dataset, session))
    limits = pack_limits(session)
    packs, new = planned_before(pending, session.store, limits)
    cores = available_cores() if session.device.type == "cpu" else 1
    for settings in {recipe.dataset: None for recipe in missing.values()}:
        cores = affordable_workers(cores, _held_bytes(session.dataset(settings)))
    stored = [each for each in session.store.checkpoints() if each.version == TRAINING_VERSION]
    return packs + plan_from_checkpoints(
        new,
        stored,
        plan=lambda trials: plan_for_cores(trials, limits, cores=cores, threads=usable_threads()),
        fits=lambda pack: plan_packs(pack.trials, limits) == [pack],
    )


def _held_bytes(dataset: Dataset) -> int:
    splits = (dataset.train, dataset.validation, dataset.test)
    return sum(split.images.nbytes for split in splits if split is not None)


def pending_trial(identity: str, recipe: Recipe, dataset: Dataset, session: Session) -> PendingTrial:
    """Return what the plan of packs has to know of a trial.

    Args:
        identity: of the trial.
        recipe: of the trial.
        dataset: of the recipe.
        session: where it will train.
    """
    size = _size_of(recipe, session)
    batch_size = recipe.training.batch_size
    return PendingTrial(
        identity,
        recipe,
        parameter_count=size.parameters,
        flops=size.flops,
        input_bytes=4 * math.prod(dataset.image_shape) * batch_size,
        allocations=size.allocations,
        steps=recipe.training.epochs * math.ceil(len(dataset.train) / batch_size),
        precision=resolve_precision(recipe.precision, session.device),
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
    name = choose_executor(packs, session, tuple(EXECUTORS))
    workers = 1 if name != "processes" else shares(len(jobs), session.workers)[0]
    large = memory_line(packs, session, workers) if name != "ray" else None
    if large is not None:
        observe(StageEvent("training", 0.0, large, stays=True))
    executor = EXECUTORS[name]
    if jobs:
        work = [job.work for job in jobs]
        done = [0.0] * len(jobs)

        def on_epoch(position: int, report: EpochReport) -> None:
            done[position] = max(done[position], work[position] * (report.epoch / report.epochs))
            observe(EpochEvent(jobs[position].recipes, math.fsum(done) / math.fsum(work), report))

        with remembered(packs, store), closing(executor(jobs, session, on_epoch)) as finished:
            for position in finished:
                done[position] = work[position]
        sweep_checkpoints(store, map(session.identify, recipes))
    return [store.load(session.identify(recipe)) for recipe in recipes]


def _sequential_lines(packs: Sequence[Pack], session: Session) -> Iterator[str]:
    """Yield a line for each model that cannot be packed, with the reason."""
    for pack in packs:
        recipe = pack.trials[0].recipe
        reason = _size_of(recipe, session).sequential_reason
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
    """Size of a model: parameters, their names, FLOPs per image, memory; why it cannot be packed."""

    parameters: int
    names: tuple[str, ...]
    flops: float
    allocations: Allocations
    sequential_reason: str | None


def _size_of(recipe: Recipe, session: Session) -> _Size:
    dataset = session.dataset(recipe.dataset)
    precision = resolve_precision(recipe.precision, session.device)
    return _size(recipe.model, dataset.image_shape, len(dataset.classes), precision, recipe.frozen)


@functools.lru_cache
def _size(
    settings: ModelSettings, image_shape: ImageShape, classes: int, precision: str, frozen: tuple[str, ...]
) -> _Size:
    plain = settings.model_copy(update={"normalization": "none"})
    model = build_model(plain, image_shape, classes, seed=0).eval()
    with OperationCounter() as counter, torch.no_grad():
        model(torch.zeros(1, *image_shape))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    names = tuple(name for name, _ in model.named_parameters())
    freeze(model, frozen)
    held = step_allocations(model, image_shape, getattr(torch, precision))
    return _Size(parameters, names, counter.flops, held, solo_reason(model))


def _job(pack: Pack, session: Session) -> PackJob:
    """Return the job for a pack."""
    recipes = tuple(trial.recipe for trial in pack.trials)
    chosen = session.executor == "auto" and session.workers is None  # not by the user
    return PackJob(
        pack=pack.identity,
        identities=tuple(trial.identity for trial in pack.trials),
        recipes=recipes,
        precision=pack.trials[0].precision,
        fingerprint=session.dataset(recipes[0].dataset).fingerprint,
        step_flops=pack.step_flops,
        work=pack.core_seconds,
        threads=pack.threads if chosen else None,
    )
