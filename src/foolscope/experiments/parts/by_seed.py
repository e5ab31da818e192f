"""Numbers of every seed: measured at most once on its trained model, and their mean with its interval."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from foolscope.experiments.claims.sources import Measured
from foolscope.experiments.parts.demonstrations.records import MeasureRecord
from foolscope.experiments.running.store import Store, StoredTrial
from foolscope.statistics.blocks import BlockDesign, mean_interval

__all__ = ["measure_record", "measured_by_seed", "measured_over_seeds"]


def measured_by_seed(
    kind: str,
    determinants: Mapping[str, Any],
    measure: Callable[[StoredTrial], dict[str, Any]],
    trials: Sequence[StoredTrial],
    store: Store,
    tell: Callable[[float, str], None],
) -> dict[int, dict[str, Any]]:
    """Measure the model of every seed whose training did not diverge, each at most once.

    Args:
        kind: folder of such results in the store, as in ``attacks``.
        determinants: JSON-able; everything beside the trial that the result depends on.
        measure: returns a JSON-able result.
        trials: one per seed.
        store: where results are remembered.
        tell: called before each seed with the fraction done and a detail.

    Returns:
        Seed -> result, in the order of the trials.
    """
    finished = [trial for trial in trials if trial.status != "diverged"]
    results: dict[int, dict[str, Any]] = {}
    for position, trial in enumerate(finished):
        tell(position / len(finished), f"seed {trial.recipe.seed}")
        results[trial.recipe.seed] = store.remembered(
            kind, {**determinants, "trial": trial.identity}, partial(measure, trial)
        )
    return results


def measure_record(
    name: str, words: str, values: Sequence[float | None], seeds: Sequence[int]
) -> MeasureRecord:
    """Put one number of every seed together: its mean and 95 % interval, and whether it differs at all.

    Args:
        name: of the number, by which claims call it.
        words: what it is.
        values: one per seed; None where it is no finite number, so that there is no mean.
        seeds: of the values.
    """
    design = BlockDesign((name,), tuple(seeds), np.array([values], dtype=float))
    mean, low, high = mean_interval(design, name)
    return MeasureRecord(
        name=name,
        words=words,
        values=list(values),
        mean=mean,
        low=low,
        high=high,
        same=len(values) > 1 and mean is not None and low == high,
    )


def measured_over_seeds(record: MeasureRecord) -> Measured:
    """Return what a claim about a recorded number is tested on."""
    values = np.array(record.values, dtype=float)
    missing = record.values.count(None)
    lack = f"has no finite number in {missing} of {len(record.values)} seeds" if missing else ""
    return Measured(values, lack, record.words, record.same)
