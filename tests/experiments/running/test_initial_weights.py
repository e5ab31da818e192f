"""A recipe starts from the weights of a file: all of them, or all but those to be drawn anew."""

import math

import pytest
import safetensors.torch
import torch

from foolscope.core.errors import RecipeError
from foolscope.experiments.recipe import recipe_from
from foolscope.experiments.running.initial_weights import initial_weights
from foolscope.experiments.running.run import run_trials
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import Store
from foolscope.models import MLP, build_model


def built(classes=3, seed=0):
    return build_model(MLP(hidden=(4,), normalization="half"), (1, 8, 8), classes, seed=seed)


def recipe(path, **values):
    return recipe_from({"initial_weights": str(path), **values})


def start(model, path, **values):
    initialize = initial_weights(recipe(path, **values))
    assert initialize is not None
    initialize(model)
    return model


@pytest.fixture
def saved(tmp_path):
    def save(state, name="net.safetensors"):
        path = tmp_path / name
        safetensors.torch.save_file({key: value.contiguous() for key, value in state.items()}, path)
        return path

    return save


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("whole", [True, False], ids=["ours", "body only"])
def test_the_model_gives_the_logits_of_the_file(saved, prefix, whole):
    source, images = built(seed=1), torch.rand(5, 1, 8, 8)
    state = source.state_dict() if whole else source.body.state_dict()
    path = saved({prefix + name: value for name, value in state.items()})
    model = built(seed=2)
    assert not torch.equal(model(images), source(images))
    assert torch.equal(start(model, path)(images), source(images))


def test_fresh_parameters_come_from_the_seed(saved):
    path = saved(built(classes=10, seed=1).state_dict())
    model = start(built(classes=3, seed=2), path, fresh="4.*")
    drawn = built(classes=3, seed=2).state_dict()
    for name, value in model.state_dict().items():
        expected = drawn if name.startswith("body.4.") else built(classes=10, seed=1).state_dict()
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize(
    ("change", "values", "message"),
    [
        (
            lambda state: state.pop("body.1.bias"),
            {},
            r"1 of the model's tensors are not in the file \(body.1.bias\)",
        ),
        (
            lambda state: state.update(extra=torch.ones(1)),
            {},
            r"1 of the file's are not in the model \(extra\)",
        ),
        (
            lambda state: state.update({"body.4.bias": torch.ones(7)}),
            {},
            r"4.bias is \(7,\) in .* and \(3,\) in the model; to draw it anew, add it to fresh",
        ),
        (
            lambda state: state["body.1.bias"].fill_(math.nan),
            {},
            r"1.bias holds NaN or infinity in .*",
        ),
        (lambda state: None, {"fresh": ["fc.*"]}, r"fresh: no parameter matches 'fc\.\*'"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(saved, change, values, message):
    state = built().state_dict()
    change(state)
    with pytest.raises(RecipeError, match=message):
        start(built(), saved(state), **values)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.int8, torch.bool])
def test_weights_that_are_no_floats_are_refused(tmp_path, dtype):
    path = tmp_path / "net.pt"
    torch.save({name: value.to(dtype) for name, value in built().body.state_dict().items()}, path)
    with pytest.raises(RecipeError, match=f"1.weight holds {str(dtype).removeprefix('torch.')} in"):
        start(built(), path)


def test_missing_files_and_fresh_without_a_file_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="cannot read"):
        initial_weights(recipe(tmp_path / "none.safetensors"))
    with pytest.raises(RecipeError, match="give initial_weights"):
        initial_weights(recipe_from({"fresh": ["fc.*"]}))


def test_a_trial_starts_from_the_file_and_is_another_trial_when_the_file_changes(tmp_path, saved):
    session = Session(Store(tmp_path / "store"), device="cpu")
    values = {
        "dataset": {"name": "digits", "limit": 40},
        "model": {"name": "mlp", "hidden": [4], "normalization": "half"},
        "training": {"epochs": 1},
        "frozen": ["1.*"],
    }
    path = saved(built(classes=10, seed=1).state_dict())
    first = recipe(path, **values)
    identity = session.identify(first)
    (trial,) = run_trials([first], session)
    state = trial.model().state_dict()
    assert torch.equal(state["body.1.weight"], built(classes=10, seed=1).state_dict()["body.1.weight"])
    assert not torch.equal(state["body.4.weight"], built(classes=10, seed=1).state_dict()["body.4.weight"])
    moved = path.rename(path.with_name("moved.safetensors"))
    assert session.identify(recipe(moved, **values)) == identity  # what is in the file counts, not its name
    saved(built(classes=10, seed=9).state_dict())
    assert session.identify(first) != identity
