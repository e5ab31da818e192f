"""Search for better settings of a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass

from foolscope.experiments.parts.searches import Over, search_settings
from foolscope.experiments.parts.searches import search as run_search
from foolscope.experiments.parts.searches.records import SearchRecord
from foolscope.experiments.recipe import Recipe, with_values
from foolscope.experiments.running.run import Observer, ignore_events, watched
from foolscope.experiments.running.session import Session
from foolscope.reports import Document
from foolscope.reports.parts.searches import search_document
from foolscope.verbs.result import Result

__all__ = ["Search", "search"]


@dataclass(frozen=True)
class Search(Result):
    """A search with its winner.

    Args:
        record: every setting tried, the winner beside the baseline on fresh seeds, and the verdict.
        recipe: the winner, to be trained or varied; the baseline if every setting tried diverged.
    """

    record: SearchRecord
    recipe: Recipe

    @property
    def summary(self) -> str:
        """What was found, in words."""
        return self.record.summary

    @property
    def document(self) -> Document:
        """The report."""
        return search_document(self.record)


def search(
    recipe: Recipe,
    over: Mapping[str, Over],
    *,
    sampler: str = "coarse-to-fine",
    metric: str = "accuracy",
    rounds: int = 2,
    trials: int = 16,
    seeds: int = 1,
    fresh_seeds: int = 5,
    practical_difference: float = 0.005,
    narrowing: float = 0.25,
    sampler_seed: int = 0,
    session: Session | None = None,
    observe: Observer = ignore_events,
) -> Search:
    """Search for better settings of a recipe, and compare the winner with it on fresh seeds.

    Args:
        recipe: the baseline.
        over: field to range, as in ``"1e-4:1:log"`` or ``"0:0.9:linear"``, or to a list of values.
        sampler: "coarse-to-fine", "random" or "tpe" (Optuna's).
        metric: score by which settings are chosen and the winner is judged: "accuracy", "balanced_accuracy",
            "f1" or "auc".
        rounds: how often to use the results to propose further settings.
        trials: settings per round, trained side by side.
        seeds: on which every setting is tried.
        fresh_seeds: further ones, on which winner and baseline are compared; at least 3.
        practical_difference: the smallest difference of the test score that matters, as a fraction.
        narrowing: length of the next round's ranges as a fraction of this round's.
        sampler_seed: root of the draws.
        session: store, data, device and executor; the defaults if not given.
        observe: called as training goes on.

    Raises:
        RecipeError: an unknown field, a range that makes no sense, no validation set, or a missing package.
    """
    settings = search_settings(
        {
            "sampler": sampler,
            "metric": metric,
            "rounds": rounds,
            "trials": trials,
            "seeds": seeds,
            "fresh_seeds": fresh_seeds,
            "narrowing": narrowing,
            "sampler_seed": sampler_seed,
        }
    )
    record = run_search(
        recipe,
        over,
        session=watched(session or Session(), observe),
        settings=settings,
        practical_difference=practical_difference,
        observe=observe,
    )
    return Search(record, with_values(recipe, record.winner.values if record.winner else {}))
