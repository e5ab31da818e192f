import dataclasses

import pytest

from foolscope.core import threads
from foolscope.core.errors import RecipeError
from foolscope.experiments.running.executors import EXECUTORS, choice
from foolscope.experiments.running.executors.choice import choose_executor
from foolscope.experiments.running.packs import Pack, PendingTrial
from foolscope.experiments.running.run import run_trials


@pytest.fixture
def pack(recipes):
    """A pack that was planned to train alone."""
    return Pack((PendingTrial("i", recipes[0], 10),))


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch):
    monkeypatch.setattr(choice, "available_cores", lambda: 4)
    monkeypatch.setattr(threads, "available_cores", lambda: 4)


def test_processes_are_chosen_where_packs_were_planned_for_them(pack, session):
    beside = dataclasses.replace(pack, threads=1)
    for packs, workers, expected in (
        ([], None, "in-process"),
        ([pack] * 4, None, "in-process"),
        ([beside], None, "in-process"),
        ([beside] * 2, None, "processes"),
        ([beside] * 2, 2, "processes"),
        ([beside] * 2, 1, "in-process"),
        ([pack, beside], None, "processes"),
    ):
        assert choose_executor(packs, session("auto", workers), tuple(EXECUTORS)) == expected, packs


@pytest.mark.parametrize("name", EXECUTORS)
def test_what_the_person_says_holds(pack, session, name):
    assert choose_executor([pack], session(name, 1), tuple(EXECUTORS)) == name


def test_a_choice_that_makes_no_sense_is_refused_before_anything_runs(recipes, session):
    with pytest.raises(RecipeError, match=r"unknown executor 'proceses'\. Did you mean 'processes'"):
        run_trials(recipes, session("proceses"))
    with pytest.raises(RecipeError, match="in-process has 1 worker; got 2"):
        run_trials(recipes, session("in-process", 2))
    with pytest.raises(RecipeError, match="workers must be at least 1; got 0"):
        session("processes", 0)
