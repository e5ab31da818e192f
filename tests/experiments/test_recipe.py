import itertools
import typing

import pydantic
import pytest
from hypothesis import given
from hypothesis import settings as run_with
from hypothesis import strategies as st

from foolscope.core.errors import RecipeError
from foolscope.core.settings import Settings
from foolscope.core.values import parse_value
from foolscope.experiments import recipe as recipe_module
from foolscope.experiments.recipe import (
    COMPONENTS,
    Recipe,
    fields_of,
    recipe_from,
    short_name,
    value_of,
    with_values,
)
from foolscope.learning import OPTIMIZERS
from foolscope.learning.optimizers import OptimizerSettings
from foolscope.models import MLP, MODELS

PATHS = {"folder": {"path": "pets", "height": 8, "width": 8}, "npz": {"path": "own.npz"}}


def component(kind, name):
    return {"name": name, **(PATHS.get(name, {}) if kind == "dataset" else {})}


def every_recipe():
    """Every component of every kind at least once."""
    longest = max(map(len, COMPONENTS.values()))
    for index in range(longest):
        yield recipe_from(
            {
                kind: component(kind, list(registered)[index % len(registered)])
                for kind, registered in COMPONENTS.items()
            }
        )


def test_the_default_recipe():
    recipe = Recipe()
    assert {kind: getattr(recipe, kind).name for kind in COMPONENTS} == {
        "dataset": "digits",
        "model": "softmax",
        "loss": "cross-entropy",
        "optimizer": "sgd",
        "schedule": "constant",
        "defense": "none",
        "averaging": "none",
    }
    assert recipe == recipe_from({})


def test_a_recipe_is_immutable_and_hashable():
    one, same = (recipe_from({"model": {"name": "mlp", "hidden": [5, 6]}}) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert len({one, same, Recipe()}) == 2
    with pytest.raises(pydantic.ValidationError):
        one.seed = 3
    with pytest.raises(pydantic.ValidationError):
        one.model.hidden = (3,)


@pytest.mark.parametrize("name", list(MODELS))
def test_the_loss_follows_the_model_unless_it_is_given(name):
    own = MODELS[name].loss
    assert recipe_from({"model": name}).loss.name == own
    assert recipe_from({"model": {"name": name}}).loss.name == own
    assert recipe_from({"model": MODELS[name].settings(name=name)}).loss.name == own
    for loss in COMPONENTS["loss"]:
        assert recipe_from({"model": name, "loss": loss}).loss.name == loss


def test_linear_regression_is_least_squares():
    assert recipe_from({"model": "linear-regression"}).loss.name == "squared-error"
    assert with_values(Recipe(), {"model": "linear-regression"}).loss.name == "squared-error"
    back = with_values(recipe_from({"model": "linear-regression"}), {"model": "mlp"})
    assert back.loss.name == "cross-entropy"


def test_another_model_with_the_same_loss_keeps_the_losss_settings():
    """Else ``--vary model=softmax,mlp`` around a smoothed baseline would vary the smoothing too."""
    smoothed = recipe_from({"model": "softmax", "loss": {"name": "cross-entropy", "label_smoothing": 0.2}})
    for model in ("softmax", "mlp", {"name": "mlp", "hidden": [5]}):
        assert with_values(smoothed, {"model": model}).loss.label_smoothing == 0.2
    assert with_values(smoothed, {"model": "mlp", "loss": "cross-entropy"}).loss.label_smoothing == 0.0


def test_a_loss_that_is_not_the_models_own_was_chosen_and_stays():
    chosen = recipe_from({"model": "softmax", "loss": "squared-error"})
    assert with_values(chosen, {"model": "mlp"}).loss.name == "squared-error"


@pytest.mark.parametrize("recipe", list(every_recipe()), ids=lambda recipe: recipe.dataset.name)
def test_every_field_is_reached_by_its_short_name_and_by_its_path(recipe):
    leaves = fields_of(recipe)
    assert {path.partition(".")[0] for path in leaves} >= {
        "dataset",
        "model",
        "optimizer",
        "training",
        "seed",
    }
    for path, value in leaves.items():
        short = short_name(recipe, path)
        assert short == path.rpartition(".")[2], "no two fields share a short name"
        assert short_name(recipe, short) == short
        assert value_of(recipe, short) == value_of(recipe, path) == value
        assert with_values(recipe, {short: value}) == with_values(recipe, {path: value}) == recipe
    for kind in COMPONENTS:
        assert value_of(recipe, kind) == getattr(recipe, kind).name
        assert short_name(recipe, kind) == kind


def test_every_setting_of_every_component_is_a_field():
    for kind, registered in COMPONENTS.items():
        for name, settings in registered.items():
            leaves = fields_of(recipe_from({kind: component(kind, name)}))
            for field in settings.model_fields:
                assert (f"{kind}.{field}" in leaves) == (field != "name")


def test_short_names_are_unambiguous_in_every_combination():
    """A new component must not take the short name of a field that another kind has."""
    owners = {}
    for kind, registered in COMPONENTS.items():
        for settings in registered.values():
            for field in settings.model_fields:
                owners.setdefault(field, set()).add(kind)
    for part in ("regularization", "training"):
        for field in type(getattr(Recipe(), part)).model_fields:
            owners.setdefault(field, set()).add(part)
    shared = {field: kinds for field, kinds in owners.items() if len(kinds) > 1 and field != "name"}
    assert shared == {}
    assert not set(owners) & set(Recipe.model_fields)


def test_changing_fields():
    recipe = with_values(
        Recipe(), {"batch_size": 64, "optimizer.learning_rate": 0.5, "seed": 7, "precision": "float64"}
    )
    assert (recipe.training.batch_size, recipe.optimizer.learning_rate) == (64, 0.5)
    assert (recipe.seed, recipe.precision) == (7, "float64")
    assert Recipe().training.batch_size == 128, "the original is left alone"
    assert with_values(recipe, {}) == recipe


def test_naming_a_component_replaces_it_with_defaults():
    recipe = recipe_from({"model": {"name": "mlp", "hidden": [5], "dropout": 0.5}})
    assert with_values(recipe, {"model": "mlp"}).model == MLP()
    cosine = with_values(recipe, {"final_fraction": 0.5, "schedule": "cosine"})
    assert (cosine.schedule.name, cosine.schedule.final_fraction) == ("cosine", 0.5), "components come first"
    assert cosine.model == recipe.model
    table = with_values(recipe, {"optimizer": {"name": "adam", "beta1": 0.5}, "learning_rate": 0.01})
    assert (table.optimizer.beta1, table.optimizer.learning_rate) == (0.5, 0.01)


def complaint(function, *arguments):
    with pytest.raises(RecipeError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    assert "pydantic" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"modl": "mlp"}, "unknown field 'modl'. Did you mean 'model'?"),
        ({"model": {"name": "mlp", "hiden": 5}}, "unknown field 'model.hiden'. Did you mean 'hidden'?"),
        ({"training": {"batchsize": 5}}, "unknown field 'training.batchsize'. Did you mean 'batch_size'?"),
        ({"regularization": {"l3": 5}}, "unknown field 'regularization.l3'. Known: l1, l2, penalize"),
        ({"model": "mpl"}, "model: unknown model 'mpl'. Did you mean 'mlp'?"),
        ({"model": {"hidden": 5}}, "model: give it a name, as in model = {name ="),
        ({"model": 3}, "model: give it a name"),
        (
            {"optimizer": {"name": "sgd", "learning_rate": -1}},
            "optimizer.learning_rate: input should be greater than 0",
        ),
        (
            {"optimizer": {"name": "sgd", "learning_rate": "fast"}},
            "optimizer.learning_rate: input should be a valid number",
        ),
        ({"training": {"epochs": 0}}, "training.epochs: input should be greater than or equal to 1; got 0"),
        ({"training": 3}, "training: "),
        ({"seed": -1}, "seed: input should be greater than or equal to 0; got -1"),
        (
            {"precision": "half"},
            "precision: input should be 'auto', 'float32', 'bfloat16' or 'float64'; got 'half'",
        ),
        ({"schedule": MLP()}, "schedule: "),
        ({"dataset": "npz"}, "dataset.path is required and has no default"),
    ],
)
def test_mistakes_are_one_line(values, expected):
    assert complaint(recipe_from, values).startswith(expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"batch_sise": 5},
            "unknown field 'batch_sise' for model softmax, optimizer sgd, schedule constant. "
            "Did you mean 'batch_size'?",
        ),
        ({"blocks": 5}, "'blocks' is a field of model resnet, which this recipe does not have"),
        ({"model.name": "mlp"}, "unknown field 'model.name'"),
        ({"batch_size": 0}, "training.batch_size: input should be greater than or equal to 1; got 0"),
        ({"model": "mpl"}, "model: unknown model 'mpl'. Did you mean 'mlp'?"),
        ({"model": 3}, "model: give it a name"),
        ({"model": None}, "model: give it a name"),
        ({"model": {"name": ["mlp"]}}, "model: give it a name"),
    ],
)
def test_mistaken_changes_are_one_line(values, expected):
    assert complaint(with_values, Recipe(), values).startswith(expected)


def test_an_ambiguous_short_name_lists_the_paths(monkeypatch):
    class Rival(OptimizerSettings):
        name: str = "rival"
        learning_rate: float = 0.1
        batch_size: int = 3

    monkeypatch.setitem(COMPONENTS["optimizer"], "rival", Rival)
    recipe = recipe_from({"optimizer": "rival"})
    expected = "'batch_size' is ambiguous; write one of optimizer.batch_size, training.batch_size"
    assert complaint(value_of, recipe, "batch_size") == expected
    assert short_name(recipe, "training.batch_size") == "training.batch_size"
    changed = with_values(recipe, {"training.batch_size": 5})
    assert (value_of(changed, "training.batch_size"), value_of(changed, "optimizer.batch_size")) == (5, 3)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.1", 0.1),
        ("1e-3", 1e-3),
        ("-2", -2),
        ("true", True),
        ("none", None),
        ("None", None),
        ("[50, 20]", [50, 20]),
        ("[]", []),
        ('"128"', "128"),
        ('{name = "mlp", hidden = [5]}', {"name": "mlp", "hidden": [5]}),
        ("best", "best"),
        ("small-cnn", "small-cnn"),
        ("1/255", 1 / 255),
        ("8/0", "8/0"),
        ("data/pets", "data/pets"),
        ("", ""),
        ("2024-01-01", "2024-01-01"),
        ("07:32:00", "07:32:00"),
        ("1\nvalue2 = 3", "1\nvalue2 = 3"),
    ],
)
def test_parsing_values(text, value):
    parsed = parse_value(text)
    assert parsed == value
    assert type(parsed) is type(value)


@given(st.text())
def test_parsing_never_fails(text):
    parse_value(text)


def values_of_field(annotation, metadata):
    """A strategy for a settings field from its type and its bounds."""
    bounds = {}
    for each in metadata:
        for name in ("gt", "ge", "lt", "le"):
            if getattr(each, name, None) is not None:
                bounds[name] = getattr(each, name)
    adapter = pydantic.TypeAdapter(annotation)
    low, high = bounds.get("gt", bounds.get("ge", 0)), bounds.get("lt", bounds.get("le", 1000))
    kinds = {
        int: st.integers(int(low), int(high)),
        float: st.floats(low, high, exclude_min="gt" in bounds, exclude_max="lt" in bounds),
        bool: st.booleans(),
        type(None): st.none(),
        str: st.just("a name"),
    }
    parts = typing.get_args(annotation) or (annotation,)
    own = [strategy for kind, strategy in kinds.items() if kind in parts]
    own += [st.just(part) for part in parts if isinstance(part, str)]
    if typing.get_origin(annotation) is tuple:
        units = st.integers(1, 50)
        own = [st.tuples(units, units), st.lists(units, max_size=3).map(tuple)]
    candidates = st.one_of(own)

    def accepted(value):
        try:
            adapter.validate_python(value, strict=True)
        except pydantic.ValidationError:
            return False
        return True

    return candidates.filter(accepted)


@st.composite
def settings_tables(draw, kind):
    name = draw(st.sampled_from(list(COMPONENTS[kind])))
    table = component(kind, name)
    for field, info in COMPONENTS[kind][name].model_fields.items():
        if field not in table and draw(st.booleans()):
            table[field] = draw(values_of_field(info.annotation, info.metadata))
    return table


@run_with(max_examples=40)
@given(st.data())
def test_a_recipe_goes_through_json_and_back(data):
    values = {kind: data.draw(settings_tables(kind)) for kind in COMPONENTS if data.draw(st.booleans())}
    values["seed"] = data.draw(st.integers(0, 2**40))
    try:
        recipe = recipe_from(values)
    except RecipeError:  # such as two fields that exclude each other
        return
    stored = recipe.model_dump(mode="json")
    assert recipe_from(stored) == recipe
    assert recipe_from(stored).model_dump(mode="json") == stored
    assert hash(recipe_from(stored)) == hash(recipe)
    assert (
        with_values(
            Recipe(), {**{kind: stored.get(kind, "none") for kind in COMPONENTS}, "seed": recipe.seed}
        )
        == recipe
    )


def test_tables_of_components_come_from_the_registries():
    assert set(COMPONENTS["optimizer"]) == set(OPTIMIZERS)
    for kind, name in itertools.chain.from_iterable(
        ((kind, name) for name in COMPONENTS[kind]) for kind in COMPONENTS
    ):
        settings = COMPONENTS[kind][name]
        assert issubclass(settings, Settings)
        assert getattr(recipe_from({kind: component(kind, name)}), kind).name == name
    assert recipe_module.COMPONENTS is COMPONENTS
