"""The ways that benchmarks/ablation.py times all train, and they train the same thing."""

import itertools
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import ablation
from ablation_ways import arrangements, command, graphs, notebook, packs, roofline, tables, tuned, tuner
from ablation_ways.side_by_side import SideBySide
from ablation_ways.tuned import Tuning
from ablation_ways.way import CORES, Way
from ablation_ways.whole_loop import LoopOrder, test_accuracy
from ablation_ways.work import WORKS, dataset_of, pixel_statistics, trials_of

from foolscope.data.npz import NpzSettings
from foolscope.experiments.recipe import with_values
from foolscope.learning import train_pack

STEPS = 12


def losses(training, steps=STEPS):
    return torch.stack([torch.as_tensor(next(training), dtype=torch.float64) for _ in range(steps)])


@pytest.fixture(scope="module")
def perceptron():
    """A network for digits whose learning rate falls by a fifth after every epoch of seven steps."""
    work = WORKS["digits-32"]
    values = {"schedule": "exponential", "decay": 0.8, "limit": 450}
    return replace(work, base=with_values(work.base, values), patience=1.0)


@pytest.fixture(scope="module")
def small_cnn(tmp_path_factory):
    """C2 on a few noisy color patterns."""
    generator = np.random.default_rng(0)
    labels = np.arange(160) % 10
    patterns = generator.uniform(40, 215, (10, 3, 32, 32))
    images = (patterns[labels] + generator.normal(0, 20, (160, 3, 32, 32))).clip(0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "patterns.npz"
    np.savez(path, images=images, labels=labels)
    work = WORKS["c2"]
    base = work.base.model_copy(update={"dataset": NpzSettings(path=str(path))})
    strong = partial(strong_penalties, work.cells)
    return replace(
        work, base=with_values(base, {"batch_size": 16, "learning_rate": 0.05}), cells=strong, patience=1.0
    )


def strong_penalties(cells, count):
    """Penalties strong enough for a few steps to show them."""
    return [{name: 100 * value for name, value in cell.items()} for cell in cells(count)]


@pytest.fixture(params=["perceptron", "small_cnn"])
def work(request):
    return request.getfixturevalue(request.param)


def test_every_way_trains_the_same_trials_in_float32(work):
    recipes = trials_of(work, max(work.kinds, 2), first_seed=1)
    side_by_side = losses(packs.train(work, recipes)).T
    assert not torch.allclose(side_by_side[0], side_by_side[1], rtol=1e-3), "the cells differ"
    for recipe, of_pack in zip(recipes, side_by_side, strict=True):
        in_notebook = losses(notebook.train(work, recipe))
        torch.testing.assert_close(of_pack, in_notebook, rtol=1e-4, atol=1e-5)
        for tuning in tuned.tunings(work):
            if tuning.precision == "float32":
                in_loop = losses(tuned.train(work, recipe, tuning))
                torch.testing.assert_close(in_loop, in_notebook, rtol=1e-4, atol=1e-5, msg=str(tuning))


def test_the_trials_learn(work):
    for recipe in trials_of(work, max(work.kinds, 2), first_seed=1):
        falling = losses(tuned.train(work, recipe, Tuning()), 60)
        assert falling[-5:].mean() < 0.9 * falling[:5].mean(), recipe


def test_every_bfloat16_way_stays_near(work):
    (recipe,) = trials_of(work, 1)
    exact = losses(tuned.train(work, recipe, Tuning()))
    for tuning in tuned.tunings(work):
        if tuning.precision == "bfloat16":
            rounded = losses(tuned.train(work, recipe, tuning))
            torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.02, msg=str(tuning))
            assert not torch.equal(rounded, exact), f"{tuning} rounds nothing"
    packed = losses(packs.train(work, [with_values(recipe, {"precision": "bfloat16"})]))[:, 0]
    torch.testing.assert_close(packed, exact, rtol=0.05, atol=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_too(work):
    recipe = trials_of(work, 2)[1]
    expected = losses(tuned.train(work, recipe, Tuning()))
    for way, training in (
        ("eager", tuned.train(work, recipe, Tuning(device="cuda"))),
        ("graph", graphs.train_captured(work, recipe, Tuning(device="cuda"))),
        ("pack", packs.train(work, [recipe], "cuda")),
    ):
        torch.testing.assert_close(losses(training).cpu().view(-1), expected, rtol=1e-3, atol=1e-4, msg=way)


def test_a_pack_of_seeds_gives_each_its_own_minibatches(perceptron):
    together = losses(packs.train(perceptron, trials_of(perceptron, cells=2, seeds=2))).T
    for recipe, own in zip(trials_of(perceptron, cells=2, seeds=2), together, strict=True):
        torch.testing.assert_close(own, losses(notebook.train(perceptron, recipe)), rtol=1e-4, atol=1e-5)


def test_the_notebook_transforms_as_torchvision_does(work):
    split = dataset_of(work.base.dataset).train
    mean, deviation = pixel_statistics(work.base.dataset)
    image, label = notebook.TransformedImages(split, mean.tolist(), deviation.tolist())[3]
    assert label == split.labels[3]
    by_hand = (split.images[3].double() / 255 - mean[:, None, None]) / deviation[:, None, None]
    torch.testing.assert_close(image.double(), by_hand, rtol=1e-5, atol=1e-5)


def test_optuna_trains_every_trial_for_the_steps_it_is_given(perceptron):
    search = tuner.search(perceptron, Tuning(), steps=STEPS, seed=0)
    first, second = next(search), next(search)
    assert first != second, "two suggestions are two learning rates"
    assert max(first, second) < np.log(10)


def test_train_pack_runs_on_a_part_of_the_data_with_its_splits_in_proportion(small_cnn):
    dataset, epochs = packs.short_training(small_cnn, steps=3)
    whole = dataset_of(small_cnn.base.dataset)
    assert (len(dataset.train), epochs) == (48, 1)
    for split in ("validation", "test"):
        share = len(dataset.split(split)) / len(whole.split(split))
        assert share == pytest.approx(48 / len(whole.train), rel=0.1)
    (way, _) = packs.whole_ways(replace(small_cnn, trials=2), steps=3)
    (training,) = way.start(0)
    outcomes = next(training)
    assert [outcome.steps for outcome in outcomes] == [3, 3]
    assert way.trial_steps == 6


@pytest.mark.parametrize("name", WORKS)
def test_analytic_flops_are_those_that_torch_counts(name, small_cnn, perceptron):
    stand_in = {"c2": small_cnn, "a3": WORKS["a3"]}.get(name, WORKS[name])
    if name == "a3":  # no CIFAR-10 here: its shapes are those of the patterns
        stand_in = replace(
            stand_in, base=stand_in.base.model_copy(update={"dataset": small_cnn.base.dataset})
        )
    images = torch.zeros(stand_in.batch_size, *dataset_of(stand_in.base.dataset).image_shape)
    with FlopCounterMode(display=False) as counter:
        stand_in.network()(images).sum().backward()
    assert sum(products.flops for products in roofline.products_of(stand_in)) == counter.get_total_flops()


@pytest.mark.skipif(CORES == 1, reason="needs two cores")
def test_processes_side_by_side_take_their_own_trials(perceptron):
    way = next(way for way in packs.ways(perceptron, [2]) if way.arrangement == "2 processes")
    broken = Way("(x) broken", "float32", "2 processes", broken_start)
    with SideBySide([way, broken]) as processes:
        assert 0 < processes.measure(way, steps=4) < 60_000
        with pytest.raises(RuntimeError, match=r"\(x\) broken"):
            processes.measure(broken, steps=1)
    first, second = (losses(*way.start(process), steps=1) for process in range(2))
    assert not torch.equal(first, second)


def broken_start(process):
    raise ValueError("broken on purpose")


def test_a_run_is_reported(perceptron, monkeypatch):
    monkeypatch.setattr(roofline, "CORES", 1)
    monkeypatch.setattr(roofline, "_ROUND_SECONDS", 1e-4)
    monkeypatch.setattr(roofline, "_LARGE_SIDES", {"cpu": 64})
    monkeypatch.setattr(roofline, "_LARGE_BYTES", 2**16)
    every = [
        *notebook.ways(perceptron),
        *tuned.ways(perceptron, compiles=False)[:2],
        *packs.ways(perceptron, [1, 4]),
        *packs.whole_ways(replace(perceptron, trials=2), 2),
    ]
    ways = [way for way in every if way.arrangement == "1 thread" and way.seeds == 1]
    limits = ablation.limits_of(perceptron, ways)
    results = ablation.measure_ways(perceptron, ways, rounds=2, steps=2)
    assert [len(result.milliseconds) for result in results] == [2] * (len(ways) + 1)
    assert results[-1].way.row == tuner.ROW
    peaks = roofline.measure_peaks(["cpu"])
    text = tables.report(perceptron, results, limits, peaks)
    for row in ("(a) notebook", "(b) tuned", "(c) pack of 4", "(c) train_pack of 2", "(d) Optuna"):
        assert f"\n{row}" in text
    assert "goal: packs at least 10 x (b)" in text
    written = ablation.as_json(perceptron, results, limits, peaks)
    assert written["ratios"]["(b)"]["goal"] == 10.0
    assert len(written["ways"]) == len(results)
    assert set(written["accounts_in_milliseconds"]) == {"(a)", "(b)", "(c)"}


def result(row, arrangement, milliseconds, precision="float32", **more):
    return tables.Result(Way(row, precision, arrangement, list, **more), 0.0, milliseconds)


def test_the_median_of_the_fastest_variant_counts():
    results = [
        result(notebook.ROW, "1 thread", [60.0]),
        result(tuned.EAGER, "1 thread", [4.0, 9.0, 5.0]),
        result(tuned.COMPILED, "2 processes", [3.0, 6.0, 90.0]),
        result(f"{packs.STEPS} of 1", "1 thread", [8.0, 7.0, 8.0], trial_steps=1),
        result(f"{packs.STEPS} of 8", "2 processes", [1.0, 1.5, 2.0], trial_steps=8),
        result(f"{packs.WHOLE} of 8", "1 thread", [0.1], trial_steps=8),  # is not in the contest of steps
    ]
    assert tables.ratios(WORKS["a3"], results) == {"(a)": (40.0, 30.0), "(b)": (5.0 / 1.5, 3.0)}


def test_time_is_accounted_for_on_the_cores_that_were_used():
    limits = roofline.Limits(
        flops=4e6,
        bytes=1e5,
        image_bytes=4e4,
        products={
            key: seconds
            for size, of_size in ((1, 3e-4), (4, 2e-4))
            for key, seconds in {
                (size, "float32", "1 thread"): of_size,
                (size, "float32", "2 threads"): 0.75 * of_size,
                (size, "bfloat16", "1 thread"): 0.6 * of_size,
                (size, "bfloat16", "2 threads"): 0.55 * of_size,
            }.items()
        },
        cache_bytes=dict.fromkeys(itertools.product((1, 4), ("1 thread", "2 threads")), 1e9),
    )
    peaks = roofline.Peaks(
        flops={
            ("float32", "1 thread"): 2e10,
            ("bfloat16", "1 thread"): 4e10,
            ("bfloat16", "2 threads"): 5e10,
        },
        bytes={},
    )
    pack = result(f"{packs.STEPS} of 4", "2 processes", [0.5], trial_steps=4).way
    account = roofline.account_for(pack, 0.5, limits, peaks)
    assert account.products == pytest.approx(0.2 / CORES)
    assert account.traffic == pytest.approx((1e5 + 1e4) / 1e9 * 1e3 / CORES)
    assert account.rest == pytest.approx(0.5 - account.products - account.traffic)
    assert account.limit == pytest.approx(4e6 / max(4e10 * CORES, 5e10) * 1e3)
    assert account.kernels == pytest.approx(1e3 * min(0.6 * 2e-4 / CORES, 0.55 * 2e-4))


def test_the_whole_loop_keeps_and_tests_the_checkpoint_that_train_pack_does(perceptron):
    count = len(dataset_of(perceptron.base.dataset).train)
    batch_size = next(size for size in range(20, count) if count % size == 0)  # the loop skips a smaller one
    values = {"batch_size": batch_size, "epochs": 12, "seed": 3}
    work = replace(perceptron, base=with_values(perceptron.base, values))
    (outcome,) = train_pack([work.base], dataset_of(work.base.dataset))
    assert outcome.best_epoch < 12, "the last epoch is not the one that is kept"
    for tuning in (Tuning(), Tuning(pixels="uint8", optimizer="foreach")):
        assert test_accuracy(work, work.base, tuning) == outcome.metrics["test_accuracy"]


def test_an_order_arrives_as_it_was_written(tmp_path):
    order = LoopOrder("a3", [{"seed": 1, "l2": 0.5}], 2, Tuning("bfloat16", pixels="uint8"), "answer")
    order.write(tmp_path / "order.json")
    assert LoopOrder.read(tmp_path / "order.json") == order


def test_the_trials_of_a_case_are_all_cells_of_all_seeds():
    case = command.Case("digits-64", "l2", (0.0, 0.1), seeds=2, epochs=3)
    assert [(own["l2"], own["seed"]) for own in case.trials] == [(0.0, 0), (0.1, 0), (0.0, 1), (0.1, 1)]
    base = WORKS["digits-64"].base
    per_epoch = -(-len(dataset_of(base.dataset).train) // base.training.batch_size)
    assert case.trial_steps == 4 * 3 * per_epoch


@pytest.mark.parametrize("name", command.CASES)
def test_the_baseline_is_one_of_the_values(name):
    case = command.CASES[name]
    base = WORKS[case.work].base
    assert any(with_values(base, {case.field: value}) == base for value in case.values)


def test_a_program_that_fails_says_why():
    with pytest.raises(RuntimeError, match="ValueError: broken"):
        command._timed([[sys.executable, "-c", "raise ValueError('broken')"]], 1)
    seconds, core_seconds, peak = command._timed([[sys.executable, "-c", "sum(range(10**6))"]] * 2, 1)
    assert seconds > 0
    assert core_seconds > 0
    assert peak > 2**20


def test_the_command_is_compared_with_the_fastest_loop_and_the_best_steps():
    case = command.Case("digits-64", "l2", (0.0, 0.1), seeds=2, epochs=1)
    ours = command.Program("foolscope ablate", print, [command.Cost(2.0, 3.0, 2**20, 0.5)] * 3)
    loops = [
        command.Program(name, print, [command.Cost(seconds, 3.0, 2**20, 0.5)])
        for name, seconds in (("slow", 9.0), ("fast", 3.0))
    ]
    own = 2000.0 / case.trial_steps
    text = command.table(case, [ours, *loops], {"pack of 4": own / 1.1, "pack of 2": own})
    assert "the command is 1.50 x as fast as fast" in text
    assert "1.10 x the time of the best steps alone" in text
    assert text.endswith("(pack of 4); the goal is 1.15: met")
    assert command.table(case, [ours, *loops], {"pack of 4": own / 1.2}).endswith("not met")
    assert command.as_json(case, [ours], {})["programs"]["foolscope ablate"][0]["seconds"] == 2.0


def test_a_wrong_choice_of_the_estimate_is_told_with_its_cost():
    row = {"precision": "float32", "tuned_on": False}
    text = arrangements.table(
        [
            {**row, "shape": "one", "threads": 1.2, "processes": 1.0, "estimate": 1.1},
            {**row, "shape": "two", "threads": 1.0, "processes": 1.25, "estimate": 1.1},
        ]
    )
    first, second = text.splitlines()[1:3]
    assert first.endswith("right")
    assert second.endswith("wrong, 25% slower")


def test_the_arrangements_that_are_compared_train_the_same_number_of_trials():
    one, two = arrangements.ways_of(arrangements.SHAPES["digits-64"], "bfloat16")
    assert (one.trial_steps, one.arrangement) == (8, "2 threads")
    assert (two.trial_steps, two.arrangement) == (4, "2 processes")
    assert 0.5 < arrangements.estimate(arrangements.SHAPES["digits-64"], "bfloat16") < 2
