import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.searches.space import Choices, Range, space_of
from foolscope.experiments.recipe import recipe_from, with_values

MLP = recipe_from({"model": {"name": "mlp", "hidden": [8]}, "optimizer": "adam"})
FRACTIONS = st.floats(0, 1)


@st.composite
def ranges(draw):
    scale = draw(st.sampled_from(["log", "linear"]))
    if draw(st.booleans()):
        low = draw(st.integers(1 if scale == "log" else 0, 10_000))
        return Range("batch_size", low, low + draw(st.integers(1, 10_000)), scale, integer=True)
    low = draw(st.floats(1e-9, 1e3))
    return Range("l2", low, low * draw(st.floats(1.01, 1e6)), scale)


@given(each=ranges(), fraction=FRACTIONS)
def test_values_lie_in_the_range_and_whole_numbers_are_whole(each, fraction):
    value = each.at(fraction)
    assert each.low <= value <= each.high
    assert isinstance(value, int) == each.integer


@given(each=ranges())
def test_the_ends_are_within_reach(each):
    if each.integer or max(len(f"{end:.17g}") for end in (each.low, each.high)) <= 4:  # else rounded as all
        assert (each.at(0.0), each.at(1.0)) == (each.low, each.high)


@given(each=ranges(), fractions=st.tuples(FRACTIONS, FRACTIONS))
def test_values_rise_along_the_range(each, fractions):
    first, last = sorted(fractions)
    assert each.at(first) <= each.at(last)


@given(each=ranges(), fraction=FRACTIONS)
def test_rounding_moves_a_value_by_less_than_anyone_can_tell(each, fraction):
    if each.integer:
        return
    exact = (
        10 ** (math.log10(each.low) + fraction * math.log10(each.high / each.low))
        if each.scale == "log"
        else each.low + fraction * (each.high - each.low)
    )
    worth = each.high - each.low if each.scale == "linear" else exact
    assert abs(each.at(fraction) - exact) <= 0.00101 * worth


@given(each=ranges(), fraction=FRACTIONS, factor=st.floats(0.01, 1))
def test_a_narrowed_range_is_the_stated_part_of_the_old_one(each, fraction, factor):
    around = each.at(fraction)
    part = each.narrowed(around, factor)
    assert each.low <= part.low <= around <= part.high <= each.high
    if each.integer:
        return

    def scaled(value):
        return math.log10(value) if each.scale == "log" else value

    length = scaled(each.high) - scaled(each.low)
    for end, limit in ((part.low, each.low), (part.high, each.high)):
        if end != limit:
            assert abs(scaled(end) - scaled(around)) == pytest.approx(factor / 2 * length, abs=1e-9 * length)


def test_whole_numbers_at_the_ends_are_as_likely_as_the_others():
    sizes = Range("batch_size", 1, 4, "linear", integer=True)
    values = [sizes.at((position + 0.5) / 400) for position in range(400)]
    assert [values.count(value) for value in (1, 2, 3, 4)] == [100] * 4


def test_whole_numbers_next_to_the_best_stay_within_reach():
    assert Range("epochs", 1, 9, "linear", integer=True).narrowed(5, 0.1) == Range(
        "epochs", 4, 6, "linear", integer=True
    )


def test_choices_have_equal_shares():
    choices = Choices("batch_size", (8, 16, 32))
    values = [choices.at((position + 0.5) / 30) for position in range(30)]
    assert [values.count(value) for value in (8, 16, 32)] == [10] * 3
    assert choices.at(1.0) == 32


# ------------------------------------------------------------------ what a person writes


@pytest.mark.parametrize(
    ("field", "wanted", "dimension"),
    [
        ("learning_rate", "1e-4:1:log", Range("learning_rate", 1e-4, 1.0, "log")),
        ("optimizer.learning_rate", " 1e-4 : 1 : log ", Range("learning_rate", 1e-4, 1.0, "log")),
        ("weight-decay", "0:0.1:linear", Range("weight_decay", 0.0, 0.1, "linear")),
        ("batch_size", "16:256:log", Range("batch_size", 16, 256, "log", integer=True)),
        ("clipping", "0.1:10:log", Range("clipping", 0.1, 10.0, "log")),
        ("patience", "1:5:linear", Range("patience", 1, 5, "linear", integer=True)),
        ("l2", "1/256:1/4:log", Range("l2", 1 / 256, 0.25, "log")),
        ("batch_size", "16,32", Choices("batch_size", (16, 32))),
        ("batch_size", [16, 32, 16], Choices("batch_size", (16, 32))),
        ("hidden", "[8],[16,8]", Choices("hidden", ((8,), (16, 8)))),
        ("hidden", [8, [16]], Choices("hidden", ((8,), (16,)))),
        ("activation", "relu,tanh", Choices("activation", ("relu", "tanh"))),
        ("clipping", "none,1.5", Choices("clipping", (None, 1.5))),
    ],
)
def test_a_dimension_is_read(field, wanted, dimension):
    assert space_of(MLP, {field: wanted}) == (dimension,)
    with_values(MLP, {dimension.field: dimension.at(0.3)})


@pytest.mark.parametrize(
    ("over", "parts"),
    [
        ({}, ["nothing to search over", "learning_rate=1e-4:1:log"]),
        ({"learning_rat": "1e-4:1:log"}, ["unknown field 'learning_rat'", "Did you mean 'learning_rate'?"]),
        ({"momentum": "0:0.9:linear"}, ["'momentum' is a field of optimizer sgd"]),
        ({"seed": "0:9:linear"}, ["seed cannot be searched over", "seeds"]),
        (
            {"optimizer": ["sgd", "adam"]},
            ["'optimizer' is a component", "foolscope ablate --vary optimizer="],
        ),
        ({"limit": "10:100:log"}, ["'limit' belongs to the data"]),
        ({"learning_rate": "1e-4:1"}, ["LOW:HIGH:log or LOW:HIGH:linear", "got '1e-4:1'"]),
        ({"learning_rate": "1e-4:1:lin"}, ["LOW:HIGH:log or LOW:HIGH:linear", "got '1e-4:1:lin'"]),
        ({"learning_rate": "a:1:log"}, ["LOW:HIGH:log or LOW:HIGH:linear", "got 'a:1:log'"]),
        ({"learning_rate": "true:2:log"}, ["LOW:HIGH:log or LOW:HIGH:linear"]),
        ({"learning_rate": "0.1:inf:log"}, ["LOW:HIGH:log or LOW:HIGH:linear"]),
        ({"learning_rate": "1:1e-4:log"}, ["learning_rate", "below", "got 1 and 0.0001"]),
        ({"l2": "0:1:log"}, ["l2", "above 0; got 0", ":linear"]),
        ({"beta1": "0.5:1:linear"}, ["beta1", "less than 1", "got 1.0"]),
        ({"batch_size": "1.5:8:linear"}, ["'batch_size' takes whole numbers", "'1.5:8:linear'"]),
        ({"batch_size": "0:8:linear"}, ["batch_size", "got 0"]),
        ({"activation": "1:2:linear"}, ["'activation' is not a number", "activation=A,B,C"]),
        ({"hidden": "8:64:log"}, ["'hidden' is not a number", "hidden=A,B,C"]),
        ({"batch_size": [16]}, ["batch_size", "at least two values", "got [16]"]),
        ({"batch_size": [16, 0]}, ["batch_size", "got 0"]),
        ({"l2": "1e-4:1:log", "regularization.l2": [0, 1]}, ["'regularization.l2' is searched over twice"]),
    ],
)
def test_a_mistake_is_one_line(over, parts):
    with pytest.raises(RecipeError) as caught:
        space_of(MLP, over)
    line = str(caught.value)
    assert "\n" not in line
    assert not [part for part in parts if part not in line], line


def test_settings_of_a_list_have_ranges():
    recipe = recipe_from(
        {"model": "mlp", "augmentation": "rotate+cutout:size=2", "parameter_groups": "*.bias:l2=0.1"}
    )
    over = {"degrees": "1:45:linear", "size": "1:4:linear", "parameter_groups.1.l2": "1e-4:1:log"}
    assert space_of(recipe, over) == (
        Range("degrees", 1.0, 45.0, "linear", integer=False),
        Range("size", 1, 4, "linear", integer=True),
        Range("parameter_groups.1.l2", 1e-4, 1.0, "log", integer=False),
    )
