"""Runs a search: proposes rounds, trains them, and compares the winner with the baseline on fresh seeds."""

from collections.abc import Callable, Mapping, Sequence

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.predictions import largest_test_class, one_class_doubts
from foolscope.experiments.parts.searches.records import SearchRecord
from foolscope.experiments.parts.searches.sampling import Round, ScoredPoint, best_of
from foolscope.experiments.parts.searches.space import Over, Point, Space, space_of
from foolscope.experiments.parts.searches.strategies import SAMPLERS, SearchSettings
from foolscope.experiments.parts.searches.summary import contender, search_record
from foolscope.experiments.recipe import Recipe, with_values
from foolscope.experiments.running.run import (
    EpochEvent,
    Observer,
    Session,
    StageEvent,
    ignore_events,
    run_trials,
)
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.wording.fields import metric_words
from foolscope.experiments.wording.sentences import POINTS, number

__all__ = ["check_search", "search"]

_STAGE = "searching"


def search(
    baseline: Recipe,
    over: Mapping[str, Over],
    *,
    session: Session,
    settings: SearchSettings | None = None,
    name: str = "",
    practical_difference: float = 0.005,
    observe: Observer = ignore_events,
) -> SearchRecord:
    """Search for better settings of a recipe, or read what of the search the store has.

    Settings are chosen by a score on the validation images, by default accuracy, the mean over the seeds of
    the search. The best of many owes part of its lead to luck, so the winner is trained again, and so is the
    baseline, on seeds that the search has not seen; their scores on the test images are compared within
    seeds.

    Every proposal follows from the arguments and the results so far, and every trial is kept in the store: a
    search that was killed goes on where it was when it is started again. How many settings are asked for at
    once is ``trials``, not what happens to fit into a pack on this machine, so that the same search asks the
    same on every machine.

    Args:
        baseline: the recipe whose settings are searched.
        over: field to range or choices; see :func:`~foolscope.experiments.parts.searches.space.space_of`.
        session: store, data and device.
        settings: sampler, metric, rounds, trials, seeds; by default coarse to fine, two rounds of 16 trials.
        name: how the report calls the baseline; by default the name of its model.
        practical_difference: δ, the smallest difference of the test score that matters, as a fraction.
        observe: called after every epoch.

    Returns:
        Every trial, the winner beside the baseline, and the verdict.

    Raises:
        RecipeError: an unknown field, a range that makes no sense, no validation set, or a missing package.
    """
    settings = settings or SearchSettings()
    space = check_search(baseline, over, settings, session)
    sampler = SAMPLERS[settings.sampler]
    tell = _Teller(observe, settings)
    rounds: list[Round] = []
    while len(rounds) < settings.rounds:
        proposal = sampler(space, settings, rounds)
        if not proposal.points:
            break
        scored = _try(
            baseline, space, proposal.points, settings, session, tell.round(rounds, proposal.points)
        )
        rounds.append(Round(proposal.space, scored))
    best = best_of(rounds)
    fresh = _fresh_seeds(baseline, settings)
    recipes = [baseline] if best is None else [baseline, _recipe(baseline, space, best.point)]
    trials = _train(recipes, fresh, session, tell.fresh())
    observe(StageEvent(_STAGE, 1.0))
    record = search_record(
        name or baseline.model.name,
        baseline,
        space,
        settings,
        rounds,
        fresh,
        [contender(recipe, space, own, settings.metric) for recipe, own in zip(recipes, trials, strict=True)],
        practical_difference=practical_difference,
    )
    return _with_predictions(record, trials)


def _with_predictions(record: SearchRecord, trials: Sequence[Sequence[StoredTrial]]) -> SearchRecord:
    """Add what the trials of baseline and winner on fresh seeds predict as a whole."""
    return record.model_copy(
        update={
            "prediction_doubts": one_class_doubts(list(zip(("baseline", "winner"), trials, strict=False))),
            "largest_class": largest_test_class([trial for own in trials for trial in own]),
        }
    )


def check_search(
    baseline: Recipe, over: Mapping[str, Over], settings: SearchSettings, session: Session
) -> Space:
    """Refuse a search that cannot be run before anything is trained for it; return its space.

    Raises:
        RecipeError: as :func:`search`.
    """
    space = space_of(baseline, over)
    if session.dataset(baseline.dataset).validation is None:
        score = metric_words(f"validation_{settings.metric}")
        raise RecipeError(
            f"a search chooses by {score}, and {baseline.dataset.name} with validation = "
            f"{baseline.dataset.validation!r} has no validation set; set validation = 'stratified'"
        )
    for point in SAMPLERS[settings.sampler](space, settings, ()).points:
        _recipe(baseline, space, point)
    return space


def _recipe(baseline: Recipe, space: Space, point: Point) -> Recipe:
    return with_values(
        baseline, {dimension.field: value for dimension, value in zip(space, point, strict=True)}
    )


def _fresh_seeds(baseline: Recipe, settings: SearchSettings) -> tuple[int, ...]:
    first = baseline.seed + settings.seeds
    return tuple(range(first, first + settings.fresh_seeds))


def _try(
    baseline: Recipe,
    space: Space,
    points: Sequence[Point],
    settings: SearchSettings,
    session: Session,
    observe: Observer,
) -> tuple[ScoredPoint, ...]:
    """Train a round's settings with every seed of the search, as packs where their shapes agree."""
    recipes = [_recipe(baseline, space, point) for point in points]
    seeds = range(baseline.seed, baseline.seed + settings.seeds)
    return tuple(
        ScoredPoint(
            point,
            tuple(trial.metric(f"validation_{settings.metric}") for trial in trials),
            tuple(trial.metric("validation_loss") for trial in trials),
            tuple(trial.identity for trial in trials),
        )
        for point, trials in zip(points, _train(recipes, seeds, session, observe), strict=True)
    )


def _train(
    recipes: Sequence[Recipe], seeds: Sequence[int], session: Session, observe: Observer
) -> list[list[StoredTrial]]:
    """Return the trials of each recipe, one per seed."""
    seeded = [with_values(recipe, {"seed": seed}) for recipe in recipes for seed in seeds]
    trials = run_trials(seeded, session, observe)
    return [trials[start : start + len(seeds)] for start in range(0, len(trials), len(seeds))]


class _Teller:
    """Turns the progress of single rounds into that of the search."""

    def __init__(self, observe: Observer, settings: SearchSettings) -> None:
        self._observe = observe
        self._settings = settings
        self._total = settings.rounds * settings.trials * settings.seeds + 2 * settings.fresh_seeds

    def round(self, rounds: Sequence[Round], points: Sequence[Point]) -> Observer:
        done = sum(len(each.trials) for each in rounds) * self._settings.seeds
        best = best_of(rounds)
        words = f"round {len(rounds) + 1}, {len(points)} settings"
        if best is not None and best.score is not None:
            words += f", best so far {number(best.score, POINTS)} %"
        return self._part(done, len(points) * self._settings.seeds, words)

    def fresh(self) -> Observer:
        share = 2 * self._settings.fresh_seeds
        return self._part(self._total - share, share, f"winner and baseline on {share // 2} fresh seeds")

    def _part(self, done: int, share: int, words: str) -> Callable[[EpochEvent | StageEvent], None]:
        def tell(event: EpochEvent | StageEvent) -> None:
            epoch = (
                f", epoch {event.report.epoch}/{event.report.epochs}" if isinstance(event, EpochEvent) else ""
            )
            fraction = (done + share * event.done_fraction) / self._total
            self._observe(StageEvent(_STAGE, fraction, words + epoch))

        tell(StageEvent(_STAGE, 0.0))
        return tell
