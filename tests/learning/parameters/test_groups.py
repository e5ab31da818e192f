import pytest
import torch

from foolscope.core.errors import RecipeError
from foolscope.experiments.recipe import fields_of, recipe_from, with_values
from foolscope.experiments.running.packs import PendingTrial, plan_packs
from foolscope.learning import TrainingSettings, train_pack
from foolscope.learning.optimizers import SGD, AdamW, Muon
from foolscope.learning.parameters import updating
from foolscope.learning.parameters.groups import ParameterGroupSettings, group_of
from foolscope.learning.parameters.regularizers import RegularizationSettings
from foolscope.learning.parameters.treatments import group_records
from foolscope.learning.preparation import parameter_shapes, prepare
from foolscope.models import MLP, ResNet, Softmax

PUBLISHED = (  # by name: normalization, then biases, then the rest
    ParameterGroupSettings(names="*bn*", weight_decay=0.0),
    ParameterGroupSettings(names="*bias*", weight_decay=0.0, learning_rate_factor=2.0),
)


def records(trial, dataset):
    return group_records(trial, parameter_shapes(prepare([trial], dataset)[0].models[0]))


def test_the_first_match_counts():
    assert [
        group_of(PUBLISHED, name) for name in ("layer1.0.bn1.bias", "fc.bias", "downsample.1.weight")
    ] == [
        0,
        1,
        None,
    ]
    assert group_of(PUBLISHED, "layer1.0.BN1.weight") is None, "upper and lower case differ"


@pytest.mark.parametrize("penalize", ["weights", "all"])
def test_the_default_split_is_told(penalize, make_trial, make_dataset):
    trial = make_trial(
        model=ResNet(channels=(2,)),
        optimizer=AdamW(learning_rate=0.01, weight_decay=0.1),
        regularization=RegularizationSettings(l2=0.3, l1=0.2, penalize=penalize),
    )
    weights, others = records(trial, make_dataset())
    model = prepare([trial], make_dataset())[0].models[0]
    sizes = {True: [], False: []}
    for value in model.parameters():
        sizes[value.dim() > 1].append(value.numel())
    for found, is_weight in ((weights, True), (others, False)):
        assert (found.tensors, found.numbers) == (len(sizes[is_weight]), sum(sizes[is_weight]))
        counts = is_weight or penalize == "all"
        assert (found.weight_decay, found.l1, found.l2) == ((0.1, 0.2, 0.3) if counts else (0.0, 0.0, 0.0))
        assert found.learning_rate == 0.01
    assert (weights.group, others.group) == ("weights", "biases and normalization layers")


def test_groups_and_muons_companion_are_told(make_trial, make_dataset):
    groups = (ParameterGroupSettings(names=("*.bias", "body.7.*"), learning_rate=0.5, weight_decay=0.2),)
    trial = make_trial(model=MLP(hidden=(8, 6)), optimizer=Muon(weight_decay=0.1), parameter_groups=groups)
    found = {each.group: each for each in records(trial, make_dataset())}
    assert found["weights"].tensors == 2
    assert found["weights"].learning_rate == 0.02
    output = found["*.bias, body.7.*: weights, by the companion optimizer"]
    assert output.numbers == 6 * 3
    assert output.learning_rate == pytest.approx(0.5)
    assert output.weight_decay == 0.2
    assert sum(each.numbers for each in found.values()) == (30 + 1) * 8 + (8 + 1) * 6 + (6 + 1) * 3
    trial = make_trial(model=MLP(hidden=(8, 6)), optimizer=Muon(companion_learning_rate=0.003))
    rates = [each.learning_rate for each in records(trial, make_dataset())]
    assert rates == pytest.approx([0.02, 0.003, 0.003])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["*.biass"], r"no parameter matches '\*\.biass'; the nearest of 4 names: body\.\d\.bias"),
        (["*.bias", "conv1.*"], r"no parameter matches 'conv1\.\*'"),
        (["body.1.bias"], r"the groups before it match every parameter of \['body\.1\.bias'\]"),
    ],
)
def test_a_group_without_parameters_is_one_line(names, message, make_trial, make_dataset):
    groups = (
        ParameterGroupSettings(names="*.1.*", weight_decay=0.0),
        ParameterGroupSettings(names=names, weight_decay=0.0),
    )
    with pytest.raises(RecipeError, match=message) as caught:
        train_pack([make_trial(parameter_groups=groups)], make_dataset())
    assert "\n" not in str(caught.value)


def test_a_rate_and_a_factor_exclude_each_other():
    with pytest.raises(ValueError, match=r"learning_rate or learning_rate_factor, not both; got 0\.5 and 2"):
        ParameterGroupSettings(names="*.bias", learning_rate=0.5, learning_rate_factor=2.0)


def test_muon_refuses_a_model_without_matrices_for_it(make_trial, make_dataset):
    with pytest.raises(RecipeError, match="muon has no matrix to update with matrices = 'all-but-output'"):
        train_pack([make_trial(model=Softmax(), optimizer=Muon())], make_dataset())
    train_pack([make_trial(model=Softmax(), optimizer=Muon(matrices="all"))], make_dataset())


def test_muon_refuses_padded_matrices(make_trial, make_dataset):
    trials = [make_trial(model=MLP(hidden=(width,)), optimizer=Muon()) for width in (4, 8)]
    with pytest.raises(RecipeError, match="trials of different widths cannot share a pack"):
        train_pack(trials, make_dataset())


def test_portions_of_trials_are_updated_as_the_whole(make_trial, make_dataset, monkeypatch):
    """Muon sees the whole matrices of each trial, whatever a portion holds."""
    groups = (ParameterGroupSettings(names="*.1.weight", learning_rate_factor=0.5, weight_decay=0.3),)
    trials = [
        make_trial(optimizer=Muon(learning_rate=rate), model=MLP(hidden=(8, 6)), parameter_groups=groups)
        for rate in (0.01, 0.02, 0.03)
    ]
    whole = train_pack(trials, make_dataset())
    monkeypatch.setattr(updating, "_PORTION_NUMBERS", 50)
    for one, other in zip(train_pack(trials, make_dataset()), whole, strict=True):
        for name, value in one.weights.items():
            torch.testing.assert_close(value, other.weights[name], rtol=1e-6, atol=1e-7)


def test_recipes_have_groups():
    recipe = recipe_from(
        {
            "model": "mlp",
            "parameter_groups": [{"names": "*.bias", "weight_decay": 0.0}, {"names": ["*.1.*"], "l2": 0.0}],
        }
    )
    assert recipe.parameter_groups[0].names == ("*.bias",)
    assert recipe_from(recipe.model_dump()) == recipe
    assert fields_of(recipe)["parameter_groups.1.weight_decay"] == 0.0
    assert with_values(recipe, {"parameter_groups": []}).parameter_groups == ()
    with pytest.raises(
        RecipeError, match=r"parameter_groups: \*: unknown field 'decay'\. Known: l2, learning_rate"
    ):
        recipe_from({"parameter_groups": [{"names": "*", "decay": 1}]})
    with pytest.raises(RecipeError, match="parameter_groups: every entry needs names"):
        recipe_from({"parameter_groups": [{"names": []}]})


def planned(*values):
    recipes = [with_values(recipe_from({"model": "mlp"}), own) for own in values]
    pending = [PendingTrial(str(place), each, 1000) for place, each in enumerate(recipes)]
    return sorted(len(pack.trials) for pack in plan_packs(pending))


def test_which_trials_share_a_pack():
    group = {"names": "*.bias", "learning_rate_factor": 2.0}
    assert planned({}, {"parameter_groups": [group]}) == [2]
    assert planned(*({"averaging": "ema", "averaging_decay": decay} for decay in (0.9, 0.99))) == [2]
    assert planned({}, {"averaging": "ema"}, {"averaging": "swa"}) == [1, 1, 1]
    assert planned({}, *({"sharpness_radius": radius} for radius in (0.1, 0.2))) == [1, 2]
    assert planned({}, {"accumulation": 2}) == [1, 1]
    assert planned(*({"optimizer": "muon", "scaling": each} for each in ("original", "match-rms-adamw"))) == [
        2
    ]
    assert planned(*({"optimizer": "muon", "companion": each} for each in ("adamw", "sgd"))) == [1, 1]
    assert planned(*({"optimizer": "muon", "hidden": [width]} for width in (40, 50))) == [1, 1]
    assert planned(*({"hidden": [width]} for width in (40, 50))) == [2]


def test_a_group_of_its_own_for_one_trial_leaves_its_neighbor_alone(make_trial, make_dataset):
    frozen = (ParameterGroupSettings(names="*.weight", learning_rate_factor=0.0),)
    settings = TrainingSettings(batch_size=16, epochs=2, keep="last")
    trials = [make_trial(optimizer=SGD(), training=settings, parameter_groups=each) for each in (frozen, ())]
    held, free = train_pack(trials, make_dataset())
    (alone,) = train_pack([trials[1]], make_dataset())
    start = prepare([trials[0]], make_dataset())[1].parameters["body.1.weight"][0].float()
    assert torch.equal(held.weights["body.1.weight"], start)
    for name, value in alone.weights.items():
        torch.testing.assert_close(free.weights[name], value, rtol=1e-6, atol=1e-7)
