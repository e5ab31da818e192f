"""The referee of benchmarks/attack.py counts and judges right; a run is reported, also without peers."""

import argparse
import json
import sys
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import attack
from attack_ways import full, pgd, tables
from attack_ways.case import WORKS, Case, cases_of
from attack_ways.referee import (
    Counted,
    Passes,
    Result,
    Way,
    absence,
    in_batches,
    judge,
    measure,
    tried_batch_sizes,
    version,
)

from foolscope.attacks import PGD, robust_accuracy_curve
from foolscope.experiments.recipe import with_values
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import Store
from foolscope.threats import Threat


@pytest.fixture(scope="module")
def digits():
    """The networks of the quick run, after a few epochs on a part of the digits."""
    few = {"epochs": 4, "limit": 250, "hidden": [32]}
    work = WORKS["digits"]
    return replace(
        work,
        undefended=with_values(work.undefended, few),
        defended=with_values(work.defended, {**few, "attack_steps": 2}),
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def cases(digits, store):
    return list(cases_of("digits", digits, Session(Store(store), device="cpu"), 40))


@pytest.fixture
def linear():
    """Class 1 where the first pixel is brighter than the second."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    model[1].weight.data.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    images = torch.tensor([[0.6, 0.4], [0.6, 0.4], [0.4, 0.6], [0.95, 0.9]]).view(4, 1, 1, 2)
    return Case("linear", False, model.requires_grad_(False), images, torch.ones(4).long(), "linf", 0.11)


def nothing(model, case, batch_size, seed):
    return case.images


def test_the_two_networks_differ_in_their_training_alone(cases, digits):
    undefended, defended = cases
    assert [case.defended for case in cases] == [False, True]
    assert digits.defended.defense.name == "pgd"
    assert digits.undefended.model_copy(update={"defense": digits.defended.defense}) == digits.defended
    assert torch.equal(undefended.images, defended.images)
    assert not torch.equal(undefended.model(undefended.images), defended.model(defended.images))
    assert not any(each.requires_grad for case in cases for each in case.model.parameters())


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_the_networks_are_those_of_a_study(name):
    work = WORKS[name]
    assert work.undefended.defense.name == "none"
    assert work.defended.defense.name == "pgd"
    threat = Threat(work.norm, work.epsilon)
    assert threat.epsilon == pytest.approx(work.defended.defense.epsilon)


def test_passes_are_counted_as_our_runner_counts_them(cases):
    for case in cases:
        place = case.model, case.images, case.labels, case.norm, [case.epsilon]
        curve = robust_accuracy_curve(*place, [PGD(steps=40)], seed=3)
        counted = measure(pgd.ways()[0], case, 0, seed=3)
        assert (counted.passes.forwards, counted.passes.backwards) == (
            curve.forward_count,
            curve.backward_count,
        )
        assert torch.equal(counted.robust, curve.smallest_found > case.epsilon)
        assert 0 < counted.robust.sum() < len(case.labels)


def test_passes_through_copies_count_and_those_without_gradient_only_forwards():
    model = Counted(nn.Flatten())
    deepcopy(model)(torch.rand(3, 1, 2, 2))
    images = torch.rand(5, 1, 2, 2, requires_grad=True)
    logits = model(images)
    torch.autograd.grad(logits.sum(), images, retain_graph=True)
    torch.autograd.grad(logits[:2].sum(), images)
    assert model.passes == Passes(forwards=8, backwards=10)
    assert model.passes.total == 18


def test_only_allowed_images_fool(linear):
    fooling = linear.images + torch.tensor([-0.1, 0.1]).view(1, 1, 1, 2)
    fooling[1, 0, 0] = torch.tensor([0.4, 0.6])  # twice as far as allowed
    fooling[2] = linear.images[2].flip(-1)  # wrong when clean, right and too far when attacked
    fooling[3, 0, 0] = torch.tensor([0.95, 1.005])  # within the budget, but no pixel
    robust, outside = judge(linear, fooling)
    assert robust.tolist() == [False, True, False, True]
    assert outside == 3
    robust, outside = judge(replace(linear, norm="l2"), fooling)  # the first moved by 0.14
    assert (robust.tolist(), outside) == ([True, True, False, True], 4)


def test_a_way_that_does_nothing_leaves_the_clean_accuracy(linear):
    result = measure(Way("nothing", nothing), linear, 7, seed=0)
    assert (result.robust_accuracy, result.outside, result.passes) == (0.75, 0, Passes())


def test_ways_that_share_generators_repeat_themselves_and_leave_them_as_they_were(linear):
    drawn = []

    def draws(model, case, batch_size, seed):
        drawn.append((torch.rand(1).item(), np.random.rand()))  # noqa: NPY002
        return case.images

    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    for seed in (0, 0, 1):
        measure(Way("draws", draws), linear, 1, seed)
    assert drawn[0] == drawn[1]
    assert drawn[1][0] != drawn[2][0]
    assert drawn[1][1] != drawn[2][1]
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_the_faster_batch_size_is_taken(linear):
    def slow_in_small_batches(model, case, batch_size, seed):
        time.sleep(0.2 / batch_size)
        return case.images

    assert tried_batch_sizes(Way("slow", slow_in_small_batches, batch_sizes=(1, 100, 2)), linear, 0) == 100


def test_batches_are_put_together_in_order(linear):
    sizes = []

    def doubled(images, labels):
        sizes.append(len(images))
        return images * labels.view(-1, 1, 1, 1) * 2

    assert torch.equal(in_batches(doubled, linear, 3), linear.images * 2)
    assert sizes == [3, 1]


@pytest.mark.parametrize("module", ["no_such_peer", "no_such_peer.inside", "json.no_such_module"])
def test_a_peer_that_is_absent_is_named_with_the_way_to_get_it(module):
    assert absence(Way("other", nothing, module, hint="go and get it")) == "not present: go and get it"


def test_what_is_there_is_not_absent():
    assert absence(Way("ours", nothing)) is None
    assert absence(Way("other", nothing, "json.decoder")) is None
    assert version(Way("other", nothing, "torch", "torch")) == torch.__version__


def test_a_checkout_of_autoattack_comes_first_in_the_path(monkeypatch, tmp_path):
    (way,) = (way for way in full.ways() if way.row == full.AUTOATTACK)
    (tmp_path / "autoattack").mkdir()
    (tmp_path / "autoattack" / "__init__.py").touch()
    (tmp_path / "autoattack" / "state.py").touch()
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv(full.VARIABLE, str(tmp_path))
    full.find_autoattack()
    try:
        assert sys.path[0] == str(tmp_path)
        assert absence(way) is None
    finally:
        sys.modules.pop("autoattack", None)


def test_the_fourth_of_eight_budgets_is_the_budget():
    assert full.eight_budgets(0.1) == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2])


def test_the_whole_evaluation_at_one_budget_and_at_several(cases, monkeypatch):
    few = replace(cases[0], images=cases[0].images[:3], labels=cases[0].labels[:3], epsilon=0.5)
    alone = measure(full.ways()[0], few, 0, seed=0)
    assert (alone.robust_accuracy, alone.outside) == (0.0, 0)  # all fall at once: nothing long is tried
    monkeypatch.setattr(full, "eight_budgets", lambda epsilon: [epsilon, 1.5 * epsilon])
    one, several = attack.measure_budgets(few, rounds=1, seed=0)
    assert (one.budgets, one.robust_accuracies, one.passes) == (1, (0.0,), alone.passes.total)
    assert several.robust_accuracies == (0.0, 0.0)
    assert several.seconds > 0


def result(way, seconds, robust, passes):
    return Result(way, way.batch_sizes[0], torch.tensor(robust, dtype=torch.bool), 0, passes, seconds)


def test_goals_are_medians_over_ours(linear):
    ours, _, torchattacks, _ = pgd.ways()
    results = [
        result(ours, [3.0, 1.0, 1.0], [1, 1, 0, 0], Passes(10, 10)),
        result(torchattacks, [4.0, 9.0, 4.9], [1, 0, 1, 0], Passes(80, 80)),
    ]
    (goal,) = tables.goals_of(linear, results)
    assert (goal.reached, goal.goal, goal.met) == (4.9, 5.0, False)
    (goal,) = tables.goals_of(replace(linear, defended=True), results)
    assert (goal.goal, goal.met) == (1.0, True)
    text = tables.report(linear, results, {full.ways()[1]: "not present: here is how"})
    assert "linear: 4 images, 3 rounds" in text
    assert text.splitlines()[3].split() == [
        *("torchattacks", "PGD-40", "64", "4.90", "4.9", "80", "80", "8.0", "50.00%", "1", "1")
    ]
    assert "AutoAttack standard           not present: here is how" in text
    assert "at least 5: 4.9, not met" in text


def test_goals_against_autoattack(linear):
    ours, theirs, torchattacks, _ = full.ways()
    results = [
        result(ours, [1.0], [1] * 500 + [0] * 500, Passes(100, 100)),
        result(theirs, [24.0], [1] * 499 + [0] * 501, Passes(1500, 500)),
        result(torchattacks, [9.0], [1] * 600 + [0] * 400, Passes(1, 1)),
    ]
    defended = tables.goals_of(replace(linear, defended=True), results)
    assert [(goal.reached, goal.met) for goal in defended] == [
        (24.0, True),
        (10.0, True),
        (pytest.approx(0.1), True),
    ]
    assert [goal.met for goal in tables.goals_of(linear, results)] == [False, False, True]
    text = tables.report(linear, results, {})
    assert "1000 images" not in text  # of the case, not of these results
    assert "10 steps of APGD and FAB, not 100" in text
    worse = [replace(results[0], robust=results[0].robust | (torch.arange(1000) == 500)), results[1]]
    assert not tables.goals_of(linear, worse)[-1].met
    one, eight = tables.Price(1, 2.0, 100, (0.5,)), tables.Price(8, 3.0, 201, (0.5,) * 8)
    assert [goal.met for goal in tables.budget_goals(one, eight)] == [True, False]
    assert "8 budgets" in tables.budget_report(linear, one, eight)


def test_a_run_is_printed_and_written(digits, store, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(WORKS, "digits", digits)
    absent = [replace(way, module=way.module and "no_such_peer") for way in pgd.ways()]
    monkeypatch.setitem(attack._PARTS, "pgd", lambda: absent)
    path = tmp_path / "attack.json"
    arguments = argparse.Namespace(
        **{"part": "pgd", "work": "digits", "without": ["Foolbox"], "images": 30, "rounds": 2},
        **{"full_rounds": 1, "threads": 1, "seed": 0, "store": store, "json": path},
    )
    attack._run(arguments)
    printed = capsys.readouterr().out
    assert "pgd: digits, undefended, linf 0.15: 30 images, 2 rounds" in printed
    assert "Foolbox" not in printed
    assert "ART PGD-40                    not present: pip install" in printed
    written = json.loads(path.read_text())
    assert [case["case"] for case in written["pgd"]] == [
        "digits, undefended, linf 0.15",
        "digits, defended, linf 0.15",
    ]
    assert [len(way["seconds"]) for case in written["pgd"] for way in case["ways"]] == [2, 2]
    assert {"processor", "torch", "load_before"} <= written["machine"].keys()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("way", pgd.ways()[1:], ids=lambda way: way.row)
def test_the_peers_walk_as_far_as_we_do(cases, way, norm):
    if (reason := absence(way)) is not None:
        pytest.skip(reason)
    case = replace(cases[1], norm=norm, epsilon={"linf": 0.15, "l2": 0.8}[norm])
    theirs, ours = measure(way, case, 25, seed=0), measure(pgd.ways()[0], case, 0, seed=0)
    assert theirs.outside == 0
    assert theirs.passes.backwards == 40 * len(case.labels)
    assert abs(theirs.robust_accuracy - ours.robust_accuracy) <= 0.1
    assert theirs.robust_accuracy < 0.9 * measure(Way("nothing", nothing), case, 1, 0).robust_accuracy
