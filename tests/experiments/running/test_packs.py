import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foolscope.core.allocations import Allocations
from foolscope.experiments.recipe import COMPONENTS, Recipe, recipe_from, with_values
from foolscope.experiments.running import packs as packs_module
from foolscope.experiments.running.packs import (
    PACKED_FIELDS,
    WIDTH_FIELDS,
    Pack,
    PackLimits,
    PendingTrial,
    pack_bytes,
    pack_size,
    plan_packs,
    seeds_per_pack,
)

PARAMETERS = 1000
BYTES_PER_TRIAL = 6 * PARAMETERS


def pending(
    index,
    seed=0,
    batch_size=128,
    learning_rate=0.1,
    schedule="constant",
    parameter_count=PARAMETERS,
    model="softmax",
    flops=0.0,
    epochs=20,
):
    recipe = recipe_from(
        {
            "seed": seed,
            "model": model,
            "training": {"batch_size": batch_size, "epochs": epochs},
            "optimizer": {"name": "sgd", "learning_rate": learning_rate},
            "schedule": schedule,
        }
    )
    return PendingTrial(f"{index:04d}", recipe, parameter_count, flops)


def mlp(index, hidden, **options):
    """A trial of a perceptron on 64 pixels, with its own size."""
    activation, dropout = options.pop("activation", "relu"), options.pop("dropout", 0.0)
    model = {"name": "mlp", "hidden": hidden, "activation": activation, "dropout": dropout}
    widths = [64, *hidden, 10]
    flops = 2.0 * sum(first * second for first, second in itertools.pairwise(widths))
    return pending(index, model=model, flops=flops, **options)


def identities(packs):
    return [[trial.identity for trial in pack.trials] for pack in packs]


def plan(trials, size):
    return plan_packs(trials, PackLimits(size * BYTES_PER_TRIAL))


def shape(recipe):
    """What all trials of a pack share: everything but the packed fields and the widths."""
    table = recipe.model_dump()
    for part, fields in PACKED_FIELDS.items():
        for field in fields:
            table.get(part, {}).pop(field, None)
    for field in WIDTH_FIELDS.get(recipe.model.name, ()):
        table["model"][field] = len(table["model"][field])
    return repr({key: value for key, value in table.items() if key not in ("seed", "schedule")})


@st.composite
def pending_trials(draw):
    count = draw(st.integers(0, 40))
    return [
        mlp(
            index,
            draw(st.sampled_from([(8,), (100,), (400,), (3000,), (8, 8)])),
            seed=draw(st.integers(0, 3)),
            batch_size=draw(st.sampled_from([32, 64])),
            learning_rate=draw(st.sampled_from([0.1, 0.2])),
            schedule=draw(st.sampled_from(["constant", "cosine"])),
            epochs=draw(st.sampled_from([1, 2])),
        )
        for index in range(count)
    ]


sizes = st.integers(1, 9)


@given(pending_trials(), sizes)
def test_every_trial_once_in_packs_of_one_shape_that_fit(trials, size):
    packs = plan(trials, size)
    assert Counter(itertools.chain(*identities(packs))) == Counter(trial.identity for trial in trials)
    for pack in packs:
        assert 1 <= len(pack.trials) <= size
        assert len({shape(trial.recipe) for trial in pack.trials}) == 1


@given(pending_trials(), sizes)
def test_trials_of_one_seed_are_neighbors_and_seeds_of_a_pack_are_of_one_size(trials, size):
    """So that the minibatches are gathered once a seed."""
    for pack in plan(trials, size):
        seeds = [trial.recipe.seed for trial in pack.trials]
        assert seeds == sorted(seeds)
        assert len(set(Counter(seeds).values())) == 1


@given(pending_trials(), sizes, st.data())
def test_what_is_left_after_the_first_packs_is_planned_as_before(trials, size, data):
    """A killed sweep finds the checkpoint of the pack it was in, and the other packs are as they were."""
    packs = plan(trials, size)
    done = data.draw(st.integers(0, len(packs)))
    finished = set(itertools.chain(*identities(packs[:done])))
    left = [trial for trial in trials if trial.identity not in finished]
    assert identities(plan(left, size)) == identities(packs[done:])


@given(pending_trials(), sizes)
def test_the_plan_wastes_little(trials, size):
    """A seed on its own needs ⌈n / size⌉ packs, and no seed is spread over more than one beyond that."""
    packs = plan(trials, size)
    counts = Counter((shape(trial.recipe), trial.recipe.model.hidden, trial.recipe.seed) for trial in trials)
    assert len(packs) <= sum(-(-count // size) for count in counts.values())


def test_seeds_are_joined_while_they_fit():
    trials = [pending(10 * seed + cell, seed=seed) for seed in range(5) for cell in range(3)]
    assert [len(pack.trials) for pack in plan(trials, 7)] == [6, 6, 3]
    assert [len(pack.trials) for pack in plan(trials, 32)] == [15]
    assert [len(pack.trials) for pack in plan(trials, 2)] == [2, 1] * 5


def test_a_large_seed_is_cut_evenly():
    trials = [pending(index, learning_rate=0.1 + index) for index in range(10)]
    assert [len(pack.trials) for pack in plan(trials, 8)] == [5, 5]
    assert [len(pack.trials) for pack in plan(trials, 4)] == [4, 3, 3]


def test_schedules_and_learning_rates_share_a_pack_and_batch_sizes_do_not():
    trials = [
        pending(0),
        pending(1, schedule="cosine"),
        pending(2, learning_rate=1.0),
        pending(3, batch_size=7),
    ]
    assert sorted(identities(plan(trials, 9))) == [["0000", "0001", "0002"], ["0003"]]


def test_the_packed_fields_exist():
    """Each is a setting of some component, or of the part of the recipe that has no components."""
    for part, fields in PACKED_FIELDS.items():
        if part in COMPONENTS:
            known = {field for settings in COMPONENTS[part].values() for field in settings.model_fields}
        else:
            known = set(type(getattr(Recipe(), part)).model_fields)
        assert fields <= known


def test_every_optimizer_setting_may_differ_within_a_pack():
    for settings in COMPONENTS["optimizer"].values():
        shared = {"name", "matrices", "companion"}  # which decide what the state holds
        assert set(settings.model_fields) - shared <= PACKED_FIELDS["optimizer"]


def test_the_size_follows_the_cache():
    assert pack_size(pending(0), PackLimits(10 * 6_000)) == 10
    assert pack_size(pending(0), PackLimits(10 * 6_000 - 1)) == 9
    assert pack_size(pending(0, parameter_count=10**9), PackLimits(10**6)) == 1
    assert pack_size(pending(0, parameter_count=10), PackLimits(10**9)) == 128


def held(fixed, per_image):
    return Allocations((float(fixed),), (float(per_image),), float(per_image))


def test_on_a_gpu_everything_that_training_allocates_counts():
    trial = PendingTrial("0", Recipe(), 1000, allocations=held(4000, 500))
    images = Recipe().training.batch_size
    room = PackLimits(10 * (6 * 4 * 1000 + 4000 + 500 * images), most_trials=512, in_cache=False)
    assert pack_size(trial, room) == 10
    assert pack_size(pending(0, parameter_count=10), room) == 512


def test_main_memory_limits_a_pack_too():
    """Of ten that the cache would hold, only those whose activations fit beside their images."""
    recipe = with_values(Recipe(), {"batch_size": 64})
    trial = PendingTrial("0", recipe, PARAMETERS, input_bytes=7, allocations=held(4000, 500))
    own = 6 * 4 * PARAMETERS + 4000 + 500 * 64 + 3 * 7
    for memory, most in ((None, 10), (20 * own, 10), (4 * own, 4), (4 * own - 1, 3), (1, 1)):
        assert pack_size(trial, PackLimits(10 * BYTES_PER_TRIAL, memory=memory)) == most


def test_parts_of_a_minibatch_need_less():
    recipe = with_values(Recipe(), {"batch_size": 64, "accumulation": 3})
    trial = PendingTrial("0", recipe, 1000, allocations=held(0, 500))
    assert trial.training_bytes() == 24_000 + 500 * 22
    assert trial.training_bytes(accumulation=64) == 24_000 + 500


def test_the_seeds_of_a_pack_have_a_minibatch_each():
    trials = [
        PendingTrial(str(seed), with_values(Recipe(), {"seed": seed // 2}), 1000, input_bytes=100)
        for seed in range(4)
    ]
    assert pack_bytes(Pack(tuple(trials))) == 4 * 24_000 + 2 * 3 * 100


def test_room_on_a_gpu_is_half_of_its_free_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 5000))
    assert PackLimits.of_device(torch.device("cuda")) == PackLimits(500, most_trials=512, in_cache=False)


@pytest.mark.parametrize("answer", [0, -1, 8 * 2**20, 512 * 2**20])
def test_a_machine_that_does_not_know_its_cache(monkeypatch, answer):
    monkeypatch.setattr(packs_module.os, "sysconf", lambda name: answer)
    assert PackLimits.of_device(torch.device("cpu")) == PackLimits(
        8 * 2**20 if answer == 8 * 2**20 else 32 * 2**20
    )


def test_a_machine_without_the_question(monkeypatch):
    def refuse(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(packs_module.os, "sysconf", refuse)
    assert PackLimits.of_device(torch.device("cpu")) == PackLimits(32 * 2**20)


def test_widths_share_a_pack_where_padding_costs_little():
    trials = [mlp(index, (width,), batch_size=64) for index, width in enumerate([16, 32, 128, 64])]
    assert identities(plan(trials, 9)) == [["0000", "0001", "0003", "0002"]], "the widest last"
    wide = [mlp(index, (width,)) for index, width in enumerate([1000, 16, 2000, 32])]
    assert identities(plan(wide, 9)) == [["0002"], ["0000"], ["0001", "0003"]]
    deep = [mlp(0, (16, 16)), mlp(1, (16, 32)), mlp(2, (16,))]
    assert sorted(identities(plan(deep, 9))) == [["0000", "0001"], ["0002"]], "layers are not padded"


@pytest.mark.parametrize("options", [{"activation": "sigmoid"}, {"dropout": 0.1}])
def test_widths_are_kept_apart_where_padding_would_show(options):
    trials = [mlp(index, (width,), **options) for index, width in enumerate([16, 16, 32])]
    assert sorted(identities(plan(trials, 9))) == [["0000", "0001"], ["0002"]]


def test_the_width_fields_are_tuples_of_some_model():
    for name, fields in WIDTH_FIELDS.items():
        model = COMPONENTS["model"][name]()
        assert all(isinstance(getattr(model, field), tuple) for field in fields)


def test_a_packs_identity_is_that_of_its_trials_in_order():
    first, second = pending(0), pending(1)
    assert Pack((first, second)).identity == Pack((first, second)).identity
    assert (
        len({Pack(trials).identity for trials in [(first,), (second,), (first, second), (second, first)]})
        == 4
    )


def test_seeds_share_a_pack_while_their_minibatches_fit_the_cache():
    trial = PendingTrial("0", Recipe(), 10, input_bytes=1000)
    assert seeds_per_pack(trial, PackLimits(10 * 2000)) == 10
    assert seeds_per_pack(trial, PackLimits(10 * 2000 - 1)) == 9
    assert seeds_per_pack(PendingTrial("0", Recipe(), 10, input_bytes=10**9), PackLimits(10**6)) == 1
    recipes = [with_values(Recipe(), {"seed": seed}) for seed in range(6)]
    trials = [PendingTrial(str(recipe.seed), recipe, 10, 0.0, 1000) for recipe in recipes]
    assert [len(pack.trials) for pack in plan_packs(trials, PackLimits(4000))] == [2, 2, 2]
    assert [len(pack.trials) for pack in plan_packs(trials, PackLimits(10**6))] == [6]
