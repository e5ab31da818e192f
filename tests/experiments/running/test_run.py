import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.data import DigitsSettings, load
from foolscope.experiments.recipe import COMPONENTS, recipe_from, with_values
from foolscope.experiments.running import costs, sharing
from foolscope.experiments.running import run as execution
from foolscope.experiments.running.executors import choice, job, processes
from foolscope.experiments.running.run import Session, StageEvent, dataset_facts, plan_trials, run_trials
from foolscope.experiments.running.store import Store
from foolscope.learning import train_pack
from foolscope.models import MODELS, ModelEntry, ModelSettings

BASE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 150},
        "model": {"name": "mlp", "hidden": [6], "dropout": 0.2},
        "training": {"epochs": 2, "batch_size": 32},
        "precision": "float32",
    }
)


def grid(**values):
    """Every combination of the values, around the base."""
    recipes = [BASE]
    for name, choices in values.items():
        recipes = [with_values(recipe, {name: choice}) for recipe in recipes for choice in choices]
    return recipes


@pytest.fixture
def session(tmp_path):
    return Session(Store(tmp_path / "store"), device="cpu")


@pytest.fixture
def trained(monkeypatch):
    """The recipes of every call of ``train_pack``."""
    calls = []

    def watched(recipes, *arguments, **options):
        calls.append(list(recipes))
        return train_pack(recipes, *arguments, **options)

    monkeypatch.setattr(job, "train_pack", watched)
    return calls


def test_results_come_in_the_order_asked_for_and_repetitions_train_once(session, trained):
    recipes = grid(seed=[1, 0], batch_size=[32, 64], learning_rate=[0.2, 0.1])
    asked = [*recipes, recipes[3], recipes[0]]
    trials = run_trials(asked, session)
    assert [trial.recipe for trial in trials] == asked
    assert sorted(map(hash, itertools.chain(*trained))) == sorted(map(hash, recipes))
    assert sorted(map(len, trained)) == [4, 4], "two batch sizes are two packs"


def test_what_is_stored_is_not_trained_again(session, trained):
    recipes = grid(seed=[0, 1], learning_rate=[0.1, 0.2])
    first = run_trials(recipes, session)
    files = {path: path.stat().st_mtime_ns for path in session.store.root.rglob("*") if path.is_file()}
    trained.clear()
    again = run_trials(list(reversed(recipes)), Session(session.store, device="cpu"))
    assert trained == []
    assert [trial.outcome for trial in reversed(again)] == [trial.outcome for trial in first]
    assert {
        path: path.stat().st_mtime_ns for path in session.store.root.rglob("*") if path.is_file()
    } == files


def test_a_new_seed_trains_only_itself(session, trained):
    run_trials(grid(seed=[0, 1]), session)
    trained.clear()
    run_trials(grid(seed=[0, 1, 2]), session)
    assert [[recipe.seed for recipe in pack] for pack in trained] == [[2]]


def test_a_trial_is_the_same_whoever_it_is_trained_with(session, tmp_path):
    recipes = grid(seed=[0, 1], learning_rate=[0.1, 0.3])
    together = run_trials(recipes, session)
    other = Session(Store(tmp_path / "other"), device="cpu")
    for recipe, trial in zip(recipes, together, strict=True):
        (alone,) = run_trials([recipe], other)
        assert alone.identity == trial.identity
        assert alone.metric("test_loss") == pytest.approx(trial.metric("test_loss"), rel=1e-4)


def test_the_model_read_back_has_the_reported_accuracy(session):
    for trial in run_trials(grid(seed=[0, 1]), session):
        test = session.dataset(trial.recipe.dataset).test
        predictions = trial.model()(test.images.float() / 255).argmax(1)
        assert float((predictions == test.labels).double().mean()) == trial.metric("test_accuracy")


def write_pixels(path, seed):
    generator = np.random.default_rng(seed)
    np.savez(path, images=generator.integers(0, 256, (40, 5, 4), dtype=np.uint8), labels=np.arange(40) % 2)


def test_other_pixels_are_another_trial_and_another_place_is_not(session, tmp_path, trained):
    def recipe(path):
        return with_values(BASE, {"dataset": {"name": "npz", "path": str(path)}})

    for name, seed in (("one.npz", 0), ("same.npz", 0), ("other.npz", 1)):
        write_pixels(tmp_path / name, seed)
    one, same, other = run_trials(
        [recipe(tmp_path / name) for name in ("one.npz", "same.npz", "other.npz")], session
    )
    assert one.identity == same.identity != other.identity
    assert sum(map(len, trained)) == 2
    write_pixels(tmp_path / "one.npz", 2)
    (changed,) = run_trials([recipe(tmp_path / "one.npz")], Session(session.store, device="cpu"))
    assert changed.identity not in (one.identity, other.identity)


def test_progress_rises_to_one(session):
    told = []
    run_trials(grid(seed=[0, 1], batch_size=[16, 64]), session, told.append)
    fractions = [progress.done_fraction for progress in told]
    assert fractions == sorted(fractions)
    assert len(set(fractions)) == len(fractions) == 4
    assert fractions[-1] == 1.0
    assert {recipe.training.batch_size for recipe in told[0].trials} <= {16, 64}


def test_a_plan_trains_nothing_and_holds_what_the_store_lacks(session, trained):
    recipes = grid(seed=[0, 1], batch_size=[16, 64])
    run_trials(recipes[:1], session)
    trained.clear()
    files = sorted(session.store.root.rglob("*"))
    packs = plan_trials([*recipes, recipes[3]], session)
    assert sorted(session.store.root.rglob("*")) == files
    assert trained == []
    planned = [[trial.recipe for trial in pack.trials] for pack in packs]
    assert sorted(map(hash, itertools.chain(*planned))) == sorted(map(hash, recipes[1:]))
    run_trials(recipes, session)
    assert sorted(list(map(hash, pack)) for pack in trained) == sorted(list(map(hash, p)) for p in planned)
    assert plan_trials(recipes, session) == []


def test_nothing_to_do(session):
    assert run_trials([], session) == []


def test_a_model_that_does_not_fit_is_one_line_before_anything_is_trained(session, tmp_path, trained):
    np.savez(tmp_path / "thin.npz", images=np.zeros((40, 3, 30), np.uint8), labels=np.arange(40) % 2)
    thin = with_values(
        BASE, {"dataset": {"name": "npz", "path": str(tmp_path / "thin.npz")}, "model": "small-cnn"}
    )
    with pytest.raises(RecipeError, match="at least 4×4 pixels"):
        run_trials([BASE, thin], session)
    assert trained == []


def test_provenance_is_enough_to_rebuild_and_to_recognize(session):
    (trial,) = run_trials([BASE], session)
    dataset = load(DigitsSettings(limit=150))
    assert trial.provenance["dataset"] == dataset_facts(dataset)
    assert trial.provenance["dataset"]["counts"] == {"train": 150, "validation": 288, "test": 359}
    assert trial.provenance["torch"] == torch.__version__
    assert trial.provenance["precision"] == "float32"
    assert trial.provenance["pack_size"] == 1


def test_a_run_leaves_no_packs_behind_and_the_global_generator_alone(session):
    before = torch.get_rng_state()
    run_trials(grid(seed=[0, 1]), session)
    assert torch.equal(torch.get_rng_state(), before)
    assert [path for path in (session.store.root / "packs").rglob("*") if path.is_file()] == []


class KilledError(BaseException):
    pass


def test_a_pack_that_was_killed_while_its_results_were_written_is_not_trained_again(
    session, trained, monkeypatch
):
    def killed(store, results):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_complete", killed)
        with pytest.raises(KilledError):
            run_trials(grid(seed=[0, 1]), session)
    assert len(trained) == 1
    assert len(run_trials(grid(seed=[0, 1]), session)) == 2
    assert len(trained) == 1


DRIVER = """
import json, sys
from pathlib import Path
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.recipe import recipe_from
from foolscope.experiments.running.store import Store
from foolscope.learning import training

training._CHECKPOINT_SECONDS = 0.0
recipes = [recipe_from(table) for table in json.loads(sys.argv[2])]
session = Session(Store(Path(sys.argv[1])), device="cpu")
run_trials(recipes, session, lambda progress: print(progress.done_fraction, flush=True))
"""


def start(store, recipes):
    tables = json.dumps([recipe.model_dump(mode="json") for recipe in recipes])
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", DRIVER, str(store), tables]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def kill_after(process, fraction, seconds):
    for line in process.stdout:
        if float(line) >= fraction:
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
            break
    process.stdout.close()
    return process.wait()


def contents(store: Path):
    """All of the outcome but the durations, and the bytes of the other files, by trial."""
    found = {}
    for path in store.glob("trials/*/trial.json"):
        outcome = json.loads(path.read_text())["outcome"]
        assert outcome.pop("duration_seconds") > 0
        files = {each.name: each.read_bytes() for each in path.parent.glob("*.safetensors")}
        found[path.parent.name] = outcome, files
    return found


def test_a_run_that_is_killed_at_any_moment_ends_with_the_same_bits(tmp_path):
    recipes = [
        with_values(recipe, {"optimizer": optimizer, "learning_rate": rate, "epochs": 12})
        for recipe in grid(seed=[0, 1], batch_size=[16, 64])
        for optimizer, rate in (("sgd", 0.1), ("sgd", 1e30), ("adamw", 0.01))
    ]
    undisturbed = [
        start(tmp_path / "undisturbed", recipes) for _ in range(2)
    ]  # nor do they disturb each other
    moment = random.uniform(0.02, 0.7), random.uniform(0, 0.05)
    process = start(tmp_path / "killed", recipes)
    assert kill_after(process, *moment) == -signal.SIGKILL, moment
    half = list((tmp_path / "killed").glob("packs/*.safetensors")), contents(tmp_path / "killed")
    assert any(half), moment
    assert len(half[1]) < len(recipes), moment
    process = start(tmp_path / "killed", recipes)
    process.communicate()
    assert process.returncode == 0, moment
    for each in undisturbed:
        each.communicate()
        assert each.returncode == 0
    expected, found = contents(tmp_path / "undisturbed"), contents(tmp_path / "killed")
    assert len(expected) == len(recipes)
    assert {outcome["status"] for outcome, _ in expected.values()} == {"finished", "diverged"}
    assert found == expected, moment
    assert [
        path.name for path in (tmp_path / "killed" / "packs").iterdir() if path.suffix != ".partial"
    ] == []


def test_a_killed_run_of_worker_processes_goes_on_with_its_packs_to_the_same_bits(tmp_path, monkeypatch):
    """What is left would be cut in another way, and rounded in another way, if it were planned anew."""
    monkeypatch.setattr(sharing, "START_SECONDS", 0.0)
    monkeypatch.setattr(costs, "_STEP_SECONDS", 0.0)  # or steps this short would not be cut
    for module in (execution, choice, processes):
        monkeypatch.setattr(module, "available_cores", lambda: 2)
    recipes = [with_values(each, {"epochs": 12}) for each in grid(seed=[0, 1, 2], learning_rate=[0.1, 0.2])]
    undisturbed, killed = (
        Session(Store(tmp_path / name), device="cpu") for name in ("undisturbed", "killed")
    )
    packs = plan_trials(recipes, undisturbed)
    assert sorted(len(pack.trials) for pack in packs) == [1, 1, 2, 2]
    run_trials(recipes, undisturbed)

    def stop(event):
        if any(killed.store.has(killed.identify(recipe)) for recipe in recipes):
            raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(choice, "available_cores", lambda: 1)  # one after another, so that some are left
        with pytest.raises(KilledError):
            run_trials(recipes, killed, stop)
    done = {trial for pack in packs for trial in pack.trials if killed.store.has(trial.identity)}
    assert 0 < len(done) < len(recipes)
    left = [pack for pack in packs if done.isdisjoint(pack.trials)]
    assert plan_trials(recipes, killed) == left
    run_trials(recipes, killed)
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")
    assert list((tmp_path / "killed" / "packs").iterdir()) == []


def test_models_that_do_not_pack_are_named_with_the_reason(tmp_path, monkeypatch):
    class Unpackable(ModelSettings):
        name: Literal["unpackable"] = "unpackable"

    def build(settings, image_shape, classes):
        features = math.prod(image_shape)
        return nn.Sequential(nn.Flatten(), nn.Linear(features, 4), nn.Softplus(), nn.Linear(4, classes))

    monkeypatch.setitem(MODELS, "unpackable", ModelEntry(Unpackable, build))
    monkeypatch.setitem(COMPONENTS["model"], "unpackable", Unpackable)
    recipe = recipe_from(
        {
            "model": "unpackable",
            "dataset": {"name": "digits", "limit": 60},
            "training": {"epochs": 1},
            "precision": "float32",
        }
    )
    seeds = [with_values(recipe, {"seed": seed}) for seed in range(2)]
    told = []
    trials = run_trials(seeds, Session(Store(tmp_path), executor="in-process"), told.append)
    assert all(trial.status == "finished" for trial in trials)
    assert told[0] == StageEvent(
        "training", 0.0, "unpackable trains one trial after another: there is no packed form of Softplus"
    )
    told.clear()
    alone = with_values(recipe, {"seed": 7})
    run_trials([alone], Session(Store(tmp_path), executor="in-process"), told.append)
    assert not any(isinstance(event, StageEvent) for event in told), "a single trial has nothing to wait for"
