import dataclasses
import itertools
import math
from fractions import Fraction

import hypothesis
import pytest
import torch
from hypothesis import strategies

from foolscope.core import threads
from foolscope.core.errors import RecipeError
from foolscope.core.threads import thread_count
from foolscope.experiments.running.executors import EXECUTORS, choice, processes
from foolscope.experiments.running.executors.choice import choose_executor, makespan, seconds_saved
from foolscope.experiments.running.executors.job import PackJob
from foolscope.experiments.running.run import run_trials


@pytest.fixture
def job(recipes):
    """A job of a second on one core, whose steps are too short for threads."""
    return PackJob("p", ("i",), (recipes[0],), "float32", "f", step_flops=1.0, work=choice._CORE_FLOPS)


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch):
    monkeypatch.setattr(processes, "available_cores", lambda: 4)
    monkeypatch.setattr(threads, "available_cores", lambda: 4)


def longer(job, seconds):
    return dataclasses.replace(job, work=seconds * job.work)


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


@pytest.mark.parametrize(("jobs", "workers"), [(1, None), (2, None), (5, None), (8, 2), (3, 12)])
def test_jobs_of_a_second_each_save_the_rounds_that_are_left_out(job, jobs, workers):
    rounds = math.ceil(jobs / (workers or 4))
    assert seconds_saved([job] * jobs, workers) == pytest.approx(jobs - rounds)


def test_threads_of_this_process_count_where_steps_are_long(job):
    long = dataclasses.replace(job, step_flops=1e12)
    with thread_count(4):
        alone = 1 / (1 + 3 * choice._FURTHER_THREAD)
        assert seconds_saved([long] * 4, None) == pytest.approx(4 * alone - 1)
        assert seconds_saved([long] * 2, None) == pytest.approx(2 * alone - 1 / (1 + choice._FURTHER_THREAD))


def test_processes_are_chosen_where_they_save_more_than_they_cost(job, session):
    enough = choice._WORTHWHILE_SECONDS + 1
    for jobs, workers, expected in (
        ([], None, "in-process"),
        ([job] * 4, None, "in-process"),
        ([longer(job, 1000)], None, "in-process"),
        ([longer(job, enough)] * 2, None, "processes"),
        ([longer(job, enough)] * 2, 1, "in-process"),
        ([longer(job, 1000), job], None, "in-process"),
    ):
        assert choose_executor(jobs, session("auto", workers), tuple(EXECUTORS)) == expected, (
            jobs,
            workers,
        )
    on_gpu = session("auto", None)
    on_gpu.device = torch.device("cuda")
    assert choose_executor([longer(job, enough)] * 2, on_gpu, tuple(EXECUTORS)) == "in-process"


@pytest.mark.parametrize("name", EXECUTORS)
def test_what_the_person_says_holds(job, session, name):
    assert choose_executor([job], session(name, 1), tuple(EXECUTORS)) == name


def test_a_choice_that_makes_no_sense_is_refused_before_anything_runs(recipes, session):
    with pytest.raises(RecipeError, match=r"unknown executor 'proceses'\. Did you mean 'processes'"):
        run_trials(recipes, session("proceses"))
    with pytest.raises(RecipeError, match="in-process has 1 worker; got 2"):
        run_trials(recipes, session("in-process", 2))
    with pytest.raises(RecipeError, match="workers must be at least 1; got 0"):
        session("processes", 0)
