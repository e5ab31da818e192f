"""Trains a recipe in NumPy and with torch, and compares the two runs."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64

from foolscope.core.randomness import numpy_generator
from foolscope.data import Dataset
from foolscope.experiments.engines.coverage import check_coverage, reference_precision
from foolscope.experiments.engines.records import DifferenceRecord, EnginesRecord, ReferenceRun
from foolscope.experiments.engines.reference_training import train_in_numpy
from foolscope.experiments.parts.checks import code_fingerprint
from foolscope.experiments.parts.training import training_record
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.provenance import dataset_facts, machine_facts
from foolscope.experiments.running.run import Observer, Session, StageEvent, ignore_events, run_trials
from foolscope.experiments.running.store import StoredTrial
from foolscope.inspection.gradients.mirroring import state_of
from foolscope.learning import EpochReport, TrialOutcome
from foolscope.reference import Array, Parameters, relative_error

__all__ = ["GOALS", "engines_record", "reference_run"]

GOALS: Mapping[Literal["float32", "float64"], tuple[float, float]] = {
    "float64": (1e-9, 1e-6),
    "float32": (1e-4, 1e-3),
}
"""By data type, largest allowed differences of losses and weights; kept weights are always float32."""

_LOSSES = ("running_loss", "validation_loss", "penalty")


def reference_run(recipe: Recipe, session: Session, observe: Observer = ignore_events) -> ReferenceRun:
    """Train a recipe in NumPy and with torch, both in float64 unless it asks for float32, and compare them.

    What the reference gave is read from the store only as long as our code and its libraries are the same:
    it is there to check them. The trial of torch is like any other.

    Where the two differ by more than the goal, the run in NumPy is made once more, from weights that are
    changed in the last digit: only what that does not explain is a disagreement.

    Raises:
        DataError: the data set cannot be read.
        RecipeError: the recipe asks for what has not been derived by hand, or the model does not fit the
            images.
        StoreError: a result cannot be written.
    """
    check_coverage(recipe)
    precision = reference_precision(recipe)
    exact = recipe.model_copy(update={"precision": precision})
    dataset = session.dataset(exact.dataset)
    computed = False

    def compute() -> dict[str, Any]:
        nonlocal computed
        computed = True
        outcome = train_in_numpy(exact, dataset, lambda report: observe(_stage(report)))
        (trial,) = run_trials([exact], session, observe)
        kept = None if trial.status == "diverged" else state_of(trial.model())
        found = _differences(exact, outcome, trial.outcome, kept)
        if _end(outcome.as_document()) != _end(trial.outcome) or not all(each.agrees for each in found):
            found = _beside_a_last_digit(found, exact, dataset, outcome, observe)
        return {
            "outcome": outcome.as_document(),
            "differences": [each.model_dump(mode="json") for each in found],
        }

    determinants = {
        "trial": session.identify(exact),
        "engine": "reference",
        "code": code_fingerprint(),
        "numpy": np.__version__,
        "version": 1,
    }
    result = session.store.remembered("references", determinants, compute)
    (trial,) = run_trials([exact], session, observe)
    reference = StoredTrial(
        identity=f"reference of {trial.identity}",
        recipe=exact,
        outcome=result["outcome"],
        provenance={
            **machine_facts(torch.device("cpu")),
            "precision": precision,
            "dataset": dataset_facts(dataset),
        },
        folder=session.store.root / "references",
    )
    differences = [DifferenceRecord.model_validate(each) for each in result["differences"]]
    return ReferenceRun(reference, trial, engines_record(reference, trial, differences), not computed)


def engines_record(
    reference: StoredTrial, trial: StoredTrial, differences: Sequence[DifferenceRecord]
) -> EnginesRecord:
    """Judge the differences between the run in NumPy and torch's.

    Which checkpoint is the best is a matter of chance where rounding is magnified; then losses alone count.
    """
    losses = [each for each in differences if each.by_epoch]
    magnified = any(each.magnified for each in losses)
    alike = magnified or _end(reference.outcome) == _end(trial.outcome)
    agrees = alike and all(each.agrees for each in (losses if magnified else differences))
    name = trial.recipe.model.name
    return EnginesRecord(
        in_numpy=training_record(f"{name} in NumPy", [reference]),
        in_torch=training_record(f"{name} in PyTorch", [trial]),
        precision=reference_precision(reference.recipe),
        differences=list(differences),
        agrees=agrees,
        magnified=magnified,
        sentence=_agreement(reference, magnified) if agrees else _disagreement(differences),
    )


def _end(outcome: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the status of a run, its number of epochs, and the epoch of its kept checkpoint."""
    return outcome["status"], len(outcome["history"]), outcome["best_epoch"]


def _agreement(reference: StoredTrial, magnified: bool) -> str:
    if magnified:
        return (
            "This training amplifies rounding: changing the last digit of the initial weights moves the "
            "NumPy run as far as it is from PyTorch's. So the comparison decides nothing; a lower learning "
            "rate may keep the two together, and foolscope check compares single gradients."
        )
    if reference.status == "diverged":
        return "Both runs diverge, in the same epoch."
    losses, weights = GOALS[reference_precision(reference.recipe)]
    return (
        f"The NumPy run and the PyTorch run agree to rounding: losses within {_power(losses)} in every "
        f"epoch, weights within {_power(weights)}."
    )


def _power(value: float) -> str:
    return f"{value:.0e}".replace("e-0", "e\N{MINUS SIGN}")


def _disagreement(differences: Sequence[DifferenceRecord]) -> str:
    first = min((each.first_epoch for each in differences if each.first_epoch), default=None)
    since = "" if first is None else f" from epoch {first} on"
    return (
        f"The NumPy run and the PyTorch run differ by more than rounding{since}: changing the last digit of "
        "the initial weights makes a smaller difference. One of the two is wrong; foolscope check compares "
        "their gradients layer by layer."
    )


def _stage(report: EpochReport) -> StageEvent:
    (loss,) = report.running_losses
    words = "diverged" if loss is None else f"loss {loss:.4g}"
    detail = f"epoch {report.epoch}/{report.epochs}, {words}"
    return StageEvent("training in NumPy", report.epoch / report.epochs, detail)


def _beside_a_last_digit(
    found: Sequence[DifferenceRecord],
    recipe: Recipe,
    dataset: Dataset,
    outcome: TrialOutcome,
    observe: Observer,
) -> list[DifferenceRecord]:
    """Add the differences that a change of the initial weights in the last digit makes in NumPy."""
    generator = numpy_generator(recipe.seed, "last digit")

    def changed(parameters: Parameters) -> Parameters:
        return {name: value * factors(value) for name, value in parameters.items()}

    def factors(value: Array) -> Array:
        signs = generator.choice([-1, 1], size=value.shape)
        return (1 + np.finfo(value.dtype).eps * signs).astype(value.dtype)

    other = train_in_numpy(recipe, dataset, lambda report: observe(_stage(report)), start=changed)
    kept = {name: value.float().numpy() for name, value in other.weights.items()}
    moved = {
        each.quantity: each.by_epoch or [each.largest]
        for each in _differences(
            recipe, outcome, other.as_document(), None if other.status == "diverged" else kept
        )
    }
    return [each.model_copy(update={"last_digit": moved.get(each.quantity, [])}) for each in found]


def _differences(
    recipe: Recipe, outcome: TrialOutcome, other: Mapping[str, Any], kept: Parameters | None
) -> list[DifferenceRecord]:
    """Compare losses and float32 weights of a run in NumPy with those of another run."""
    of_losses, of_weights = GOALS[reference_precision(recipe)]
    found = []
    for name in _LOSSES:
        first, second = _curve(outcome.as_document()["history"], name), _curve(other["history"], name)
        epochs = min(len(first), len(second))
        first, second = first[:epochs], second[:epochs]
        if np.nan_to_num([first, second]).any():  # else it is not measured, or zero throughout
            apart = _apart(first, second)
            by_epoch = apart.tolist()
            worst = int(apart.argmax())
            found.append(
                DifferenceRecord(
                    quantity=name.replace("_", " "),
                    largest=by_epoch[worst],
                    where=f"epoch {worst + 1}",
                    goal=of_losses,
                    by_epoch=by_epoch,
                )
            )
    if kept is not None and outcome.status != "diverged":
        apart_by_name = {
            name: relative_error(value.float().numpy(), kept[name]) for name, value in outcome.weights.items()
        }
        furthest = max(apart_by_name, key=lambda name: apart_by_name[name])
        found.append(
            DifferenceRecord(
                quantity="weights",
                largest=apart_by_name[furthest],
                where=furthest,
                goal=of_weights,
                by_epoch=[],
            )
        )
    return found


def _curve(history: Sequence[Mapping[str, Any]], name: str) -> Float64[np.ndarray, " epoch"]:
    return np.array([record[name] for record in history], dtype=np.float64)


def _apart(
    first: Float64[np.ndarray, " epoch"], second: Float64[np.ndarray, " epoch"]
) -> Float64[np.ndarray, " epoch"]:
    """Return |a − b| in units of the largest |a| or |b|; 0 where neither is finite.

    Example:
        >>> _apart(np.array([2.0, 1.0, np.nan]), np.array([2.0, 1.5, np.nan]))
        array([0.  , 0.25, 0.  ])
    """
    apart: Float64[np.ndarray, " epoch"] = np.abs(first - second) / np.nanmax(np.abs([first, second]))
    apart[np.isnan(first) != np.isnan(second)] = np.inf
    apart[np.isnan(first) & np.isnan(second)] = 0.0
    return apart
