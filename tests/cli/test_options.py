import click
import pytest

from foolscope.cli.options import command_line, recipe_of, recipe_options, store_flag
from foolscope.core.errors import RecipeError, StoreError
from foolscope.experiments.recipe import COMPONENTS, Recipe, fields_of, recipe_from, value_of, with_values


@pytest.fixture(scope="module")
def command():
    @click.command()
    @recipe_options
    def command(recipe_file, **flags):
        return recipe_of(flags, recipe_file)

    return command


def parse(command, *arguments):
    return command.main(list(arguments), standalone_mode=False)


def every_recipe():
    """A recipe for every component, with a path where the data set needs one."""
    for kind, registered in COMPONENTS.items():
        for name, settings in registered.items():
            table = {"name": name}
            if "path" in settings.model_fields:
                table["path"] = "/data"
            yield pytest.param(recipe_from({kind: table}), id=f"{kind}-{name}")


def written(value):
    if isinstance(value, tuple):
        return str(list(value))
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


@pytest.mark.parametrize("recipe", list(every_recipe()))
def test_every_field_of_every_component_is_a_flag(command, recipe):
    chosen = {kind: getattr(recipe, kind).name for kind in COMPONENTS}
    components = [word for kind, name in chosen.items() for word in (f"--{kind}", name)]
    if "path" in type(recipe.dataset).model_fields:
        components += ["--path", "/data"]
    assert parse(command, *components) == recipe
    for path, value in fields_of(recipe).items():
        flag = "--" + path.rpartition(".")[2].replace("_", "-")
        if flag != "--path":
            assert parse(command, *components, flag, written(value)) == recipe, flag


def test_flags_of_a_component_say_whose_they_are(command):
    text = command.get_help(click.Context(command))
    assert "--hidden" in text
    unbroken = "".join(text.split())
    for kind, registered in COMPONENTS.items():
        assert f"--{kind}" in text
        assert all(name in unbroken for name in registered)


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--hidden", "[20, 10]", "--model", "mlp"], "hidden", (20, 10)),
        (["--model", "mlp", "--normalization", "none"], "normalization", "none"),
        (["--validation", "none"], "validation", "none"),
        (["--clipping", "none"], "clipping", None),
        (["--learning-rate", "1/8"], "learning_rate", 0.125),
        (["--nesterov", "true", "--momentum", "0.9"], "nesterov", True),
        (["--optimizer", "adam", "--beta1", "0.5"], "beta1", 0.5),
        (["--schedule", "exponential", "--decay", "0.5"], "schedule.decay", 0.5),
        (["--seed", "7"], "seed", 7),
    ],
)
def test_values_are_read_as_the_field_wants_them(command, arguments, field, value):
    assert value_of(parse(command, *arguments), field) == value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "abc"], "epochs.*integer.*'abc'"),
        (["--epochs", "0"], "epochs.*greater than or equal to 1; got 0"),
        (["--model", "mpl"], "unknown model 'mpl'.*Did you mean 'mlp'"),
        (["--hidden", "3"], "'hidden' is a field of model mlp"),
        (["--dataset", "npz"], "path is required"),
        (["--precision", "float16"], "precision.*'float32'"),
        (["--momentum", "none"], "momentum"),
    ],
)
def test_mistakes_are_explained(command, arguments, message):
    with pytest.raises(RecipeError, match=message):
        parse(command, *arguments)


def test_flags_change_single_fields_of_a_recipe_file(command, tmp_path):
    path = tmp_path / "my.toml"
    path.write_text('model = {name = "mlp", hidden = [5]}\ntraining = {epochs = 3}\n', encoding="utf-8")
    base = recipe_from({"model": {"name": "mlp", "hidden": [5]}, "training": {"epochs": 3}})
    assert parse(command, "--recipe", str(path)) == base
    changed = parse(command, "--recipe", str(path), "--epochs", "4")
    assert changed == with_values(base, {"epochs": 4})


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, StoreError, r"no recipe file .*my\.toml"),
        ("epochs =\n", RecipeError, r"my\.toml is not valid TOML.*line 1"),
        ("epochs = 3", RecipeError, r"my\.toml: unknown field 'epochs'"),
        ("[training]\nepochs = -3", RecipeError, r"my\.toml: training\.epochs.*got -3"),
    ],
)
def test_mistakes_in_a_recipe_file_name_the_file(command, tmp_path, content, error, message):
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(error, match=message):
        parse(command, "--recipe", str(path))


def test_a_built_in_recipe_is_taken_by_its_name(command):
    recipe = parse(command, "--recipe", "fast-cifar10", "--epochs", "3")
    assert (recipe.model.name, recipe.training.epochs, recipe.training.keep) == ("fast-cnn", 3, "last")


def test_no_flag_is_the_default_recipe(command):
    assert parse(command) == Recipe()


def test_suggested_commands_find_the_store(tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.delenv("FOOLSCOPE_STORE", raising=False)
    assert store_flag(Path("foolscope-runs")) == ""
    assert store_flag(tmp_path / "my runs") == f" --store '{tmp_path}/my runs'"
    monkeypatch.setenv("FOOLSCOPE_STORE", str(tmp_path))
    assert store_flag(tmp_path) == ""


def test_the_command_line_can_be_typed_again(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/foolscope", "study", "my file.toml"])
    assert command_line() == "foolscope study 'my file.toml'"


def test_arguments_are_not_listed_among_the_options(foolscope):
    listed = foolscope("check", "--help").out.partition("Options:")[2]
    assert "RECIPE.toml" not in listed.splitlines()[1]
    assert listed.splitlines()[1].strip().startswith("--")


def test_a_flag_of_several_components_says_what_each_of_them_takes(command):
    text = " ".join(command.get_help(click.Context(command)).split())
    assert "--activation relu|tanh|sigmoid|gelu|linear " in text
    assert "relu|tanh|sigmoid|gelu [default: relu] (mlp); " in text
    assert "tanh|relu|linear [default: tanh] (rnn)" in text
    assert "[default: 0.1 (sgd), 0.001 (adam, adamw), 0.0001 (lion), 0.02 (muon)]" in text


def test_a_list_may_be_given_entry_by_entry(command):
    recipe = parse(command, "--augmentation", "rotate:degrees=5", "--augmentation", "horizontal-flip")
    assert value_of(recipe, "augmentation") == "rotate:degrees=5.0+horizontal-flip"
    groups = parse(command, "--parameter-groups", "*.bias:l2=0.1", "--parameter-groups", "1.*:l2=0.2")
    assert [group.names for group in groups.parameter_groups] == [("*.bias",), ("1.*",)]
    assert parse(command, "--frozen", "1.*", "--frozen", "4.bias+7.bias").frozen == (
        "1.*",
        "4.bias",
        "7.bias",
    )
    with pytest.raises(RecipeError, match="unknown augmentation 'none'"):
        parse(command, "--augmentation", "rotate", "--augmentation", "none")
