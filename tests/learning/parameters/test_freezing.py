"""Frozen layers keep their parameters and compute what they computed."""

import pytest
import torch

from foolscope.core.errors import RecipeError
from foolscope.learning import train_pack
from foolscope.learning.optimizers import Muon
from foolscope.learning.parameters.freezing import freeze, frozen_layers
from foolscope.learning.parameters.names import matching
from foolscope.learning.preparation import prepare
from foolscope.models import MLP, ResNet, build_model


def test_patterns_match_with_and_without_the_body():
    names = ["body.conv1.weight", "body.fc.weight", "normalization.mean"]
    assert matching(names, "conv1.*") == matching(names, "body.conv1.*") == ["body.conv1.weight"]
    assert matching(names, "*weight") == ["body.conv1.weight", "body.fc.weight"]


@pytest.mark.parametrize("solo", [False, True])
def test_frozen_parameters_stay_and_the_others_move(make_trial, make_dataset, solo, monkeypatch):
    if solo:
        from foolscope.learning.packs import packing

        monkeypatch.setattr(packing, "solo_reason", lambda model: "a test")
    dataset = make_dataset(shape=(1, 8, 8))
    model = ResNet(channels=(2, 3), blocks=1)
    trials = [make_trial(model=model, frozen=("0.*", "1.*", "3.branch.*"), seed=seed) for seed in (0, 1)]
    _, state = prepare(trials, dataset)
    initial = {name: value.clone() for name, value in state.tensors.items()}
    for trial, outcome in enumerate(train_pack(trials, dataset)):
        for name, value in outcome.weights.items():
            if name not in initial:
                continue  # the normalization of the images, counts of batches
            parts = name.removeprefix("body.").split(".")
            is_frozen = parts[0] in ("0", "1") or parts[:2] == ["3", "branch"]
            assert torch.equal(value, initial[name][trial].float()) == is_frozen, name


def test_a_layer_is_frozen_when_all_of_its_own_parameters_are():
    model = build_model(MLP(hidden=(4,), normalization="none"), (1, 3, 3), 2, seed=0)
    freeze(model, ["1.*", "4.weight"])
    assert frozen_layers(model) == {"body.1"}


def test_mistaken_patterns_are_refused():
    model = build_model(MLP(hidden=(4,), normalization="none"), (1, 3, 3), 2, seed=0)
    with pytest.raises(RecipeError, match=r"no parameter matches 'fc\.\*'\. Known: 1.bias, 1.weight"):
        freeze(model, ["fc.*"])
    with pytest.raises(RecipeError, match=r"frozen: \* leave no parameter to train"):
        freeze(model, ["*"])


@pytest.mark.parametrize(
    ("matrices", "frozen", "message"),
    [
        ("all-but-output", "7.*", 'the output layer is frozen; use matrices = "all"'),
        ("hidden", "1.*", 'the first layer is frozen; use matrices = "all-but-output"'),
    ],
)
def test_muon_refuses_to_lose_count_of_layers(make_trial, make_dataset, matrices, frozen, message):
    settings = {"model": MLP(hidden=(8, 6)), "frozen": (frozen,)}
    with pytest.raises(RecipeError, match=message):
        prepare([make_trial(optimizer=Muon(matrices=matrices), **settings)], make_dataset())
    _, state = prepare([make_trial(optimizer=Muon(matrices="all"), **settings)], make_dataset())
    trained = [name for name, value in state.parameters.items() if value.dim() > 2]
    assert list(state.optimizer["momentum"]) == trained
