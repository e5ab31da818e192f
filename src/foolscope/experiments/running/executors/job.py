"""A pack as a job: plain values that can be sent to any worker, and the function that runs it there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from foolscope.core.errors import DataError
from foolscope.core.threads import thread_count, worthwhile_threads
from foolscope.data import Dataset
from foolscope.experiments.recipe import Recipe, recipe_from
from foolscope.experiments.running.initial_weights import initial_weights
from foolscope.experiments.running.provenance import dataset_facts, machine_facts
from foolscope.experiments.running.store import TRAINING_VERSION, Store
from foolscope.learning import EpochReport, TrialOutcome, train_pack
from foolscope.learning.pack_checkpoints import Checkpoint

__all__ = ["PackJob", "job_from", "report_from", "run_pack", "train_job"]


@dataclass(frozen=True)
class PackJob:
    """Everything that a worker needs to train a pack.

    Args:
        pack: the pack's identity.
        identities: of its trials, in order.
        recipes: of its trials, in the same order.
        precision: as resolved where the pack was planned, which the identities rest on.
        fingerprint: of the data set, as planned.
        step_flops: floating-point operations of one training step.
        work: floating-point operations of all steps, with an allowance for the overhead of each step.
    """

    pack: str
    identities: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    precision: Literal["float32", "bfloat16", "float64"]
    fingerprint: str
    step_flops: float
    work: float

    def __str__(self) -> str:
        count = len(self.recipes)
        return f"pack {self.pack[:8]} ({self.recipes[0].model.name}, {count} trial{'s' if count > 1 else ''})"

    def as_document(self) -> dict[str, Any]:
        """Return the job as values that JSON can carry; :func:`job_from` reads them."""
        return {
            **vars(self),
            "identities": list(self.identities),
            "recipes": [recipe.model_dump(mode="json") for recipe in self.recipes],
        }


def job_from(document: Mapping[str, Any]) -> PackJob:
    """Read what :meth:`PackJob.as_document` wrote."""
    recipes = tuple(recipe_from(table) for table in document["recipes"])
    return PackJob(**{**document, "identities": tuple(document["identities"]), "recipes": recipes})


def report_from(document: Mapping[str, Any]) -> EpochReport:
    """Read an epoch report from its JSON document."""
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in document.items()
    }
    return EpochReport(**fields)


def train_job(
    job: PackJob,
    dataset: Dataset,
    *,
    threads: int,
    checkpoint: Path | None,
    report: Callable[[EpochReport], None],
) -> tuple[Sequence[TrialOutcome], dict[str, Any]]:
    """Train a pack; return its outcomes and their provenance.

    Args:
        job: the pack.
        dataset: its data, on the device to train on.
        threads: that torch may use at most.
        checkpoint: where to keep the state of the pack in progress; what checkpoints in the same folder hold
            of its trials is not trained again.
        report: called after every epoch.

    Raises:
        DataError: the data are not those with which the pack was planned.
    """
    if dataset.fingerprint != job.fingerprint:
        raise DataError(f"{dataset.name} has changed since the run began; run the same command again")
    trials = [recipe.model_copy(update={"precision": job.precision}) for recipe in job.recipes]
    kept = None if checkpoint is None else Checkpoint(checkpoint, job.identities, TRAINING_VERSION)
    with thread_count(threads), thread_count(worthwhile_threads(job.step_flops)):
        outcomes = train_pack(
            trials,
            dataset,
            checkpoint=kept,
            report=report,
            initialize=initial_weights(trials[0]),
        )
        provenance = {
            **machine_facts(dataset.train.images.device),
            "precision": job.precision,
            "pack_size": len(trials),
            "dataset": dataset_facts(dataset),
        }
    return outcomes, provenance


def run_pack(
    job: PackJob, store: Store, dataset: Dataset, *, threads: int, report: Callable[[EpochReport], None]
) -> None:
    """Train a pack as :func:`train_job` does, from the checkpoints in the store, and store its results.

    Raises:
        DataError: the data are not those with which the pack was planned.
        StoreError: the checkpoint or a result cannot be written.
    """
    if all(store.has(identity) for identity in job.identities):
        return  # a worker wrote the results and was lost before it could report so
    checkpoint = store.pack_checkpoint(job.pack)
    outcomes, provenance = train_job(job, dataset, threads=threads, checkpoint=checkpoint, report=report)
    store.save_pack(job.pack, list(zip(job.identities, job.recipes, outcomes, strict=True)), provenance)
