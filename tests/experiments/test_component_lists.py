"""Lists of components are read from texts and tables, named in dotted paths, and written back."""

import pytest

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.ablations import ablation_cells
from foolscope.experiments.recipe import (
    LISTS,
    Recipe,
    fields_of,
    recipe_from,
    setting_words,
    value_of,
    with_values,
)


def augmented(value):
    return recipe_from({"augmentation": value})


def test_a_text_a_list_and_tables_mean_the_same():
    text = augmented("random-crop:padding=3+horizontal-flip")
    assert text == augmented(["random-crop:padding=3", "horizontal-flip"])
    assert text == augmented([{"name": "random-crop", "padding": 3}, {"name": "horizontal-flip"}])
    assert text == augmented(" random-crop : padding = 3 + horizontal-flip ")
    assert text == recipe_from(text.model_dump(mode="json"))
    assert value_of(text, "augmentation") == "random-crop:padding=3+horizontal-flip"
    assert augmented(value_of(text, "augmentation")) == text
    assert setting_words(text, "augmentation") == "random-crop (padding 3) + horizontal-flip"


def test_every_registered_entry_is_read_by_its_name_alone():
    for field, entries in LISTS.items():
        for name in entries.settings if field != "parameter_groups" else ["*.bias:l2=0.1"]:
            (entry,) = entries.read(name)
            assert entries.write([entry]) == name
            assert recipe_from({field: name}) == recipe_from({field: [entry]})


def test_groups_of_parameters_have_patterns_and_a_place():
    recipe = recipe_from({"parameter_groups": "*.bias,*bn*:weight_decay=0+fc.*:learning_rate_factor=0.1"})
    assert [group.names for group in recipe.parameter_groups] == [("*.bias", "*bn*"), ("fc.*",)]
    assert fields_of(recipe)["parameter_groups.2.learning_rate_factor"] == 0.1
    changed = with_values(recipe, {"parameter_groups.1.weight_decay": 0.5})
    assert changed.parameter_groups[0].weight_decay == 0.5
    text = value_of(recipe, "parameter_groups")
    assert text == "*.bias,*bn*:weight_decay=0.0+fc.*:learning_rate_factor=0.1"
    assert recipe_from({"parameter_groups": text}) == recipe
    assert setting_words(recipe, "parameter_groups") == (
        "*.bias,*bn* (weight decay 0) + fc.* (learning rate factor 0.1)"
    )


def test_an_entry_may_begin_with_a_digit_and_a_number_may_have_a_plus():
    groups = recipe_from({"parameter_groups": "*.bias:learning_rate_factor=2+1.*:l2=1e+0 + 4.bias:l2=0"})
    assert [group.names for group in groups.parameter_groups] == [("*.bias",), ("1.*",), ("4.bias",)]
    assert groups.parameter_groups[1].l2 == 1.0
    (group,) = recipe_from({"parameter_groups": "?.bias:learning_rate=1.e+2"}).parameter_groups
    assert group.learning_rate == 100.0


def test_a_setting_is_given_once():
    with pytest.raises(RecipeError, match=r"rotate: degrees is set twice in 'rotate:degrees=2:degrees=3'"):
        augmented("rotate:degrees=2:degrees=3")


def test_a_mistake_names_the_setting_and_not_a_type():
    with pytest.raises(RecipeError, match=r"rotate: degrees: input should be a finite number; got nan"):
        augmented("rotate:degrees=nan")


@pytest.mark.parametrize("nothing", [None, "none", []])
def test_no_patterns(nothing):
    recipe = recipe_from({"frozen": nothing})
    assert recipe.frozen == ()
    assert setting_words(recipe, "frozen") == "none"


@pytest.mark.parametrize("nothing", [None, "none", []])
def test_no_entries(nothing):
    recipe = augmented(nothing)
    assert recipe.augmentation == ()
    assert value_of(recipe, "augmentation") is None
    assert setting_words(recipe, "augmentation") == "none"


def test_settings_of_entries_are_fields_that_can_be_set_and_varied():
    recipe = augmented("random-crop:padding=3+horizontal-flip+random-crop:padding=1")
    paths = fields_of(recipe)
    assert (paths["augmentation.random_crop.padding"], paths["augmentation.random_crop_2.padding"]) == (3, 1)
    changed = with_values(recipe, {"augmentation.random_crop_2.padding": 2})
    assert [each.padding for each in changed.augmentation[::2]] == [3, 2]
    with pytest.raises(RecipeError, match=r"ambiguous; write one of augmentation\.random_crop\.padding"):
        with_values(recipe, {"padding": 2})
    single = augmented("random-crop")
    cells = ablation_cells(single, {"padding": [1, 2], "augmentation": ["none", "horizontal-flip"]})
    assert [cell.label for cell in cells] == [
        "baseline",
        "padding = 1",
        "padding = 2",
        "augmentation = none",
        "augmentation = horizontal-flip",
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("random-crap", "unknown augmentation 'random-crap'. Did you mean 'random-crop'?"),
        ("random-crop:pad=3", "random-crop: unknown field 'pad'. Did you mean 'padding'?"),
        ("random-crop:padding=-1", "random-crop: padding: input should be greater than"),
        ("random-crop:padding", "must be name:setting=value, several joined by +; got 'random-crop:padding'"),
        ([{"padding": 3}], "every entry needs name; got {'padding': 3}"),
        (3, "must be a list of names or tables; got 3"),
    ],
)
def test_a_mistake_is_one_line(value, message):
    with pytest.raises(RecipeError) as caught:
        augmented(value)
    assert str(caught.value).startswith(f"augmentation: {message}")
    assert "\n" not in str(caught.value)


def test_a_field_of_an_entry_that_is_not_there_names_its_owner():
    with pytest.raises(RecipeError, match="'padding' is a field of augmentation random-crop"):
        with_values(Recipe(), {"padding": 2})
