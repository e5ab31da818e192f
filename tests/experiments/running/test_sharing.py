import dataclasses
import itertools
import math
from collections import Counter
from fractions import Fraction

import hypothesis
import pytest
from hypothesis import strategies

from foolscope.experiments.recipe import recipe_from
from foolscope.experiments.running import sharing
from foolscope.experiments.running.packs import Pack, PackLimits, PendingTrial, plan_packs
from foolscope.experiments.running.sharing import (
    affordable_workers,
    makespan,
    plan_for_cores,
    seconds_alone,
    seconds_side_by_side,
)

ROOMY = PackLimits(2**30)


def trials(cells, seeds, *, steps=10_000, flops=1e6, batch_size=128):
    """Trials of one shape, each of whose steps takes milliseconds."""
    return [
        PendingTrial(
            f"{batch_size}-{seed}-{cell}",
            recipe_from(
                {
                    "seed": seed,
                    "training": {"batch_size": batch_size},
                    "optimizer": {"name": "sgd", "learning_rate": 0.1 + cell},
                }
            ),
            parameter_count=1000,
            flops=flops,
            steps=steps,
        )
        for seed in range(seeds)
        for cell in range(cells)
    ]


def sizes(packs):
    return [len(pack.trials) for pack in packs]


def loads(packs, workers):
    """The trials of each worker if the longest pack goes to the first that is free."""
    ends = [0] * workers
    for size in sorted(sizes(packs), reverse=True):
        ends[ends.index(min(ends))] += size
    return ends


durations = strategies.lists(strategies.integers(1, 30), min_size=1, max_size=5)


@hypothesis.given(durations=durations, workers=strategies.integers(1, 3))
def test_the_makespan_is_within_grahams_bound_of_the_best(durations, workers):
    best = min(
        max(
            sum(own for own, worker in zip(durations, plan, strict=True) if worker == each)
            for each in range(workers)
        )
        for plan in itertools.product(range(workers), repeat=len(durations))
    )
    bound = best * (Fraction(4, 3) - Fraction(1, 3 * workers))
    assert best <= makespan(durations, workers) <= bound


@hypothesis.given(
    cells=strategies.integers(1, 6), seeds=strategies.integers(1, 7), workers=strategies.integers(1, 5)
)
def test_workers_have_the_same_number_of_trials_and_read_few_minibatches_twice(cells, seeds, workers):
    pending = trials(cells, seeds)
    packs = plan_packs(pending, ROOMY, workers=workers)
    counted = Counter(trial.identity for pack in packs for trial in pack.trials)
    assert counted == Counter(trial.identity for trial in pending)
    for pack in packs:  # whose trials share minibatches by seed
        own = Counter(trial.recipe.seed for trial in pack.trials)
        assert list(own) == sorted(own)
        assert len(set(own.values())) == 1
    readers = Counter(seed for pack in packs for seed in {trial.recipe.seed for trial in pack.trials})
    whole = seeds // workers * workers
    assert sum(count == 1 for count in readers.values()) >= whole
    left = seeds % workers
    assert max(loads(packs, workers)) <= cells * (seeds // workers) + left * math.ceil(cells / workers)


def test_five_seeds_of_four_cells_are_cut_for_two_workers():
    pending = trials(4, 5)
    assert sizes(plan_packs(pending, PackLimits(16 * 6000))) == [16, 4]
    packs = plan_for_cores(pending, PackLimits(16 * 6000), cores=2, threads=2)
    assert sizes(packs) == [8, 8, 2, 2]
    assert {pack.threads for pack in packs} == {1}


def test_a_plan_is_for_worker_processes_only_where_they_save_more_than_their_start():
    for steps, expected in ((1, [20]), (100_000, [8, 8, 2, 2])):
        packs = plan_for_cores(trials(4, 5, steps=steps), ROOMY, cores=2, threads=2)
        assert sizes(packs) == expected
        assert {pack.threads for pack in packs} == ({None} if steps == 1 else {1})


@pytest.mark.parametrize("cores", [1, 2, 3, 8])
def test_the_plan_is_the_best_of_those_compared(cores):
    for cells, seeds, steps in itertools.product((1, 3), (1, 2, 5), (10, 1000, 100_000)):
        pending = trials(cells, seeds, steps=steps)
        packs = plan_for_cores(pending, ROOMY, cores=cores, threads=cores)
        alone = seconds_alone(plan_packs(pending, ROOMY), cores)
        if packs[0].threads is None:
            assert packs == plan_packs(pending, ROOMY)
        else:
            count = min(cores, len(packs))
            assert packs[0].threads == cores // count
            side_by_side = seconds_side_by_side(packs, count, packs[0].threads)
            assert sharing.START_SECONDS + side_by_side < alone


def test_packs_that_end_at_the_same_time_are_not_cut():
    pending = [*trials(1, 4, batch_size=128), *trials(1, 4, batch_size=127)]
    packs = plan_for_cores(pending, ROOMY, cores=2, threads=2)
    assert sizes(packs) == [4, 4]
    assert {pack.threads for pack in packs} == {1}


def test_threads_count_where_steps_are_long_enough_for_them():
    short, long = trials(1, 1, flops=1.0), trials(1, 1, flops=1e9)
    for pending, gains in ((short, False), (long, True)):
        packs = plan_packs(pending, ROOMY)
        assert (seconds_alone(packs, 4) < seconds_alone(packs, 1)) == gains


def test_seeds_that_read_their_own_minibatches_take_longer():
    same = Pack(tuple(dataclasses.replace(each, input_bytes=10**6) for each in trials(4, 1)))
    own = Pack(tuple(dataclasses.replace(each, input_bytes=10**6) for each in trials(1, 4)))
    assert same.core_seconds < own.core_seconds


@pytest.mark.parametrize(
    ("data", "workers"), [(0, 4), (10, 4), (11, 3), (16, 2), (17, 1), (49, 1), (1000, 1)]
)
def test_copies_of_the_data_take_half_of_the_memory_at_most(data, workers):
    """One copy is this process's; one worker, which means this process, there always is."""
    assert affordable_workers(4, data, memory_bytes=100) == workers
    assert workers == 1 or (workers + 1) * data <= 50


def test_a_machine_that_does_not_know_its_memory(monkeypatch):
    def refuse(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(sharing.os, "sysconf", refuse)
    assert affordable_workers(4, 10**15) == 4
