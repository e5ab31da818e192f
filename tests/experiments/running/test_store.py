import json
import math

import numpy as np
import pytest
import torch

from foolscope.core.errors import StoreError
from foolscope.experiments.recipe import COMPONENTS, LISTS, Recipe, fields_of, recipe_from, with_values
from foolscope.experiments.running import store as store_module
from foolscope.experiments.running.store import Store, trial_identity
from foolscope.learning import EpochRecord, TrialOutcome
from foolscope.models import build_model

RECIPE = recipe_from(
    {
        "dataset": {"name": "npz", "path": "here.npz"},
        "model": {"name": "mlp", "hidden": [5]},
        "optimizer": "adamw",
        "schedule": "triangular",
    }
)
PROVENANCE = {"dataset": {"image_shape": [2, 4, 3], "classes": ["cat", "dog", "eel"]}, "torch": "x"}


def make_outcome(recipe=RECIPE, status="finished", **values):
    model = build_model(
        recipe.model, (2, 4, 3), 3, seed=5, mean=torch.tensor([0.3, 0.4]), deviation=torch.tensor([0.1, 0.2])
    )
    settings = {
        "status": status,
        "history": (
            EpochRecord(1, 0.1, 1.25, 0.0, 0.5, None, None),
            EpochRecord(2, 0.1, None, None, 0.1, 2.0, 0.3),
        ),
        "best_epoch": 1,
        "metrics": {"test_accuracy": 0.75, "test_loss": 0.1 + 0.2},
        "confusion": ((1, 2, 0), (0, 3, 0), (0, 0, 4)),
        "parameter_count": 3,
        "steps": 10,
        "duration_seconds": 0.5,
        "weights": {name: value.detach() for name, value in model.state_dict().items()},
    }
    return TrialOutcome(**(settings | values)), model


def other_value(recipe, path):
    """Another valid value for a field."""
    value = fields_of(recipe)[path]
    candidates = [
        0.25,
        0.75,
        1,
        7,
        [3, 3],
        "none",
        "last",
        "all",
        "float64",
        "tanh",
        "official",
        "channels-first",
        "balanced",
        "validation",
        "f1",
        "flip",
        "he",
        "x",
        ["x"],
        True,
    ]
    for candidate in candidates:
        try:
            changed = with_values(recipe, {path: candidate})
        except ValueError:
            continue
        if fields_of(changed)[path] != value:
            return changed
    raise AssertionError(f"no other value for {path}")


def test_the_identity_depends_on_every_field_but_the_path():
    identities = {"": trial_identity(RECIPE, "pixels", "float32")}
    for path in fields_of(RECIPE):
        if path not in ("precision", "initial_weights"):  # as resolved, below; what is in the file counts
            identities[path] = trial_identity(other_value(RECIPE, path), "pixels", "float32")
    for kind in COMPONENTS:
        if kind != "dataset":
            name = next(each for each in COMPONENTS[kind] if each != getattr(RECIPE, kind).name)
            identities[kind] = trial_identity(with_values(RECIPE, {kind: name}), "pixels", "float32")
    for kind, entries in LISTS.items():
        entry = {"names": "*.bias", "l2": 0.1} if kind == "parameter_groups" else next(iter(entries.settings))
        identities[kind] = trial_identity(with_values(RECIPE, {kind: entry}), "pixels", "float32")
    identities["fingerprint"] = trial_identity(RECIPE, "others", "float32")
    identities["resolved precision"] = trial_identity(RECIPE, "pixels", "bfloat16")
    assert identities.pop("dataset.path") == identities[""], "what is in a file counts, not where it lies"
    assert len(set(identities.values())) == len(identities)


def test_auto_precision_is_the_precision_it_comes_to():
    explicit = with_values(RECIPE, {"precision": "float32"})
    assert trial_identity(RECIPE, "pixels", "float32") == trial_identity(explicit, "pixels", "float32")


def test_the_identity_depends_on_the_training_version(monkeypatch):
    before = trial_identity(RECIPE, "pixels", "float32")
    monkeypatch.setattr(store_module, "TRAINING_VERSION", store_module.TRAINING_VERSION + 1)
    assert trial_identity(RECIPE, "pixels", "float32") != before


def test_an_identity_is_a_file_name():
    identity = trial_identity(RECIPE, "pixels", "float32")
    assert len(identity) == 20
    assert set(identity) <= set("0123456789abcdef")


def saved(tmp_path, identity="aa11", **values):
    store = Store(tmp_path)
    outcome, model = make_outcome(**values)
    store.save_pack("pack", [(identity, RECIPE, outcome)], PROVENANCE)
    return store, outcome, model


def test_what_is_saved_is_loaded(tmp_path):
    store, outcome, model = saved(tmp_path)
    assert store.has("aa11")
    trial = store.load("aa11")
    assert (trial.identity, trial.recipe, trial.status) == ("aa11", RECIPE, "finished")
    assert trial.outcome == json.loads(json.dumps(outcome.as_document()))
    assert trial.provenance == PROVENANCE
    assert trial.metric("test_loss") == 0.1 + 0.2, "floats keep their bits"
    rebuilt, images = trial.model(), torch.rand(4, 2, 4, 3)
    assert not rebuilt.training
    assert torch.equal(rebuilt(images), model.eval()(images))


def test_metrics(tmp_path):
    store, _, _ = saved(tmp_path)
    with pytest.raises(StoreError, match="has no metric 'tast'; it has test_accuracy, test_loss"):
        store.load("aa11").metric("tast")
    store, _, _ = saved(tmp_path / "other", status="diverged", metrics={}, best_epoch=None)
    assert math.isnan(store.load("aa11").metric("test_accuracy"))


CORRECT = {"validation": np.arange(13) % 3 == 0, "test": np.arange(16) % 5 < 4}


def test_the_images_classified_correctly_are_kept_as_bits(tmp_path):
    store, _, _ = saved(tmp_path, correct=CORRECT)
    trial = store.load("aa11")
    for split, expected in CORRECT.items():
        assert trial.correct(split).dtype == bool
        assert trial.correct(split).tolist() == expected.tolist()
    assert "correct" not in trial.outcome
    saved(tmp_path / "large", correct={"test": np.ones(80_000, dtype=bool)})
    file = tmp_path / "large" / "trials" / "aa11" / "correct.safetensors"
    assert 10_000 <= file.stat().st_size < 10_500


def test_a_trial_without_bits_has_none(tmp_path):
    store, _, _ = saved(tmp_path)
    assert store.load("aa11").correct("test") is None, "of an old store"
    store, _, _ = saved(tmp_path / "no validation", correct={"test": CORRECT["test"]})
    assert store.load("aa11").correct("validation") is None
    assert store.load("aa11").correct("test") is not None
    store, _, _ = saved(tmp_path / "no validation", status="diverged", metrics={}, best_epoch=None)
    assert store.load("aa11").correct("test") is None, "whatever a run that was interrupted has left"


def test_damaged_bits_are_one_line(tmp_path):
    store, _, _ = saved(tmp_path, correct=CORRECT)
    path = store.trial_folder("aa11") / "correct.safetensors"
    whole = path.read_bytes()
    for content, line in (
        (whole[:-1], "is damaged"),
        (whole.replace(b"aa11", b"bb22"), "it belongs to trial bb22"),
        (whole.replace(b": 16", b": 26"), "2 bytes cannot be the bits of 26 images"),
    ):
        path.write_bytes(content)
        with pytest.raises(StoreError, match=line) as caught:
            store.load("aa11").correct("test")
        assert "\n" not in str(caught.value)


def test_a_trial_without_its_marker_is_not_there(tmp_path):
    store, _, _ = saved(tmp_path)
    (store.trial_folder("aa11") / "trial.json").unlink()
    assert not store.has("aa11")
    with pytest.raises(StoreError, match="no such file"):
        store.load("aa11")


def rewrite(store, **changes):
    path = store.trial_folder("aa11") / "trial.json"
    document = json.loads(path.read_text())
    document.update(changes)
    path.write_text(json.dumps({key: value for key, value in document.items() if value != "remove"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"recipe": "remove"},
        {"outcome": "remove"},
        {"recipe": {"model": "mpl"}},
        {"recipe": "text"},
        {"recipe": 3},
        {"recipe": {"new_field": 3}},
        {"outcome": 3},
        {"provenance": None},
    ],
)
def test_a_damaged_trial_is_one_line(tmp_path, changes):
    store, _, _ = saved(tmp_path)
    rewrite(store, **changes)
    with pytest.raises(
        StoreError, match=r"is damaged or from another version .*; delete its folder"
    ) as caught:
        store.load("aa11")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "[1, 2]", "{"])
def test_a_truncated_trial_is_one_line(tmp_path, content):
    store, _, _ = saved(tmp_path)
    (store.trial_folder("aa11") / "trial.json").write_text(content)
    with pytest.raises(StoreError, match="delete"):
        store.load("aa11")


@pytest.mark.parametrize(
    "other", [{"hidden": [6]}, {"hidden": [5, 5]}, {"model": "softmax"}, {"normalization": "none"}]
)
def test_the_weights_of_another_model_are_refused(tmp_path, other):
    store, _, _ = saved(tmp_path)
    rewrite(store, recipe=with_values(RECIPE, other).model_dump(mode="json"))
    with pytest.raises(StoreError, match="holds the weights of another model than its run") as caught:
        store.load("aa11").model()
    assert "\n" not in str(caught.value)


def test_the_weights_of_another_run_of_the_same_model_are_refused(tmp_path):
    store, _, _ = saved(tmp_path, "aa11")
    saved(tmp_path, "bb22")
    other = (store.trial_folder("bb22") / "weights.safetensors").read_bytes()
    (store.trial_folder("aa11") / "weights.safetensors").write_bytes(other)
    with pytest.raises(StoreError, match="holds the weights of another model than its run"):
        store.load("aa11").model()
    store.load("bb22").model()


def test_missing_and_damaged_weights_are_one_line(tmp_path):
    store, _, _ = saved(tmp_path)
    path = store.trial_folder("aa11") / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    advice = "is missing or damaged; delete the trial's folder and train it again"
    with pytest.raises(StoreError, match=advice):
        store.load("aa11").model()
    path.unlink()
    with pytest.raises(StoreError, match=advice):
        store.load("aa11").model()


def test_finding_by_prefix(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(StoreError, match=r"no run 'a' in .*; it is empty. Train one with: foolscope train"):
        store.find("a")
    for identity in ("aa11", "aa22", "bb33"):
        saved(tmp_path, identity)
    (tmp_path / "trials" / "cc44").mkdir()
    assert store.find("bb").identity == "bb33"
    assert store.find("aa11").identity == "aa11"
    with pytest.raises(StoreError, match="2 runs start with 'aa': aa11, aa22"):
        store.find("aa")
    for absent in ("", "x", "cc", "*", "a?11", "/etc", "../trials/aa11", "[ab]"):
        with pytest.raises(StoreError, match=r"no run .*; it has aa11, aa22, bb33. Train one"):
            store.find(absent)


class KilledError(BaseException):
    pass


@pytest.mark.parametrize("writes", range(7))
def test_a_pack_is_saved_whole_or_not_at_all(tmp_path, monkeypatch, writes):
    """Killed after so many files: either no trial is finished and the checkpoint is still there, or all are.

    With some finished, the others would be trained again in a smaller pack, and to other bits.
    """
    store = Store(tmp_path)
    checkpoint = store.pack_checkpoint("pack")
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"state")
    left = [writes]

    def until_killed(write):
        def wrapped(*arguments):
            if left[0] == 0:
                raise KilledError
            left[0] -= 1
            return write(*arguments)

        return wrapped

    monkeypatch.setattr(store_module, "save_tensors", until_killed(store_module.save_tensors))
    monkeypatch.setattr(store_module, "write_correct", until_killed(store_module.write_correct))
    monkeypatch.setattr(store_module, "write_json", until_killed(store_module.write_json))
    trials = [(identity, Recipe(), make_outcome(correct=CORRECT)[0]) for identity in ("aa", "bb")]
    with pytest.raises(KilledError):
        store.save_pack("pack", trials, PROVENANCE)
    monkeypatch.undo()
    store.complete_packs()
    finished = [store.has("aa"), store.has("bb")]
    assert finished == ([True, True] if writes >= 5 else [False, False])
    assert checkpoint.exists() != finished[0]
    if finished[0]:
        for identity in ("aa", "bb"):
            assert store.load(identity).correct("test").tolist() == CORRECT["test"].tolist()
    store.save_pack("pack", trials, PROVENANCE)
    assert [store.load(identity).metric("test_accuracy") for identity in ("aa", "bb")] == [0.75, 0.75]
    assert list((tmp_path / "packs").iterdir()) == []


def test_results_that_another_process_completes_meanwhile_are_no_error(tmp_path):
    store = Store(tmp_path)
    gone = store.pack_checkpoint("pack").with_suffix(".json")
    gone.parent.mkdir()
    gone.symlink_to(tmp_path / "nowhere")  # listed, and not there when it is read
    store.complete_packs()
    gone.unlink()
    gone.write_text("[", encoding="utf-8")
    with pytest.raises(StoreError, match="not valid JSON"):
        store.complete_packs()
