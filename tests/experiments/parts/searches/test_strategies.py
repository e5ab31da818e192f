import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.searches.sampling import (
    Round,
    SamplerSettings,
    ScoredPoint,
    best_of,
    distinct,
)
from foolscope.experiments.parts.searches.space import Choices, Range
from foolscope.experiments.parts.searches.strategies import (
    SAMPLERS,
    SearchSettings,
    coarse_to_fine,
    random_search,
    search_settings,
)

RATE = Range("learning_rate", 1e-4, 10.0, "log")
SPACE = (
    RATE,
    Range("momentum", 0.0, 0.9, "linear"),
    Range("batch_size", 8, 64, "log", integer=True),
    Choices("hidden", ((8,), (16,))),
)


@pytest.fixture(params=SAMPLERS, ids=str)
def sampler(request):
    return SAMPLERS[request.param]


def score(point):
    """Best at a learning rate of 0.03; diverges above 1."""
    error = abs(np.log10(point[0] / 0.03))
    accuracy = float(np.exp(-error)) if point[0] <= 1 else float("nan")
    return ScoredPoint(point, (accuracy,), (1 - accuracy,))


def played(sampler, space, options, evaluate=score):
    """All rounds of a search over a known function."""
    rounds = []
    for _ in range(options.rounds):
        proposal = sampler(space, options, rounds)
        rounds.append(Round(proposal.space, tuple(map(evaluate, proposal.points))))
    return rounds


# ------------------------------------------------------------------ what every sampler promises


def test_proposals_lie_in_the_ranges_and_are_never_repeated(sampler):
    options = SamplerSettings(rounds=3, trials=12)
    rounds = played(sampler, SPACE, options)
    assert len(points(rounds)) == len(set(points(rounds))) == 36
    for each in rounds:
        for trial in each.trials:
            for dimension, value in zip(each.space, trial.point, strict=True):
                if isinstance(dimension, Range):
                    assert dimension.low <= value <= dimension.high
                    assert isinstance(value, int) == dimension.integer
                else:
                    assert value in dimension.values


def points(rounds):
    return [trial.point for each in rounds for trial in each.trials]


def test_the_same_results_give_the_same_proposals(sampler):
    options = SamplerSettings(rounds=3, trials=6)
    assert points(played(sampler, SPACE, options)) == points(played(sampler, SPACE, options))
    other = options.model_copy(update={"sampler_seed": 1})
    assert points(played(sampler, SPACE, other)) != points(played(sampler, SPACE, options))


def test_a_space_that_is_used_up_ends_the_search(sampler):
    space = (Range("batch_size", 4, 8, "linear", integer=True),)
    rounds = played(
        sampler, space, SamplerSettings(rounds=4, trials=16), lambda point: ScoredPoint(point, (0.5,), (1.0,))
    )
    assert sorted(points(rounds)) == [(4,), (5,), (6,), (7,), (8,)]
    assert not rounds[-1].trials


def test_the_global_random_state_is_neither_read_nor_written(sampler):
    options = SamplerSettings(rounds=2, trials=4)
    proposals = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)  # its state is not compared: the type checker of the tests draws from it
        before = np.random.get_state()[1].tolist()  # noqa: NPY002
        proposals.append(points(played(sampler, SPACE, options)))
        assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    assert proposals[0] == proposals[1]


def test_nothing_is_said(sampler, capfd):
    played(sampler, SPACE, SamplerSettings(rounds=2, trials=3))
    assert capfd.readouterr() == ("", "")


# ------------------------------------------------------------------ uniform draws


@pytest.mark.parametrize("draw", [coarse_to_fine, random_search])
@pytest.mark.parametrize("scale", ["log", "linear"])
def test_draws_are_uniform_on_the_scale_of_the_range(draw, scale):
    space = (Range("l2", 1e-4, 10.0, scale),)
    drawn = draw(space, SamplerSettings(rounds=1, trials=1000), ()).points
    values = np.array([point[0] for point in drawn])
    fractions = {"log": (np.log10(values) + 4) / 5, "linear": (values - 1e-4) / (10 - 1e-4)}
    p = {name: stats.kstest(each, "uniform").pvalue for name, each in fractions.items()}
    other = "linear" if scale == "log" else "log"
    assert p[scale] > 0.01
    assert p[other] < 1e-6


def test_random_search_draws_everything_at_once_and_shares_the_first_round():
    options = SamplerSettings(rounds=3, trials=5)
    first = random_search(SPACE, options, ())
    assert len(first.points) == 15
    assert first.points[:5] == coarse_to_fine(SPACE, options, ()).points
    assert random_search(SPACE, options, [Round(SPACE, tuple(map(score, first.points)))]).points == ()


# ------------------------------------------------------------------ coarse to fine


@given(
    seed=st.integers(0, 10_000),
    narrowing=st.floats(0.05, 1),
    target=st.floats(-4, 1),
    trials=st.integers(1, 8),
)
@settings(max_examples=40, deadline=None)
def test_ranges_are_nested_and_hold_the_best(seed, narrowing, target, trials):
    def evaluate(point):
        accuracy = -abs(np.log10(point[0]) - target)
        return ScoredPoint(point, (float(accuracy),), (0.0,))

    options = SamplerSettings(rounds=4, trials=trials, narrowing=narrowing, sampler_seed=seed)
    rounds = played(coarse_to_fine, SPACE[:3], options, evaluate)
    for position in range(1, len(rounds)):
        best = best_of(rounds[:position])
        for before, after, value in zip(
            rounds[position - 1].space, rounds[position].space, best.point, strict=True
        ):
            assert before.low <= after.low <= value <= after.high <= before.high


def test_the_range_shrinks_by_the_stated_factor_around_the_best():
    first = Round((RATE,), (score((0.1,)), score((0.01,)), score((5.0,))))
    options = SamplerSettings(trials=4, narrowing=0.2)
    (part,) = coarse_to_fine((RATE,), options, [first]).space  # five decades become one, around 0.1 or 0.01
    best = best_of([first]).point[0]
    assert best == 0.01  # 0.48 decades from 0.03; 0.1 is 0.52 away
    assert (part.low, part.high) == pytest.approx((best / 10**0.5, best * 10**0.5))


def test_where_everything_diverged_the_range_stays():
    first = Round((RATE,), (score((5.0,)),))
    assert coarse_to_fine((RATE,), SamplerSettings(), [first]).space == (RATE,)


# ------------------------------------------------------------------ the best


def tried(name, accuracies, losses):
    return ScoredPoint((name,), accuracies, losses)


def test_the_best_has_the_highest_mean_accuracy_then_the_lowest_loss_then_came_first():
    nan = float("nan")
    rounds = [
        Round((), (tried("lucky once", (0.99, 0.5), (0.1, 0.1)), tried("diverged", (1.0, nan), (0.0, nan)))),
        Round((), (tried("worse loss", (0.8, 0.8), (0.5, 0.5)), tried("best", (0.9, 0.7), (0.4, 0.4)))),
        Round((), (tried("later", (0.8, 0.8), (0.4, 0.4)),)),
    ]
    assert best_of(rounds).point == ("best",)
    assert best_of(rounds[:1]).point == ("lucky once",)
    assert best_of([Round((), (tried("diverged", (1.0, nan), (0.0, nan)),))]) is None
    assert best_of([]) is None


def test_distinct_gives_up_where_nothing_new_is_left():
    values = iter([1, 1, 2, 3] * 100)
    assert distinct(lambda: (next(values),), 5, {(3,)}) == ((1,), (2,))


# ------------------------------------------------------------------ Optuna


def test_tpe_learns_between_batches_and_keeps_away_from_what_diverged():
    options = SamplerSettings(rounds=4, trials=8)
    gains, diverged = [], []
    for seed in range(4):
        rounds = played(SAMPLERS["tpe"], (RATE,), options.model_copy(update={"sampler_seed": seed}))
        means = [np.mean([trial.score or 0.0 for trial in each.trials]) for each in rounds]
        gains.append(means[-1] - means[0])
        diverged.append([sum(trial.score is None for trial in each.trials) for each in rounds])
    assert np.mean(gains) > 0.2
    assert np.sum(diverged, axis=0)[-1] < np.sum(diverged, axis=0)[0]


def test_tpe_asks_for_a_batch_without_looking_at_its_results():
    options = SamplerSettings(rounds=2, trials=8)
    first = SAMPLERS["tpe"]((RATE,), options, ())
    told = [Round(first.space, tuple(map(score, first.points)))]
    second = SAMPLERS["tpe"]((RATE,), options, told)
    assert len(second.points) == 8
    assert second == SAMPLERS["tpe"]((RATE,), options, told)
    worse = [
        Round(first.space, tuple(ScoredPoint(point, (point[0] / 10,), (1.0,)) for point in first.points))
    ]
    other = SAMPLERS["tpe"]((RATE,), options, worse)
    assert np.median([point[0] for point in other.points]) > np.median([point[0] for point in second.points])


def test_tpe_spreads_a_batch_instead_of_asking_for_one_place():
    options = SamplerSettings(rounds=2, trials=16)
    rounds = played(SAMPLERS["tpe"], (RATE,), options)
    places = sorted(RATE.position(trial.point[0]) for trial in rounds[1].trials)
    assert places[-1] - places[0] > 0.2


def test_optunas_own_verbosity_is_given_back():
    import optuna

    before = optuna.logging.get_verbosity()
    try:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        played(SAMPLERS["tpe"], (RATE,), SamplerSettings(rounds=1, trials=2))
        assert optuna.logging.get_verbosity() == optuna.logging.ERROR
    finally:
        optuna.logging.set_verbosity(before)


# ------------------------------------------------------------------ settings


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"sampler": "randm"}, ["unknown sampler 'randm'", "Did you mean 'random'?"]),
        ({"fresh_seeds": 1}, ["fresh_seeds", "greater than or equal to 3", "got 1"]),
        ({"rouns": 1}, ["unknown field 'rouns'", "Did you mean 'rounds'?"]),
        ({"narrowing": 0}, ["narrowing", "greater than 0", "got 0"]),
    ],
)
def test_a_mistake_in_the_settings_is_one_line(values, parts):
    with pytest.raises(RecipeError) as caught:
        search_settings(values)
    assert not [part for part in parts if part not in str(caught.value)], caught.value


def test_every_field_says_what_it_is():
    assert all(field.description for field in SearchSettings.model_fields.values())
