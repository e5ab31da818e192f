"""The ways that benchmarks/memory.py compares do the same work, and every one is measured alone."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import memory

SMALL = memory.Case(side=8, train=12, test=5, batch=4, trials=2)


def test_the_plain_loop_has_the_same_network_minibatches_and_data():
    """Images seen by the plain loop: every training image once, then all splits in evaluation, per model."""
    seen = []
    models = memory._models(SMALL)
    assert sum(value.numel() for value in models[0].parameters()) == 78_042

    def note(module, inputs):
        seen.append((len(inputs[0]), module.training))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "_models", lambda case: models)
        for model in models:
            model.register_forward_pre_hook(note)
        memory.plain_training(SMALL, SMALL.dataset())
    assert seen == 2 * [(4, True), (4, True), (4, True), (12, False), (5, False)]


def test_ours_trains_every_trial_on_it():
    recipes = SMALL.recipes()
    assert [recipe.seed for recipe in recipes] == [0, 1]
    outcomes = memory.train_pack(recipes, SMALL.dataset())
    assert [outcome.steps for outcome in outcomes] == [3, 3]
    assert len(outcomes[0].history) == 1
    memory.our_step(SMALL, SMALL.dataset())


def test_a_way_in_a_process_of_its_own_adds_memory_and_the_ratios_are_of_bytes():
    case = memory.Case(side=64, train=8, test=8, batch=8)
    assert memory.added_bytes(case, "plain step") >= 0
    found = dict(zip(memory.WAYS, (10, 12, 20, 16), strict=True))
    assert memory.ratios(found) == {
        "against our step": 1.2,
        "against plain": 0.75,
        "step against plain step": 0.5,
    }


def test_the_cases_are_those_of_the_goal():
    assert [(case.side, case.test, case.trials) for case in memory.CASES.values()] == [
        (128, 500, 1),
        (32, 2000, 4),
        (224, 128, 1),
    ]
    assert torch.equal(SMALL.dataset().train.images, SMALL.dataset().train.images)
