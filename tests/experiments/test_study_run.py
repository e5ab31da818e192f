import json
import os
import signal
import subprocess
import sys
import time
import tomllib

import numpy as np
import pytest
import torch

from foolscope.core.errors import FoolscopeError, RecipeError
from foolscope.experiments.parts import checks as checking
from foolscope.experiments.parts.ablations import ablation_cells
from foolscope.experiments.parts.predictions import results_by_image
from foolscope.experiments.parts.training import training_record
from foolscope.experiments.recipe import with_values
from foolscope.experiments.running.executors import job
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import study_from
from foolscope.experiments.study_record import read_study_record
from foolscope.experiments.study_run import run_study
from foolscope.learning import training
from foolscope.learning.checkpoints import load_tensors
from foolscope.statistics.blocks import BlockDesign
from foolscope.statistics.verdicts import judge

STUDY = """
name = "tiny"
title = "A tiny study"
question = "Does it run?"
seeds = 3
practical_difference = 0.02

[recipes.softmax]
dataset = { name = "digits", limit = 150 }
optimizer = { name = "sgd", learning_rate = 0.3 }
training = { epochs = 3, batch_size = 32 }
precision = "float32"

[recipes.mlp]
like = "softmax"
model = { name = "mlp", hidden = [8] }

[[ablations]]
recipe = "mlp"
vary = { learning_rate = [0.001, 0.3, 1e30], hidden = [4, 8] }
published = { hidden = [0.5, 0.6] }

[[attacks]]
name = "linf"
recipes = ["softmax", "mlp"]
epsilons = [0, 0.1]
attacks = ["fgsm"]
images = 50

[[attack_traces]]
name = "steps"
recipe = "mlp"
epsilons = [0.1, 0.3]
attack = { name = "bim", steps = 3 }
images = 40

[[galleries]]
recipe = "mlp"
epsilon = 0.3
attack = "fgsm"
images = 3

[checks]
recipes = ["softmax"]

[mistakes]
confusion = ["mlp"]
worst = ["mlp"]

[[claims]]
sentence = "Learning too slowly is worse"
kind = "comparison"
recipe = "mlp"
subject = { learning_rate = 0.001 }
against = { learning_rate = 0.3 }
is = "worse"

[[claims]]
sentence = "Clipping helps"
kind = "comparison"
recipe = "mlp"
subject = { clipping = 0.5 }
against = { clipping = "none" }
is = "better"

[[claims]]
sentence = "Attacks matter"
kind = "value"
recipe = "mlp"
metric = "robust_accuracy:linf@0.1"
value = 0.9
is = "at most"

[[claims]]
sentence = "Every step makes it worse"
kind = "curve"
recipe = "mlp"
metric = "attack_loss:steps@0.3"
is = "rises steadily"
"""


def study_of(**changes):
    return study_from({**tomllib.loads(STUDY), **changes})


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return Session(Store(tmp_path_factory.mktemp("store")), device="cpu")


@pytest.fixture(scope="module")
def record(session):
    return run_study(study_of(), session, text=STUDY, command="foolscope study tiny.toml")


@pytest.fixture
def trained(monkeypatch):
    recipes = []
    train_pack = job.train_pack

    def spy(pack, *args, **kwargs):
        recipes.extend(pack)
        return train_pack(pack, *args, **kwargs)

    monkeypatch.setattr(job, "train_pack", spy)
    return recipes


def lasting(record):
    """What of a record does not depend on when it was made."""
    document = record.model_dump(mode="json")
    for name in ("duration_seconds", "finished", "command"):
        del document[name]
    return document


def stored(recipe, session, seeds=3):
    return run_trials([with_values(recipe, {"seed": seed}) for seed in range(seeds)], session)


# ------------------------------------------------------------------ what the record says


def test_every_recipe_cell_and_claim_is_trained_with_every_seed(record):
    # softmax, mlp, its three other ablation cells, and the clipped one
    assert record.trial_count == 6 * 3
    assert record.seeds == [0, 1, 2]
    assert [each.recipe for each in record.of("training")] == ["softmax", "mlp"]
    assert record.study_file == STUDY
    assert record.command == "foolscope study tiny.toml"
    assert record.classes == [str(digit) for digit in range(10)]


def test_trainings_are_means_of_the_stored_trials(record, session):
    trials = stored(study_of().recipes["mlp"], session)
    own = record.of("training")[1]
    values = [trial.outcome["metrics"]["test_accuracy"] for trial in trials]
    assert own.identities == [trial.identity for trial in trials]
    assert own.metrics["test_accuracy"] == values
    assert own.means["test_accuracy"][0] == pytest.approx(np.mean(values))
    assert own.diverged == 0
    assert own.epochs == [1, 2, 3]
    losses = [[epoch["running_loss"] for epoch in trial.outcome["history"]] for trial in trials]
    assert own.curves["running_loss"] == losses
    confusion = np.sum([trial.outcome["confusion"] for trial in trials], axis=0)
    assert own.confusion == confusion.tolist()
    assert np.trace(confusion) / confusion.sum() == pytest.approx(np.mean(values))


def test_the_ablation_is_judged_on_all_its_cells(record, session):
    study = study_of()
    cells = ablation_cells(study.recipes["mlp"], study.entries("ablations")[0].vary)
    trials = [stored(cell.recipe, session) for cell in cells]
    values = np.array([[trial.metric("test_accuracy") for trial in own] for own in trials])
    correct = results_by_image("test_accuracy", [trial for own in trials for trial in own])
    design = BlockDesign(
        tuple(cell.label for cell in cells),
        (0, 1, 2),
        values,
        step=1 / correct.shape[1],
        correct=correct.reshape(*values.shape, -1),
    )
    verdicts = {verdict.cell: verdict for verdict in judge(design, "baseline", practical_difference=0.02)}
    (ablation,) = record.of("ablations")
    levels = {level.cell: level for factor in ablation.factors for level in factor.levels}
    assert set(levels) == {cell.label for cell in cells}
    for label, verdict in verdicts.items():
        assert levels[label].outcome == verdict.outcome
        assert levels[label].p_different == verdict.p_different
    assert levels["learning_rate = 0.001"].outcome == "hurts"
    assert levels["learning_rate = 1e+30"].outcome == "diverged"
    assert [level.published for level in ablation.factors[1].levels] == [0.5, 0.6]


def test_claims_are_judged_in_order(record):
    assert [claim.sentence for claim in record.claims] == [
        "Learning too slowly is worse",
        "Clipping helps",
        "Attacks matter",
        "Every step makes it worse",
    ]
    assert record.claims[0].outcome == "upheld"
    assert record.claims[2].outcome == "upheld"


def test_checks_curves_and_galleries_are_there(record, session):
    assert [(check.recipe, check.check, check.passed) for check in record.of("checks")[0].checks] == [
        ("softmax", "loss at initialization", True),
        ("softmax", "overfits one batch", True),
        ("softmax", "overfits a small subset", True),
        ("softmax", "gradients by hand", True),
        ("softmax", "gradients by differences", True),
    ]
    assert [curve.recipe for curve in record.of("attacks")] == ["softmax", "mlp"]
    (trace,) = record.of("attack_traces")
    assert ([budget.epsilon for budget in trace.budgets], trace.images) == ([0, 0.1, 0.3], 40)
    galleries = [*record.of("galleries"), *record.of("mistakes")[0].worst]
    assert [gallery.kind for gallery in galleries] == ["fooling", "worst"]
    path = session.store.study_folder("tiny") / "pictures.safetensors"
    arrays, _ = load_tensors(path, torch.device("cpu"))
    shown = [
        picture.key
        for gallery in galleries
        for row in gallery.rows
        for picture in row
        if picture.title != "perturbation"
    ]
    assert sorted(shown) == sorted(arrays)
    assert all(array.shape == (1, 8, 8) for array in arrays.values())


def test_the_loss_that_the_claim_is_about_is_that_of_the_trace(record):
    (trace,) = record.of("attack_traces")
    means = [mean for mean, _, _ in trace.budgets[2].mean_losses]
    assert [figure.value for figure in record.claims[3].figures] == pytest.approx(means)


def test_the_record_is_stored(record, session):
    assert read_study_record("tiny", session.store) == record


def test_a_record_of_another_version_says_what_to_do(record, tmp_path):
    store = Store(tmp_path)
    document = record.model_dump(mode="json")
    document |= document.pop("parts")  # as records were before studies had parts
    store.study_folder("tiny").mkdir(parents=True)
    (store.study_folder("tiny") / "study.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(FoolscopeError, match="another version; run the study again"):
        read_study_record("tiny", store)


# ------------------------------------------------------------------ nothing is done twice


def test_a_second_run_computes_nothing_and_says_the_same(record, session, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("computed again")

    monkeypatch.setattr(job, "train_pack", refuse)
    monkeypatch.setattr(checking, "CHECKS", dict.fromkeys(checking.CHECKS, refuse))
    monkeypatch.setattr(checking, "GRADIENT_CHECKS", dict.fromkeys(checking.GRADIENT_CHECKS, refuse))
    again = run_study(study_of(), Session(session.store, device="cpu"), text=STUDY)
    assert lasting(again) == lasting(record)


def test_a_new_value_or_seed_trains_only_the_new_cells(record, session, trained):
    table = tomllib.loads(STUDY)
    table["ablations"][0]["vary"]["learning_rate"].append(0.5)
    more = run_study(study_from(table), session)
    assert {(recipe.optimizer.learning_rate, recipe.seed) for recipe in trained} == {
        (0.5, 0),
        (0.5, 1),
        (0.5, 2),
    }
    assert more.trial_count == record.trial_count + 3

    trained.clear()
    run_study(study_of(seeds=4), session)
    assert {recipe.seed for recipe in trained} == {3}
    assert len(trained) == 6


# ------------------------------------------------------------------ what goes wrong


def test_recipes_that_diverge_are_results(tmp_path):
    table = tomllib.loads(STUDY)
    for recipe in table["recipes"].values():
        recipe["optimizer"] = {"name": "sgd", "learning_rate": 1e39}
    table["seeds"] = 2
    table["ablations"][0]["vary"] = {"learning_rate": [1e39, 0.3]}
    del table["ablations"][0]["published"], table["checks"]
    record = run_study(study_from(table), Session(Store(tmp_path), device="cpu"))
    assert [each.diverged for each in record.of("training")] == [2, 2]
    assert [each.confusion for each in record.of("training")] == [[], []]
    assert record.of("attacks") == []
    assert record.of("galleries") == []
    assert {claim.outcome for claim in record.claims} == {"undecided"}
    json.loads(json.dumps(record.model_dump(mode="json"), allow_nan=False))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.update(seeds=1), "at least 2 seeds"),
        (lambda table: table["ablations"][0].update(metric="accuracy"), "unknown metric 'accuracy'"),
        (lambda table: table["ablations"][0]["vary"].update(seed=[1]), "seeds"),
        (lambda table: table["ablations"][0]["vary"].update(epoch=[1, 2]), "'epochs'"),
        (lambda table: table["claims"][2].update(metric="robust_accuracy:linf@0.2"), "linf@0 or 0.1"),
        (lambda table: table["claims"][0].update(subject={"learning_rat": 1}), "'learning_rat'"),
        (lambda table: table["galleries"][0].update(source="truck"), "digits has no class 'truck'"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(tmp_path, trained, change, message):
    table = tomllib.loads(STUDY)
    change(table)
    with pytest.raises(RecipeError, match=message):
        run_study(study_from(table), Session(Store(tmp_path), device="cpu"))
    assert trained == []


def test_one_seed_is_enough_where_nothing_is_compared(tmp_path):
    study = study_of(seeds=1, ablations=[], claims=[], checks={}, mistakes={"confusion": ["mlp"]})
    record = run_study(study, Session(Store(tmp_path), device="cpu"))
    assert record.of("training")[0].means["test_accuracy"][1:] == (None, None)
    assert record.of("attacks")[0].low == [None, None]


def test_the_study_is_written_as_toml_where_there_was_no_file(tmp_path):
    study = study_of(seeds=1, ablations=[], claims=[], attacks=[], galleries=[], checks={}, mistakes={})
    record = run_study(study, Session(Store(tmp_path), device="cpu"))
    assert study_from(tomllib.loads(record.study_file)) == study


def test_damaged_results_are_named(record, session, tmp_path):
    identity = record.of("training")[0].identities[0]
    path = session.store.trial_folder(identity) / "trial.json"
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(text[: len(text) // 2], encoding="utf-8")
        with pytest.raises(FoolscopeError, match=identity):
            run_study(study_of(), session)
    finally:
        path.write_text(text, encoding="utf-8")


def test_curves_of_trials_that_stopped_early_are_filled_up(session):
    recipe = with_values(study_of().recipes["softmax"], {"epochs": 9, "patience": 1, "learning_rate": 1.0})
    trials = run_trials([with_values(recipe, {"seed": seed}) for seed in range(4)], session)
    lengths = [len(trial.outcome["history"]) for trial in trials]
    record = training_record("softmax", trials)
    assert record.epochs == list(range(1, max(lengths) + 1))
    for length, curve in zip(lengths, record.curves["validation_accuracy"], strict=True):
        assert len(curve) == max(lengths)
        assert None not in curve[:length]
        assert curve[length:] == [None] * (max(lengths) - length)


def test_costs_and_changing_learning_rates_are_kept_as_curves(session):
    recipe = study_of().recipes["softmax"]
    plain = training_record("softmax", stored(recipe, session))
    assert not [name for name in plain.curves if name.endswith("cost") or name == "learning_rate"]
    trials = stored(with_values(recipe, {"l2": 0.1, "schedule": "cosine"}), session)
    record = training_record("softmax", trials)
    histories = [trial.outcome["history"] for trial in trials]
    for part in ("running", "validation"):
        assert record.curves[f"{part}_cost"] == [
            [epoch[f"{part}_loss"] + epoch["penalty"] for epoch in history] for history in histories
        ]
    assert record.curves["learning_rate"][0] == sorted(record.curves["learning_rate"][0], reverse=True)


# ------------------------------------------------------------------ kill -9

DRIVER = """
import sys, time, tomllib
from pathlib import Path
from foolscope.experiments.running.run import EpochEvent, Session
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import study_from
from foolscope.experiments.study_run import run_study
from foolscope.learning import training

training._CHECKPOINT_SECONDS = 0.0
trains_epoch = training._train_epoch

def slowly(setup, state):
    trains_epoch(setup, state)
    print("epoch", flush=True)
    time.sleep(float(sys.argv[3]))

training._train_epoch = slowly
study = study_from(tomllib.loads(Path(sys.argv[1]).read_text()))
run_study(study, Session(Store(Path(sys.argv[2])), device="cpu"))
"""


def drive(study_file, store, pause):
    command = [sys.executable, "-c", DRIVER, str(study_file), str(store), str(pause)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_a_study_killed_in_mid_epoch_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    study_file = tmp_path / "tiny.toml"
    text = STUDY.replace("seeds = 3", "seeds = 2").replace('[checks]\nrecipes = ["softmax"]\n', "")
    study_file.write_text(text, encoding="utf-8")
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    total = 0
    train_epoch = training._train_epoch

    def counted(setup, state):
        nonlocal total
        total += 1
        train_epoch(setup, state)

    monkeypatch.setattr(training, "_train_epoch", counted)
    run_study(study_from(tomllib.loads(study_file.read_text())), Session(Store(undisturbed), device="cpu"))

    with drive(study_file, killed, 0.05) as process:
        for _ in range(5):  # of three epochs a pack: the second pack has a checkpoint by then
            process.stdout.readline()
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        epochs = [5 + process.stdout.read().count("epoch")]
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "studies").exists()
    assert list((killed / "packs").glob("*.safetensors"))
    with drive(study_file, killed, 0.0) as process:
        epochs.append(process.stdout.read().count("epoch"))
    assert process.returncode == 0
    assert total <= sum(epochs) <= total + 1  # at most the epoch that was cut short is trained again

    first, second = (
        json.loads((store / "studies/tiny/study.json").read_text()) for store in (undisturbed, killed)
    )
    for record in (first, second):
        for name in ("duration_seconds", "finished"):
            del record[name]
        del record["provenance"]["training_seconds"]
        for each in record["parts"]["training"]:
            del each["duration_seconds"]
    assert first == second
    weights = sorted(
        path.relative_to(undisturbed) for path in undisturbed.glob("trials/*/weights.safetensors")
    )
    assert len(weights) == 12
    for path in weights:
        assert (undisturbed / path).read_bytes() == (killed / path).read_bytes()
    left = [path.name for path in killed.rglob("*") if path.is_file() and "partial" in path.name]
    assert list((killed / "packs").glob("*.safetensors")) == []
    assert len(left) <= 1
