"""The tree-structured Parzen estimator of Optuna, asked for a whole round at once."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from foolscope.core.errors import RecipeError
from foolscope.core.randomness import derive_seed
from foolscope.experiments.parts.searches.sampling import (
    Proposal,
    Round,
    SamplerSettings,
    distinct,
    points_of,
)
from foolscope.experiments.parts.searches.space import Choices, Dimension, Point, Space

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

__all__ = ["tpe"]

_WORST = 0.0  # the score of a setting that diverged, so that the sampler learns to keep away from it


def tpe(space: Space, settings: SamplerSettings, rounds: Sequence[Round]) -> Proposal:
    """Model where good and where bad settings lie, and draw where their densities' ratio is highest.

    Each round is one batch of asks to a new study in memory that was told all rounds before it. Within the
    batch a setting that was asked and has no result yet counts as a bad one, so that the next ask keeps away
    from it (the constant liar). The first round is drawn at random. The study's seed follows from
    ``sampler_seed`` and the number of the round: the same results give the same asks.

    Raises:
        RecipeError: Optuna is not installed.

    References:
        Bergstra, Bardenet, Bengio and Kégl (2011), "Algorithms for hyper-parameter optimization", NIPS 24;
        Akiba et al. (2019), "Optuna", arXiv:1907.10902; the constant liar: Ginsbourger, Le Riche and Carraro
        (2010), "Kriging is well-suited to parallelize optimization", section 3.
    """
    try:
        import optuna
    except ImportError as error:
        raise RecipeError(
            "the sampler 'tpe' needs Optuna: pip install 'foolscope[optuna]'; "
            "'coarse-to-fine' and 'random' need nothing more"
        ) from error
    with _quiet():
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=settings.trials,
            constant_liar=True,
            seed=derive_seed(settings.sampler_seed, "search", "tpe", len(rounds)) % 2**32,
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([_told(space, each.point, each.score) for part in rounds for each in part.trials])
        distributions = {dimension.field: _distribution(dimension) for dimension in space}

        def ask() -> Point:
            return _point(space, study.ask(distributions))

        return Proposal(space, distinct(ask, settings.trials, points_of(rounds)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from logging each study and from warning that batches are experimental."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _distribution(dimension: Dimension) -> "BaseDistribution":
    """Return a dimension as Optuna knows it; of choices it sees the numbers, as values may be of any type."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choices):
        return CategoricalDistribution(range(len(dimension.values)))
    is_log = dimension.scale == "log"
    if dimension.integer:
        return IntDistribution(int(dimension.low), int(dimension.high), log=is_log)
    return FloatDistribution(dimension.low, dimension.high, log=is_log)


def _told(space: Space, point: Point, score: float | None) -> "FrozenTrial":
    """Return a setting with its result as a finished trial of Optuna's."""
    import optuna

    return optuna.trial.create_trial(
        params={
            dimension.field: dimension.values.index(value) if isinstance(dimension, Choices) else value
            for dimension, value in zip(space, point, strict=True)
        },
        distributions={dimension.field: _distribution(dimension) for dimension in space},
        value=_WORST if score is None else score,
    )


def _point(space: Space, trial: "Trial") -> Point:
    """Return an ask as a point, numbers rounded as other samplers round them."""
    return tuple(
        dimension.values[trial.params[dimension.field]]
        if isinstance(dimension, Choices)
        else dimension.nearest(trial.params[dimension.field])
        for dimension in space
    )
