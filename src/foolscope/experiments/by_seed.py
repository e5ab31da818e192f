"""What is measured on the trained model of every seed; what has been measured before is read."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from foolscope.experiments.store import Store, StoredTrial

__all__ = ["measured_by_seed"]


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
