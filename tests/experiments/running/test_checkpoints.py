"""After a kill, every trial that is still wanted continues, whatever the run that wants it is composed of."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foolscope.core.errors import StoreError
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running import run as execution
from foolscope.experiments.running.checkpoints import plan_from_checkpoints, sweep_checkpoints
from foolscope.experiments.running.executors.job import train_job
from foolscope.experiments.running.packs import PackLimits, PendingTrial, plan_packs
from foolscope.experiments.running.run import EpochEvent, Session, plan_trials, run_trials
from foolscope.experiments.running.store import TRAINING_VERSION, Store
from foolscope.learning import EpochRecord, pack_checkpoints
from foolscope.learning.checkpoints import load_tensors, save_tensors
from foolscope.learning.pack_checkpoints import StoredPack

EPOCHS = 12
BASE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 150},
        "model": {"name": "mlp", "hidden": [6], "dropout": 0.2},
        "optimizer": {"name": "adamw"},
        "training": {"epochs": EPOCHS, "batch_size": 32},
        "precision": "float64",
    }
)
DAY = 24 * 3600


def ablation(*rates, seeds=(0, 1)):
    return [with_values(BASE, {"learning_rate": rate, "seed": seed}) for rate in rates for seed in seeds]


DRIVER = """
import json, sys
from foolscope.experiments.running.run import Session, run_trials
from foolscope.core.errors import StoreError
from foolscope.experiments.recipe import recipe_from
from foolscope.learning import training

training._CHECKPOINT_SECONDS = 0.0
recipes = [recipe_from(table) for table in json.loads(sys.argv[2])]
session = Session(sys.argv[1], device="cpu", executor="in-process")
run_trials(recipes, session, lambda event: print(event.report.epoch, flush=True))
"""


def kill(store, recipes, epoch):
    """Run recipes in another process until this epoch is reported, and kill it."""
    tables = json.dumps([recipe.model_dump(mode="json") for recipe in recipes])
    command = [sys.executable, "-c", DRIVER, str(store), tables]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout:
            if int(line) >= epoch:
                process.send_signal(signal.SIGKILL)
                break
        process.stdout.read()
    assert process.returncode == -signal.SIGKILL


def go_on(store, recipes, executor="in-process", workers=None):
    """Run recipes in this process; return the trials, and the epochs trained of each recipe."""
    epochs = {recipe: [] for recipe in recipes}

    def observe(event):
        if isinstance(event, EpochEvent):
            for recipe in event.trials:
                epochs[recipe].append(event.report.epoch)

    session = Session(store, device="cpu", executor=executor, workers=workers)
    return run_trials(recipes, session, observe), epochs


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The trials of all recipes here, by recipe, as they are without a kill and in other packs."""
    recipes = ablation(0.01, 0.003, 0.03, 0.02, seeds=(0, 1, 2))
    trials, _ = go_on(tmp_path_factory.mktemp("undisturbed"), recipes)
    return dict(zip(recipes, trials, strict=True))


def assert_same_to_rounding(trials, undisturbed):
    for trial in trials:
        expected = undisturbed[trial.recipe]
        assert trial.status == expected.status
        assert trial.outcome["metrics"] == pytest.approx(expected.outcome["metrics"], rel=1e-9)
        for one, other in zip(trial.outcome["history"], expected.outcome["history"], strict=True):
            told = {name: value for name, value in other.items() if value is not None}
            assert {name: one[name] for name in told} == pytest.approx(told, rel=1e-9)
        weights = expected.model().state_dict()
        for name, value in trial.model().state_dict().items():
            torch.testing.assert_close(value, weights[name], rtol=1e-6, atol=1e-7)


def test_a_killed_ablation_continues_with_one_value_changed(tmp_path, undisturbed):
    """Four of six trials have not changed and go on where they were; the other two begin."""
    before, after = ablation(0.01, 0.003, 0.03), ablation(0.01, 0.003, 0.02)
    kill(tmp_path, before, epoch=5)
    (pack,) = Store(tmp_path).checkpoints()
    assert len(pack.identities) == 6
    assert 4 <= pack.epoch < EPOCHS

    trials, epochs = go_on(tmp_path, after)
    rest, all_of_them = list(range(pack.epoch + 1, EPOCHS + 1)), list(range(1, EPOCHS + 1))
    assert epochs == {recipe: rest if recipe in before else all_of_them for recipe in after}
    assert_same_to_rounding(trials, undisturbed)

    (left,) = Store(tmp_path).checkpoints()
    session = Session(tmp_path, device="cpu")
    assert set(left.identities) == {session.identify(recipe) for recipe in before if recipe not in after}
    assert left.epoch == pack.epoch, "its other two trials are found there should they be asked for again"
    trials, epochs = go_on(tmp_path, before)
    assert epochs == {recipe: [] if recipe in after else rest for recipe in before}
    assert_same_to_rounding(trials, undisturbed)
    assert list((tmp_path / "packs").iterdir()) == []


def test_seeds_that_are_added_do_not_hold_back_the_others(tmp_path, undisturbed):
    kill(tmp_path, ablation(0.01, 0.003), epoch=4)
    (pack,) = Store(tmp_path).checkpoints()
    more = ablation(0.01, 0.003, seeds=(0, 1, 2))
    trials, epochs = go_on(tmp_path, more)
    for recipe in more:
        assert epochs[recipe] == list(range(1 if recipe.seed == 2 else pack.epoch + 1, EPOCHS + 1))
    assert_same_to_rounding(trials, undisturbed)
    assert list((tmp_path / "packs").iterdir()) == []


def test_worker_processes_and_narrower_packs_continue_too(tmp_path, undisturbed, monkeypatch):
    """With room for two trials only, the pack of four is cut."""
    kill(tmp_path, ablation(0.01, 0.003), epoch=4)
    (pack,) = Store(tmp_path).checkpoints()
    narrow = PackLimits(10**9, most_trials=2)
    monkeypatch.setattr(PackLimits, "of_device", classmethod(lambda cls, device, memory=None: narrow))
    recipes = ablation(0.01, 0.003)
    assert [len(each.trials) for each in plan_trials(recipes, Session(tmp_path, device="cpu"))] == [2, 2]
    trials, epochs = go_on(tmp_path, recipes, executor="processes", workers=2)
    assert list(epochs.values()) == [list(range(pack.epoch + 1, EPOCHS + 1))] * 4
    assert_same_to_rounding(trials, undisturbed)
    assert list((tmp_path / "packs").iterdir()) == []


@pytest.mark.parametrize("damage", ["cut short", "older layout", "older version", "later version"])
def test_what_cannot_be_used_is_trained_anew(damage, tmp_path, undisturbed):
    recipes = ablation(0.01, 0.003)
    kill(tmp_path, recipes, epoch=3)
    (path,) = Store(tmp_path).checkpoint_paths()
    tensors, document = load_tensors(path, torch.device("cpu"))
    tensors = {name: value.clone() for name, value in tensors.items()}
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "older layout":
        del document["identities"], document["version"]
        save_tensors(path, tensors, {"identity": "pack", **document})
    else:
        version = TRAINING_VERSION + (1 if damage == "later version" else -1)
        save_tensors(path, tensors, {**document, "version": version})
    trials, epochs = go_on(tmp_path, recipes)
    assert list(epochs.values()) == [list(range(1, EPOCHS + 1))] * 4
    assert_same_to_rounding(trials, undisturbed)
    assert list((tmp_path / "packs").iterdir()) == [], "the pack was the same, and had the same file"


def test_a_job_finds_its_trials_in_the_folder_of_its_checkpoint(tmp_path, undisturbed):
    """So it does wherever it runs on this machine, as a Ray task too, which gets the path and no store."""
    kill(tmp_path, ablation(0.01, 0.003), epoch=4)
    session = Session(tmp_path, device="cpu")
    (pack,) = session.store.checkpoints()
    (planned,) = plan_trials(ablation(0.003), session)
    dataset = session.dataset(BASE.dataset)
    epochs = []
    outcomes, _ = train_job(
        execution._job(planned, session),
        dataset,
        threads=1,
        checkpoint=session.store.pack_checkpoint(planned.identity).absolute(),
        report=lambda report: epochs.append(report.epoch),
    )
    assert epochs == list(range(pack.epoch + 1, EPOCHS + 1))
    for outcome, trial in zip(outcomes, planned.trials, strict=True):
        expected = undisturbed[trial.recipe].outcome["metrics"]
        assert outcome.metrics == pytest.approx(expected, rel=1e-9)


def pending(count):
    """Trials that fit into one pack, of three seeds."""
    return [
        PendingTrial(
            f"{index:04d}", with_values(BASE, {"seed": index % 3, "learning_rate": 0.1 + index}), 1000
        )
        for index in range(count)
    ]


FILES = st.lists(
    st.tuples(
        st.lists(
            st.integers(0, 13), min_size=1, max_size=12, unique=True
        ),  # trials, of which two are forgotten
        st.integers(1, 3),  # epochs done
        st.sets(st.integers(0, 13)),  # those that are over
    ),
    max_size=4,
)


def planned(trials, stored, limits):
    return plan_from_checkpoints(
        trials,
        stored,
        plan=lambda each: plan_packs(each, limits),
        fits=lambda pack: plan_packs(pack.trials, limits) == [pack],
    )


def path_of(number):
    return Path("packs") / f"{number}.safetensors"


@given(st.integers(1, 12), st.integers(1, 8), FILES)
def test_every_trial_is_planned_once_among_trials_that_are_as_far(count, size, files):
    trials, stored = pending(count), []
    for number, (members, epoch, over) in enumerate(files):
        names = tuple(f"{index:04d}" for index in members)
        statuses = tuple("stopped early" if index in over else "running" for index in members)
        stored.append(StoredPack(path_of(number), names, TRAINING_VERSION, epoch, statuses=statuses))
    limits = PackLimits(10**9, most_trials=size)
    packs = planned(trials, stored, limits)
    found = [trial.identity for pack in packs for trial in pack.trials]
    assert Counter(found) == Counter(trial.identity for trial in trials)
    for pack in packs:
        assert len(pack.trials) <= size
        furthest = {
            max(
                [each.progress(trial.identity) for each in stored if trial.identity in each.identities],
                default=0,
            )
            for trial in pack.trials
        }
        assert len(furthest - {float("inf")}) <= 1, "those that are over need no epoch"


@given(st.integers(1, 30), st.integers(1, 9), st.data())
def test_packs_in_progress_stay_as_they_are(count, size, data):
    """With the same trials and the same room, whichever of the packs were in progress, for the same bits."""
    trials, limits = pending(count), PackLimits(10**9, most_trials=size)
    packs = plan_packs(trials, limits)
    done = data.draw(st.integers(0, len(packs)))
    left = packs[done:]
    in_progress = left[: data.draw(st.integers(0, len(left)))]
    stored = [
        StoredPack(
            path_of(number),
            tuple(trial.identity for trial in pack.trials),
            TRAINING_VERSION,
            data.draw(st.integers(1, 3)),
            statuses=("running",) * len(pack.trials),
        )
        for number, pack in enumerate(in_progress)
    ]
    waiting = [trial for pack in left for trial in pack.trials]
    found = planned(waiting, stored, limits)
    assert set(found) == set(left)
    assert set(found[: len(stored)]) == set(in_progress)


def test_without_checkpoints_the_plan_is_the_plan():
    trials, limits = pending(9), PackLimits(10**9, most_trials=4)
    assert planned(trials, [], limits) == plan_packs(trials, limits)
    assert planned([], [], limits) == []


@pytest.fixture
def kept(tmp_path):
    """Write a checkpoint of trials with names of a letter; finish a trial; list those that a sweep leaves."""
    store = Store(tmp_path)

    def write(name, trials, epoch=3, version=TRAINING_VERSION, days=0.0, over=()):
        record = vars(EpochRecord(1, 0.1, 1.0, 0.0, 0.5, 1.0, 0.5))
        document = {
            "identities": list(trials),
            "version": version,
            "epoch": epoch,
            "trained": list(range(len(trials))),
            "best_epochs": [1] * len(trials),
            "statuses": ["finished" if trial in over else "running" for trial in trials],
            "seconds": 1.0,
            "histories": [[record] * epoch] * len(trials),
        }
        path = store.pack_checkpoint(name)
        tensors = {"parameters/weight": torch.arange(len(trials)).float()[:, None].expand(-1, 2)}
        save_tensors(path, tensors, document)
        os.utime(path, (time.time() - days * DAY,) * 2)
        return path

    def finish(trial):
        folder = store.trial_folder(trial)
        folder.mkdir(parents=True)
        (folder / "trial.json").write_text("{}", encoding="utf-8")

    def sweep(*wanted):
        sweep_checkpoints(store, wanted)
        trials = {each.path: "".join(each.identities) for each in store.checkpoints()}
        return sorted(trials.get(path, "damaged") for path in store.checkpoint_paths())

    return write, finish, sweep


def test_trials_are_kept_while_they_may_continue(kept):
    write, finish, sweep = kept
    path = write("one", "abc", over="b", days=5.0)
    assert sweep() == ["abc"]
    assert path.exists()
    finish("a")
    assert sweep() == ["bc"]
    finish("c")
    assert sweep() == ["b"]
    finish("b")
    assert sweep() == []


def test_trials_that_are_further_in_another_checkpoint_are_not_needed(kept):
    write, finish, sweep = kept
    write("first", "abc", epoch=3)
    write("second", "ab", epoch=5)
    assert sweep() == ["ab", "c"]
    write("third", "c", epoch=3)
    assert sweep() == ["ab", "c", "c"], "no further"
    write("third", "c", epoch=2, over="c")
    assert sweep() == ["ab", "c"]
    finish("c")
    assert sweep() == ["ab"]


def test_what_is_left_of_a_checkpoint_is_as_old_as_it_was_and_says_the_same(kept, tmp_path):
    write, finish, sweep = kept
    write("one", "abcd", over="b", days=20.0)
    finish("c")
    assert sweep() == ["abd"]
    (pack,) = Store(tmp_path).checkpoints()
    assert time.time() - pack.path.stat().st_mtime == pytest.approx(20 * DAY, abs=100)
    assert pack.statuses == ("running", "finished", "running")
    assert (pack.epoch, pack.trained, pack.seconds) == (3, (0, 1, 2), 0.75)
    tensors, _ = load_tensors(pack.path, torch.device("cpu"))
    assert tensors["parameters/weight"].tolist() == [[0.0, 0.0], [1.0, 1.0], [3.0, 3.0]]


def test_a_checkpoint_stays_where_a_smaller_one_cannot_be_written(kept, monkeypatch):
    def full(path, tensors, document):
        raise StoreError("no space")

    write, finish, sweep = kept
    write("one", "ab")
    finish("a")
    monkeypatch.setattr(pack_checkpoints, "save_tensors", full)
    assert sweep() == ["ab"]


@pytest.mark.parametrize(("days", "left"), [(29.0, ["ab", "cd", "damaged"]), (31.0, ["ab"])])
def test_what_nobody_asks_for_goes_after_thirty_days(kept, days, left):
    write, _, sweep = kept
    write("asked", "ab", days=days)
    write("other", "cd", days=days)
    damaged = write("damaged", "ef")
    damaged.write_bytes(damaged.read_bytes()[:-1])
    os.utime(damaged, (time.time() - days * DAY,) * 2)
    assert sweep("b", "z") == left


def test_other_versions(kept):
    """An older one is of no use; a later one belongs to a later foolscope, which may share the store."""
    write, _, sweep = kept
    write("older", "ab", version=TRAINING_VERSION - 1)
    write("later", "cd", version=TRAINING_VERSION + 1)
    write("later and old", "ef", version=TRAINING_VERSION + 1, days=31.0)
    write("own", "cd", epoch=1)
    assert sweep("c", "d") == ["cd", "cd"]
