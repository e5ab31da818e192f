"""Trains an ablation until it is decided: more seeds for the open cells and the baseline, as one goes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.ablation_record import AblationCell
from foolscope.experiments.parts.looks import ALPHA, LookRecord, UntilDecidedRecord, remember_look
from foolscope.experiments.parts.predictions import results_by_image
from foolscope.experiments.recipe import Recipe, with_values
from foolscope.experiments.running.run import Observer, Session, StageEvent, run_trials
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.wording.sentences import higher_is_better
from foolscope.statistics.any_look import LookVerdict, judge_at_any_look
from foolscope.statistics.blocks import BlockDesign
from foolscope.statistics.verdicts import Verdict

__all__ = [
    "MOST_SEEDS",
    "Decided",
    "budget_of",
    "check_most_seeds",
    "design_of",
    "further_seeds_at_once",
    "train_until_decided",
]

MOST_SEEDS = 60
"""How many seeds a setting gets at most, if nothing else is said."""


@dataclass(frozen=True, eq=False)
class Decided:
    """What training until everything is decided leaves behind.

    Args:
        trials: of each cell, one per seed; decided cells have fewer.
        design: their metric.
        verdicts: at the last look.
        record: of the looks.
    """

    trials: list[list[StoredTrial]]
    design: BlockDesign
    verdicts: tuple[Verdict, ...]
    record: UntilDecidedRecord


def train_until_decided(
    cells: Sequence[AblationCell],
    *,
    seeds: int,
    most_seeds: int,
    metric: str,
    practical_difference: float,
    session: Session,
    observe: Observer,
    first_label: int,
    alpha: float = ALPHA,
) -> Decided:
    """Train the cells of an ablation with some seeds, then the open ones and the baseline with more.

    The looks depend on the numbers only, and trials in the store are not trained again: a run that was killed
    takes the same looks when it is started again, and goes on where it was.

    Args:
        cells: the baseline first.
        seeds: of every cell at the first look.
        most_seeds: after which to give up.
        metric: which result decides.
        practical_difference: δ, in the metric's own unit.
        session: store, data and device.
        observe: called as training goes on, and after every look.
        first_label: how the first seed is called in the design.
        alpha: level of all looks together.
    """
    check_most_seeds(seeds, most_seeds)
    baseline = cells[0]
    trials: list[list[StoredTrial]] = [[] for _ in cells]
    looks: list[LookRecord] = []
    open_cells, count = [cell.label for cell in cells[1:]], seeds
    while True:
        growing = [index for index, cell in enumerate(cells) if index == 0 or cell.label in open_cells]
        wanted = [_seeded(cells[index].recipe, seed) for index in growing for seed in range(count)]
        trained = iter(run_trials(wanted, session, observe))
        for index in growing:
            trials[index] = [next(trained) for _ in range(count)]
        design = design_of(cells, trials, metric, first_label)
        judged = judge_at_any_look(
            design,
            baseline.label,
            practical_difference=practical_difference,
            alpha=alpha,
            higher_is_better=higher_is_better(metric),
        )
        looks.append(_look(judged, open_cells, count))
        _remember(cells, trials, judged, metric, session)
        open_cells = [look.verdict.cell for look in judged if look.needs == "more seeds"]
        observe(StageEvent("deciding", count / most_seeds, _progress(judged, open_cells, count), stays=True))
        if not open_cells or count >= most_seeds:
            break
        count = min(most_seeds, count + further_seeds_at_once(count))
    every = [trial for own in trials for trial in own]
    record = UntilDecidedRecord(
        most_seeds=most_seeds,
        looks=looks,
        trainings=len(every),
        fixed_trainings=len(cells) * count,
        identities=[trial.identity for trial in every],
        needs_images=[look.verdict.cell for look in judged if look.needs == "more images"],
    )
    return Decided(trials, design, tuple(look.verdict for look in judged), record)


def budget_of(until_decided: bool, most_seeds: int | None) -> int | None:
    """Return how many seeds a setting gets at most; None where their number is fixed.

    Raises:
        RecipeError: a budget for a fixed number of seeds.
    """
    if not until_decided:
        if most_seeds is not None:
            raise RecipeError(
                f"most_seeds is only used with until_decided; got most_seeds = {most_seeds} without it. "
                "Add until_decided, or set the number of seeds with seeds"
            )
        return None
    return MOST_SEEDS if most_seeds is None else most_seeds


def check_most_seeds(seeds: int, most_seeds: int) -> None:
    """Refuse a budget that the first look exceeds.

    Raises:
        RecipeError: more seeds at the first look than in all.
    """
    if most_seeds < seeds:
        raise RecipeError(
            f"most_seeds must be at least the number of seeds to start with, {seeds}; got {most_seeds}. "
            "Raise most_seeds or lower seeds"
        )


def further_seeds_at_once(seeds: int) -> int:
    """Return how many seeds are added before the next look: a quarter of those so far, at least two.

    Fewer would make packs small; more would train seeds that were not needed. On average an eighth of the
    seeds are more than needed.
    """
    return max(2, seeds // 4)


def design_of(
    cells: Sequence[AblationCell],
    trials: Sequence[Sequence[StoredTrial]],
    metric: str,
    first_label: int,
) -> BlockDesign:
    """Return the design of cells with different numbers of seeds; the missing trials are the last ones."""
    longest = max(map(len, trials))
    values = np.full((len(cells), longest), np.nan)
    absent = np.ones(values.shape, dtype=bool)
    for index, own in enumerate(trials):
        values[index, : len(own)] = [trial.metric(metric) for trial in own]
        absent[index, : len(own)] = False
    every = [trial for own in trials for trial in own]
    results = results_by_image(metric, every)
    correct = None
    if results is not None:
        correct = np.zeros((*values.shape, results.shape[1]), dtype=bool)
        correct[~absent] = results
    return BlockDesign(
        tuple(cell.label for cell in cells),
        tuple(range(first_label, first_label + longest)),
        values,
        step=max(trial.step(metric) for trial in every),
        absent=absent if absent.any() else None,
        correct=correct,
    )


def _seeded(recipe: Recipe, seed: int) -> Recipe:
    return with_values(recipe, {"seed": recipe.seed + seed})


def _look(judged: Iterable[LookVerdict], open_cells: Sequence[str], seeds: int) -> LookRecord:
    decided = {
        look.verdict.cell: look.verdict.outcome
        for look in judged
        if look.verdict.cell in open_cells and look.verdict.outcome != "undecided"
    }
    return LookRecord(seeds=seeds, cells=list(open_cells), decided=decided)


def _remember(
    cells: Sequence[AblationCell],
    trials: Sequence[Sequence[StoredTrial]],
    judged: Iterable[LookVerdict],
    metric: str,
    session: Session,
) -> None:
    remember_look(
        session.store,
        baseline=trials[0][0].identity,
        metric=metric,
        seeds={own[0].identity: len(own) for own in trials[1:]},
        outcomes={look.verdict.cell: look.verdict.outcome for look in judged},
        mode="any look",
    )


def _progress(judged: Sequence[LookVerdict], open_cells: Sequence[str], seeds: int) -> str:
    closed = f"{len(judged) - len(open_cells)} of {len(judged)} comparisons are closed"
    needed = [look.verdict.seeds_needed for look in judged if look.needs == "more seeds"]
    if not needed:
        return f"after {seeds} seeds, {closed}"
    even = [look.seeds_for_even_chance for look in judged if look.needs == "more seeds"]
    most = "more than 200" if None in needed else str(max(each or 0 for each in needed))
    least = min((each for each in even if each is not None), default=None)
    range_words = f"{least} to {most}" if least is not None and str(least) != most else most
    return f"after {seeds} seeds, {closed}; about {range_words} more seeds would close the rest"
