"""Runs recipes: what the store has is read, the rest is planned into packs and trained in this process."""

import functools
import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from foolscope.core.precision import resolve_device, resolve_precision
from foolscope.core.threads import thread_count, worthwhile_threads
from foolscope.data import Dataset, DatasetSettings, load
from foolscope.experiments.packs import Pack, PendingTrial, plan_packs
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.store import Store, StoredTrial, trial_identity
from foolscope.learning import EpochReport, train_pack
from foolscope.models import ImageShape, ModelSettings, build_model

__all__ = [
    "Observer",
    "Progress",
    "Stage",
    "Workplace",
    "dataset_facts",
    "machine_facts",
    "run_trials",
    "silent",
]


@dataclass(frozen=True)
class Progress:
    """What a run tells while it goes on: which trials, how far, and the last epoch."""

    trials: tuple[Recipe, ...]
    done_fraction: float
    report: EpochReport


@dataclass(frozen=True)
class Stage:
    """What a study tells between trainings: what it does now, and how far that is, in [0, 1]."""

    name: str
    done_fraction: float
    detail: str = ""


Observer = Callable[[Progress | Stage], None]


_STEP_FLOPS = 5e6  # that a step could do in the time it takes beside its arithmetic


def silent(event: Progress | Stage) -> None:
    """Tell nothing."""


class Workplace:
    """Where work is done: the store, the data folder, the device, and the data sets already in memory."""

    def __init__(self, store: Store, data_dir: Path | None = None, device: str = "auto") -> None:
        self.store = store
        self.data_dir = data_dir
        self.device = resolve_device(device)
        self._loaded: dict[DatasetSettings, Dataset] = {}

    def dataset(self, settings: DatasetSettings) -> Dataset:
        """Return a data set on the device, read at most once."""
        if settings not in self._loaded:
            self._loaded[settings] = load(settings, self.data_dir, self.device)
        return self._loaded[settings]

    def identify(self, recipe: Recipe) -> str:
        """Return the identity of a recipe's trial on this machine."""
        precision = resolve_precision(recipe.precision, self.device)
        return trial_identity(recipe, self.dataset(recipe.dataset).fingerprint, precision)


def run_trials(
    recipes: Sequence[Recipe], workplace: Workplace, observe: Observer = silent
) -> list[StoredTrial]:
    """Return the finished trial of every recipe, training those that the store lacks.

    Args:
        recipes: in any order, with repetitions.
        workplace: store, data and device.
        observe: called after every epoch.

    Raises:
        DataError: a data set cannot be read.
        StoreError: a result cannot be written.
    """
    store = workplace.store
    store.complete_packs()
    identities = [workplace.identify(recipe) for recipe in recipes]
    missing = {
        identity: recipe
        for identity, recipe in zip(identities, recipes, strict=True)
        if not store.has(identity)
    }
    pending = []
    for identity, recipe in missing.items():
        dataset = workplace.dataset(recipe.dataset)
        parameters, flops = _size(recipe.model, dataset.image_shape, len(dataset.classes))
        input_bytes = 4 * math.prod(dataset.image_shape) * recipe.training.batch_size
        pending.append(PendingTrial(identity, recipe, parameters, flops, input_bytes))
    packs = plan_packs(pending)
    work = [_work(pack, workplace) for pack in packs]
    total = sum(work)
    for position, pack in enumerate(packs):
        _run_pack(pack, workplace, _teller(observe, pack, math.fsum(work[:position]), work[position], total))
    return [store.load(identity) for identity in identities]


@functools.lru_cache
def _size(settings: ModelSettings, image_shape: ImageShape, classes: int) -> tuple[int, float]:
    """Count a model's parameters, and the floating-point operations of one image's forward pass."""
    plain = settings.model_copy(update={"normalization": "none"})
    model = build_model(plain, image_shape, classes, seed=0).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, *image_shape))
    return sum(parameter.numel() for parameter in model.parameters()), float(counter.get_total_flops())


def _teller(
    observe: Callable[[Progress], None], pack: Pack, before: float, own: float, total: float
) -> Callable[[EpochReport], None]:
    """Return what turns a pack's epochs into the run's progress, given the work before, its own and all."""
    recipes = tuple(trial.recipe for trial in pack.trials)

    def tell(report: EpochReport) -> None:
        fraction = (before + own * report.epoch / report.epochs) / total
        observe(Progress(recipes, fraction, report))

    return tell


def _work(pack: Pack, workplace: Workplace) -> float:
    """Estimate a pack's share of the work: arithmetic on every image, and what each step costs besides."""
    recipe = pack.trials[0].recipe
    images = len(workplace.dataset(recipe.dataset).train)
    steps = math.ceil(images / recipe.training.batch_size)
    return recipe.training.epochs * (3 * pack.flops_per_image * images + _STEP_FLOPS * steps)


def _run_pack(pack: Pack, workplace: Workplace, tell: Callable[[EpochReport], None]) -> None:
    store = workplace.store
    recipes = [trial.recipe for trial in pack.trials]
    dataset = workplace.dataset(recipes[0].dataset)
    checkpoint = store.pack_checkpoint(pack.identity)
    threads = worthwhile_threads(3 * pack.flops_per_image * recipes[0].training.batch_size)
    with thread_count(threads):
        outcomes = train_pack(recipes, dataset, checkpoint=checkpoint, identity=pack.identity, report=tell)
    provenance = {
        **machine_facts(workplace.device),
        "threads": threads,
        "precision": resolve_precision(recipes[0].precision, workplace.device),
        "pack_size": len(recipes),
        "dataset": dataset_facts(dataset),
    }
    finished = [
        (trial.identity, trial.recipe, outcome) for trial, outcome in zip(pack.trials, outcomes, strict=True)
    ]
    store.save_pack(pack.identity, finished, provenance)


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """Return what a stored trial says of its data: enough to rebuild the model and recognize the pixels."""
    return {
        "name": dataset.name,
        "image_shape": list(dataset.image_shape),
        "classes": list(dataset.classes),
        "counts": {
            "train": len(dataset.train),
            "validation": 0 if dataset.validation is None else len(dataset.validation),
            "test": len(dataset.test),
        },
        "fingerprint": dataset.fingerprint,
    }


def machine_facts(device: torch.device) -> dict[str, Any]:
    """Return versions and hardware, for the colophon of a report."""
    return {
        "foolscope": metadata.version("foolscope"),
        "torch": torch.__version__,
        "numpy": metadata.version("numpy"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor_name(),
        "device": str(device),
        "threads": torch.get_num_threads(),
    }


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
