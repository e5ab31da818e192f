import pytest
import torch
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.models import MLP, SmallCNN, VisionTransformer, build_model, initial_parameters


def weights(settings, seed=0):
    model = build_model(settings.model_copy(update={"normalization": "none"}), (3, 32, 32), 10, seed=seed)
    return dict(model.named_parameters())


def shared(first, second):
    """Names of the layers whose weights have equal shape."""
    return {
        name.removesuffix(".weight")
        for name in first
        if name.endswith(".weight") and name in second and first[name].shape == second[name].shape
    }


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (MLP(hidden=(30, 20)), MLP(hidden=(30, 25)), {"body.1"}),
        (MLP(hidden=(30, 20)), MLP(hidden=(30, 20, 20)), {"body.1", "body.4"}),
        (MLP(hidden=(30,)), MLP(hidden=(30,), activation="tanh", dropout=0.5), {"body.1", "body.4"}),
        (SmallCNN(), SmallCNN(units=(60, 84)), {"body.0", "body.3", "body.13"}),
        (SmallCNN(), SmallCNN(channels=(8, 4)), {"body.0", "body.10", "body.13"}),
    ],
)
def test_layers_of_agreeing_shape_start_alike(first, second, expected):
    one, other = weights(first), weights(second)
    assert shared(one, other) == expected
    for layer in expected:
        assert torch.equal(one[f"{layer}.weight"], other[f"{layer}.weight"])
        assert torch.equal(one[f"{layer}.bias"], other[f"{layer}.bias"])


def test_layers_of_one_model_start_differently():
    values = initial_parameters(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), 0)
    assert not torch.equal(values["0.weight"], values["1.weight"])
    assert not torch.equal(values["0.weight"][0], values["0.bias"])


@pytest.mark.parametrize("layer", [nn.Linear(50, 4000), nn.Conv2d(6, 800, 5, groups=2)])
def test_values_are_uniform_within_one_over_the_root_of_the_fan_in(layer):
    fan_in = {nn.Linear: 50, nn.Conv2d: 3 * 5 * 5}[type(layer)]
    bound = fan_in**-0.5
    for value in initial_parameters(layer, 0).values():
        assert value.abs().max() <= bound
        assert value.abs().max() > 0.99 * bound
        assert abs(float(value.mean())) < 5 * bound / (3 * value.numel()) ** 0.5
        assert float(value.std()) == pytest.approx(bound / 3**0.5, rel=0.03)


def test_the_distribution_is_that_of_pytorch():
    torch.manual_seed(0)
    reference = nn.Conv2d(3, 400, 5).weight.detach().flatten().sort().values
    ours = initial_parameters(nn.Conv2d(3, 400, 5), 0)["weight"].flatten().sort().values
    assert (reference - ours).abs().max() < 0.02 * ours.max()


def test_normalization_layers_start_as_the_identity():
    for layer in (nn.GroupNorm(1, 3), nn.LayerNorm([3])):
        values = initial_parameters(layer, 0)
        assert torch.equal(values["weight"], torch.ones(3))
        assert torch.equal(values["bias"], torch.zeros(3))


def test_every_parameter_gets_a_value_of_its_shape_and_the_model_is_left_alone():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(5, 2))
    before = {name: value.clone() for name, value in model.named_parameters()}
    values = initial_parameters(model, 0)
    assert {name: value.shape for name, value in values.items()} == {
        name: value.shape for name, value in before.items()
    }
    assert all(value.dtype == torch.float32 for value in values.values())
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_a_layer_without_a_rule_is_one_line():
    with pytest.raises(
        RecipeError, match="no initial values are defined for layer type PReLU; known: Linear, Conv2d"
    ):
        initial_parameters(nn.Sequential(nn.Linear(2, 2), nn.PReLU()), 0)
    assert initial_parameters(nn.Sequential(nn.ReLU(), nn.Softplus()), 0) == {}


def test_he_draws_hidden_weights_with_variance_two_over_the_fan_in_and_no_biases():
    model = nn.Sequential(
        nn.Conv2d(6, 400, 5, groups=2), nn.Flatten(), nn.Linear(50, 900), nn.Linear(900, 10)
    )
    values = initial_parameters(model, 0, "he")
    for name, fan_in in (("0", 3 * 25), ("2", 50)):
        assert float(values[f"{name}.weight"].std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.02)
        assert abs(float(values[f"{name}.weight"].mean())) < 0.02 * (2 / fan_in) ** 0.5
        assert not values[f"{name}.bias"].any()
    uniform = initial_parameters(model, 0)
    assert torch.equal(values["3.weight"], uniform["3.weight"]), "the loss starts at that of guessing"
    assert torch.equal(values["3.bias"], uniform["3.bias"])


def test_dirac_passes_the_first_channels_on():
    model = nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 2, 3, padding=1), nn.Flatten(), nn.Linear(8, 2)
    )
    values, uniform = initial_parameters(model, 0, "dirac"), initial_parameters(model, 0)
    maps = torch.rand(2, 3, 4, 4)
    passed = nn.functional.conv2d(maps, values["0.weight"], padding=1)
    torch.testing.assert_close(passed[:, :3], maps)
    assert torch.equal(values["0.weight"][3:], uniform["0.weight"][3:])
    narrowed = nn.functional.conv2d(passed, values["1.weight"], padding=1)
    torch.testing.assert_close(narrowed, passed[:, :2])
    assert torch.equal(values["3.weight"], uniform["3.weight"])


def test_the_layers_of_attention_start_small():
    model = build_model(VisionTransformer(normalization="none"), (3, 32, 32), 10, seed=0)
    for name in ("body.embedding.2.token", "body.embedding.3.position"):
        value = model.get_parameter(name).detach()
        assert float(value.std()) == pytest.approx(0.02, rel=0.2)
        assert abs(float(value.mean())) < 0.01
