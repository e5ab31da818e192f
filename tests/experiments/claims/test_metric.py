"""The grammar of metrics, there and back, and which metric of a study a text names."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foolscope.core.errors import RecipeError
from foolscope.experiments.claims.metric import ANY_LAYER, Metric, find_metric, parse_metric
from foolscope.experiments.wording.sentences import PLAIN, POINTS

EIGHT = 8 / 255

words = st.text(string.ascii_letters + string.digits + "_", min_size=1)
names = st.text(min_size=1).filter(lambda text: not re.search(r"[.@:\n]", text))
quantities = st.text(min_size=1).filter(lambda text: not re.search(r"[@\n]", text))
places = st.text(min_size=1).filter(lambda text: "\n" not in text)


@given(words, st.none() | names, st.none() | quantities, st.none() | places)
def test_what_is_parsed_is_written_again(
    head: str, name: str | None, quantity: str | None, at: str | None
) -> None:
    """Names, quantities and places are any text without the sign of the grammar that ends them."""
    text = head
    if name is not None:
        text += f":{name}" + (f".{quantity}" if quantity else "")
    text += f"@{at}" if at else ""
    found = parse_metric(text)
    assert str(found) == text
    assert found.part == name
    assert found.at == at
    is_part = name is not None and quantity is not None
    assert (found.kind, found.quantity) == ((head, quantity) if is_part else (None, head))


@pytest.mark.parametrize(
    "text",
    ["", ":", "a:", "a:b@", "a:b.", "a:.b", "@8/255", "test accuracy", "a:b:c", " a", "a\n"],
)
def test_what_does_not_follow_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="does not parse") as caught:
        parse_metric(text)
    assert repr(text) in str(caught.value)


@given(st.integers(0, 255))
def test_a_budget_of_a_study_is_written_as_the_file_has_it(grays: int) -> None:
    metric = Metric("robust_accuracy", "linf", at=grays / 255)
    assert metric.is_named(parse_metric(str(metric)))


def test_whole_budgets_are_written_without_decimals() -> None:
    assert str(Metric("robust_accuracy", "l1", at=12.0)) == "robust_accuracy:l1@12"
    assert str(Metric("robust_accuracy", "l2", at=0.5)) == "robust_accuracy:l2@0.5"
    assert str(Metric("robust_accuracy", "linf", at=EIGHT)) == "robust_accuracy:linf@8/255"


def test_accuracies_are_written_in_points() -> None:
    assert Metric("robust_accuracy", "linf", at=EIGHT).scale is POINTS
    assert Metric("validation_loss").scale is PLAIN
    assert Metric("accuracy", "edges", kind="inspection").scale is PLAIN  # what stands in front decides


def test_only_what_no_recipe_can_be_chosen_for_stands_alone() -> None:
    assert [Metric("a", recipes=own).stands_alone for own in (None, (), ("r",))] == [False, True, False]


# ------------------------------------------------------------------ which metric of a study

KNOWN = [
    Metric("test_accuracy"),
    Metric("validation_loss", higher_is_better=False),
    Metric("validation_loss", axis="epoch", higher_is_better=False),
    Metric("robust_accuracy", "linf", at=EIGHT, recipes=("a",)),
    Metric("robust_accuracy", "linf", at=2 * EIGHT, recipes=("a",)),
    Metric("robust_accuracy", "l2", at=0.5, recipes=("a",)),
    Metric("near_zero", "edges", kind="inspection", at=ANY_LAYER),
    Metric("count", "edges", kind="inspection"),
    Metric("attack_loss", "trace", at=EIGHT, axis="step"),
]
TABLES = {
    "robust_accuracy": ["[[attacks]]", "[[attack_traces]]"],
    "inspection": ["[[inspections]]"],
    "measure": ["[[measures]]"],
}


def find(text: str, known: list[Metric] = KNOWN, *, of_curve: bool = False) -> Metric:
    return find_metric(text, known, TABLES, of_curve=of_curve)


@pytest.mark.parametrize("budget", ["8/255", "0.03137254901960784", "0.0313725490196", "16/510"])
def test_budgets_are_compared_as_numbers(budget: str) -> None:
    assert find(f"robust_accuracy:linf@{budget}") is KNOWN[3]


@pytest.mark.parametrize("budget", ["0.0313725", "9/255", "0", "-8/255", "eight", "inf"])
def test_another_budget_is_another_metric(budget: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(f"no metric 'robust_accuracy:linf@{budget}'")):
        find(f"robust_accuracy:linf@{budget}")


@pytest.mark.parametrize(
    "text",
    [
        "robust_accuracy:linf",  # at which budget?
        "robust_accuracy:l2@8/255",  # of another attack
        "success_rate:linf@8/255",
        "robust_accuracy",
        "inspection:edges.near_zero",  # at which layer?
        "inspection:edges.count@conv1",
        "measure:edges.count",
        "count:edges",
    ],
)
def test_every_part_of_a_name_counts(text: str) -> None:
    with pytest.raises(RecipeError, match="no metric"):
        find(text)


def test_a_layer_is_the_one_that_the_text_names() -> None:
    found = find("inspection:edges.near_zero@conv1")
    assert (found.at, str(found)) == ("conv1", "inspection:edges.near_zero@conv1")
    assert KNOWN[6].at == ANY_LAYER


def test_a_curve_and_a_number_of_one_name_are_told_apart() -> None:
    assert find("validation_loss") is KNOWN[1]
    assert find("validation_loss", of_curve=True) is KNOWN[2]
    with pytest.raises(RecipeError, match=r"attack_loss:trace@8/255 is a curve; it needs kind = .curve"):
        find("attack_loss:trace@8/255")
    with pytest.raises(RecipeError, match="test_accuracy is one number, not a curve"):
        find("test_accuracy", of_curve=True)


def test_unknown_names_list_what_the_study_has() -> None:
    with pytest.raises(RecipeError) as caught:
        find("test_acuracy")
    said = str(caught.value)
    assert "Did you mean 'test_accuracy'?" in said
    listed = said.partition("metrics of this study: ")[2].split(", ")
    assert listed == [
        "test_accuracy",
        "validation_loss",
        "robust_accuracy:linf@8/255 or 16/255",
        "robust_accuracy:l2@0.5",
        f"inspection:edges.near_zero@{ANY_LAYER}",
        "inspection:edges.count",
    ]
    with pytest.raises(
        RecipeError, match=r"no curve 'x'\. The curves of this study: validation_loss, attack_"
    ):
        find("x", of_curve=True)


def test_a_table_that_the_study_lacks_is_named() -> None:
    with pytest.raises(RecipeError, match=re.escape("measured by [[attacks]] or [[attack_traces]]; add one")):
        find("robust_accuracy:linf@8/255", KNOWN[:1])
    with pytest.raises(RecipeError, match=re.escape("measure is measured by [[measures]]; add one")):
        find("measure:a.b")
    for text in ("inspection:other.count", "robust_accuracy:other@8/255"):  # there is such a table
        with pytest.raises(RecipeError) as caught:
            find(text)
        assert "add one" not in str(caught.value)
