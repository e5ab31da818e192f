import dataclasses

import pytest

from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running import explanation
from foolscope.experiments.running.explanation import explain_pack
from foolscope.experiments.running.packs import Pack, PackLimits, PendingTrial


def pack(*changes, **size):
    base = recipe_from({"model": {"name": "mlp", "hidden": [8]}, "training": {"batch_size": 32}})
    size = {"parameter_count": 1000, "flops": 2000.0, **size}
    return Pack(
        tuple(PendingTrial(str(index), with_values(base, own), **size) for index, own in enumerate(changes))
    )


def explain(pack, room=None):
    return explain_pack(pack, room or PackLimits(6_000 * 6), (1, 8, 8), 10)


def test_what_a_pack_shares_and_in_what_it_differs():
    words = explain(pack({"learning_rate": 0.5}, {"learning_rate": 0.01, "seed": 1}, {"hidden": (9,)}))
    assert (words.trials, words.seeds, words.common) == (3, 2, "mlp on digits, batch size 32")
    assert words.differences == ("hidden width 8, 9", "learning rate 0.01, 0.1, 0.5")
    assert words.step_flops == 3 * (3 * 2000 * 32)
    assert words.sequential_reason is None


def test_a_component_is_a_difference_too():
    words = explain(pack({}, {"schedule": {"name": "exponential", "decay": 0.5}}))
    assert words.differences == ("learning-rate schedule constant, exponential",)


def test_many_values_are_cut_short():
    words = explain(pack(*({"l2": value / 10} for value in range(9))))
    assert words.differences == ("L2 coefficient 0, 0.1, …, 0.8",)


@pytest.mark.parametrize(
    ("room", "input_bytes", "expected"),
    [
        (PackLimits(6 * 6_000), 0, "room for 6 trials of this size in 0 MB of cache"),
        (PackLimits(6_000), 0, "room for 1 trial of this size in 0 MB of cache"),
        (PackLimits(2**30), 0, "room for 128 trials, beyond which a pack gains nothing"),
        (PackLimits(2**30), 2**29, "room for 1 minibatch of this size in 1024 MB of cache"),
        (PackLimits(2**30, 512, in_cache=False), 0, "room for 512 trials, beyond which a pack gains nothing"),
        (
            PackLimits(2**24, 10**6, in_cache=False),
            0,
            "room for 699 trials of this size in 16 MB of free memory",
        ),
        (
            PackLimits(6 * 6_000, memory=3 * 24_000),
            0,
            "room for 3 trials of this size in 0 MB of memory",
        ),
    ],
)
def test_the_room(room, input_bytes, expected):
    assert explain(pack({}, input_bytes=input_bytes), room).limit == expected


def test_a_pack_that_was_planned_to_train_beside_others_says_so():
    beside = dataclasses.replace(pack({}), threads=1)
    assert explain(beside).limit == (
        "cut so that packs train side by side in worker processes, each on 1 thread"
    )


def test_why_a_model_trains_one_trial_after_another(monkeypatch):
    monkeypatch.setattr(explanation, "solo_reason", lambda model: f"of {type(model).__name__}")
    assert explain(pack({})).sequential_reason == "of Sequential"
