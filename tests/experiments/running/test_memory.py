import pytest
import torch

from foolscope.core.allocations import Allocations, allocations
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running import memory
from foolscope.experiments.running.memory import memory_line, pack_limits
from foolscope.experiments.running.packs import Pack, PendingTrial, pack_bytes
from foolscope.experiments.running.run import StageEvent, plan_trials, run_trials
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import Store
from foolscope.learning.packs.packed_layers import Context
from foolscope.learning.preparation import prepare
from foolscope.learning.training import train_step

GB = 10**9
SMALL = {"dataset": {"name": "digits", "limit": 60}, "model": "mlp", "precision": "float32"}


@pytest.fixture
def session(tmp_path):
    return Session(Store(tmp_path / "store"), device="cpu", executor="in-process")


def pack(trials=1, gigabytes=1.0, **values):
    """Trials whose activations for a whole minibatch take so many GB."""
    recipe = with_values(recipe_from(SMALL), {"batch_size": 64, **values})
    held = Allocations((0.0,), (gigabytes * GB / 64,), 0.0)
    own = [PendingTrial(str(index), recipe, 0, allocations=held) for index in range(trials)]
    return Pack(tuple(own))


def test_nothing_is_said_where_there_is_enough(session):
    assert memory_line([pack(gigabytes=6.9)], session, 1, available=10 * GB) is None
    assert memory_line([], session, 1, available=0) is None


def test_a_large_pack_is_told_with_what_to_change(session):
    packs = [pack(), pack(trials=4, gigabytes=3.0)]
    assert memory_line(packs, session, 1, available=10 * GB) == (
        "training needs about 12.0 GB of memory at a time (4 trials of mlp with batch_size = 64), and "
        "10.0 GB are free; to use less, set accumulation = 2 or lower batch_size from 64"
    )
    line = memory_line([pack(gigabytes=33.0, accumulation=3)], session, 1, available=4 * GB)
    assert "about 11.3 GB of memory at a time (1 trial of mlp" in line
    assert "set accumulation = 24 or" in line


def test_workers_need_memory_at_the_same_time(session):
    packs = [pack(gigabytes=3.0) for _ in range(3)]
    assert memory_line(packs, session, 1, available=6 * GB) is None
    line = memory_line(packs, session, 2, available=6 * GB)
    assert "about 6.7 GB" in line
    assert "1 trial of mlp with batch_size = 64 in each of 2 workers" in line
    assert line.endswith("or train with fewer --workers than 2")


def test_a_minibatch_of_one_image_cannot_be_smaller(session):
    line = memory_line([pack(gigabytes=640.0, batch_size=1)], session, 1, available=GB)
    assert line.endswith("to use less, take a smaller model")


def test_packs_get_half_of_the_memory_and_workers_share_it(session, monkeypatch):
    monkeypatch.setattr(memory, "memory_limit", lambda: 1200)
    assert pack_limits(session).memory == 600
    session.executor, session.workers = "auto", 3
    assert pack_limits(session).memory == 200
    monkeypatch.setattr(memory, "memory_limit", lambda: None)
    assert pack_limits(session).memory is None


def test_the_plan_makes_packs_narrower_where_memory_is_short(session, monkeypatch):
    recipes = [recipe_from({**SMALL, "seed": seed}) for seed in range(6)]
    (whole,) = plan_trials(recipes, session)
    own = pack_bytes(whole) / 6
    assert own > 4 * 6 * whole.trials[0].parameter_count
    monkeypatch.setattr(memory, "memory_limit", lambda: int(2 * 2.5 * own))
    assert [len(pack.trials) for pack in plan_trials(recipes, session)] == [2, 2, 2]


def test_the_run_says_it_before_anything_trains(session, monkeypatch):
    seen = []
    monkeypatch.setattr(memory, "available_memory", lambda: 10)
    run_trials([recipe_from({**SMALL, "training": {"epochs": 1}})], session, seen.append)
    assert isinstance(seen[0], StageEvent)
    assert seen[0].name == "training"
    assert seen[0].stays
    assert seen[0].detail.startswith("training needs about 0.0 GB of memory at a time (1 trial of mlp")
    seen.clear()
    run_trials([recipe_from({**SMALL, "training": {"epochs": 1}})], session, seen.append)
    assert not seen, "nothing is left to train"


@pytest.mark.parametrize("name", ["small-cnn", "resnet", "mlp"])
def test_the_estimate_is_what_a_step_of_the_training_loop_holds(name, session):
    """Live storages of a real step of a pack of three, added up; the state is there before it."""
    recipes = [
        recipe_from({**SMALL, "model": name, "training": {"batch_size": 16}, "seed": seed})
        for seed in range(3)
    ]
    (own,) = plan_trials(recipes, session)
    setup, state = prepare(recipes, session.dataset(recipes[0].dataset))
    context = Context(True, torch.float32, tuple(torch.Generator() for _ in range(3)))
    batch = torch.arange(16).expand(3, -1)

    def step(count):
        train_step(setup, state, batch[:, : 4 * count], torch.full((3,), 0.1), context)

    found = allocations(step).peak(4)
    estimated = pack_bytes(own) - sum(4 * 6 * trial.parameter_count for trial in own.trials)
    assert found / 1.15 < estimated < 2 * found
