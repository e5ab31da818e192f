"""The reading of images is told to who observes a verb, unless it is quick."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from torch import nn

from foolscope.data import load
from foolscope.experiments.recipe import recipe_from
from foolscope.experiments.running import run
from foolscope.experiments.running.run import StageEvent, watched
from foolscope.experiments.running.session import Session
from foolscope.verbs.ablate import ablate
from foolscope.verbs.attack import attack
from foolscope.verbs.check import check
from foolscope.verbs.inspect import inspect
from foolscope.verbs.search import search
from foolscope.verbs.study import study
from foolscope.verbs.train import train

STUDY = """
name = "pets"
title = "Pets"
question = "Which?"
seeds = 1

[recipes.softmax]
dataset = { name = "folder", path = "pets", height = 4, width = 4 }
training = { epochs = 1 }
"""


@pytest.fixture
def session(tmp_path):
    generator = np.random.default_rng(0)
    for label, index in itertools.product("ab", range(10)):
        (tmp_path / "pets" / label).mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pets" / label / f"{index}.png")
    (tmp_path / "pets.toml").write_text(STUDY)
    return Session(tmp_path / "store", tmp_path, device="cpu")


RECIPE = recipe_from(
    {
        "dataset": {"name": "folder", "path": "pets", "height": 4, "width": 4},
        "model": {"name": "softmax"},
        "training": {"epochs": 1},
    }
)


def _attack(session, tell):
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2))
    attack(linear, dataset="pets", epsilons=[0.1], attacks=["fgsm"], limit=4, session=session, observe=tell)


def _inspect(session, tell):
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2))
    inspect(linear, dataset="pets", parts=["spectrum"], limit=4, session=session, observe=tell)


VERBS = {
    "train": lambda session, tell: train(RECIPE, session=session, observe=tell),
    "train in NumPy": lambda session, tell: train(RECIPE, engine="reference", session=session, observe=tell),
    "check": lambda session, tell: check(RECIPE, steps=2, session=session, observe=tell),
    "ablate": lambda session, tell: ablate(
        RECIPE, {"learning_rate": [0.1]}, seeds=2, session=session, observe=tell
    ),
    "search": lambda session, tell: search(
        RECIPE, {"learning_rate": "0.1:1:log"}, rounds=1, session=session, observe=tell
    ),
    "study": lambda session, tell: study(session.data_dir / "pets.toml", session=session, observe=tell),
    "attack": _attack,
    "inspect": _inspect,
}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_tells_that_images_are_read(verb, session, monkeypatch):
    monkeypatch.setattr(run, "_UNTOLD_SECONDS", 0.0)
    monkeypatch.chdir(session.data_dir)
    events = []

    class ToldError(Exception):
        """Ends the verb, whose other work is tested elsewhere."""

    def tell(event):
        events.append(event)
        if event.name == "reading images" and "decoded" in event.detail:
            raise ToldError

    with pytest.raises(ToldError):
        VERBS[verb](session, tell)
    assert {event.name for event in events} <= {"reading images", "checking"}


def test_reading_is_told_by_how_many_images_are_done(session, monkeypatch):
    monkeypatch.setattr(run, "_UNTOLD_SECONDS", 0.0)
    monkeypatch.setattr(run, "_TOLD_SECONDS", 0.0)
    events = []
    watched(session, events.append).dataset(RECIPE.dataset)
    assert events[0] == StageEvent("reading images", 1.0, "20 of 20 checked")
    assert events[1:] == [
        StageEvent("reading images", done / 20, f"{done} of 20 decoded") for done in range(1, 21)
    ]


def test_quick_reading_is_no_stage(session, monkeypatch):
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: 5.0))
    events = []
    watched(session, events.append).dataset(RECIPE.dataset)
    assert events == []


def test_slow_reading_is_told_now_and_then(session, monkeypatch):
    clock = itertools.count(step=1 / 16)  # one image a step
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(run, "_UNTOLD_SECONDS", 8 / 16)
    monkeypatch.setattr(run, "_TOLD_SECONDS", 4 / 16)
    events = []
    watched(session, events.append).dataset(RECIPE.dataset)
    counts = [event.detail for event in events]
    assert counts == [f"{done} of 20 decoded" for done in (8, 12, 16, 20)]


def test_a_watched_session_shares_its_data_sets_and_the_session_itself_tells_nothing(session, monkeypatch):
    monkeypatch.setattr(run, "_UNTOLD_SECONDS", 0.0)
    events = []
    data = watched(session, events.append).dataset(RECIPE.dataset)
    assert session.dataset(RECIPE.dataset) is data
    events.clear()
    training = train(RECIPE, session=session, observe=lambda event: None)
    assert training.session is session
    session.dataset(RECIPE.dataset.model_copy(update={"height": 5}))
    assert events == []
    assert data.fingerprint == load(RECIPE.dataset, session.data_dir).fingerprint
