"""The claims of a study file: what reads well, and what is refused."""

import tomllib
from typing import Any

import pydantic
import pytest

from foolscope.experiments.claims.claim import (
    Claim,
    ComparisonClaim,
    CurveClaim,
    Selector,
    TrendClaim,
    ValueClaim,
)

CLAIMS = pydantic.TypeAdapter(list[Claim])

STUDY = """
[[claims]]
sentence = "A larger batch is worse"
kind = "trend"
recipe = "mlp"
factor = "batch_size"
is = "falls"

[[claims]]
sentence = "Test accuracy 51.4 %"
kind = "value"
recipe = "mlp"
value = 0.514
tolerance = 0.01
published = 0.514
source = "A3"

[[claims]]
sentence = "L1 beats none"
kind = "comparison"
subject = "l1"
against = "none"
is = "better"
published = ".6844 against .6512"

[[claims]]
sentence = "0.1 is the best learning rate of the four"
kind = "comparison"
recipe = "mlp"
subject = { learning_rate = 0.1 }
against = [{ learning_rate = 0.2 }, { learning_rate = 0.05 }, { recipe = "slow", hidden = [100] }]
is = "best"

[[claims]]
sentence = "Decay has an optimum"
kind = "trend"
recipe = "mlp"
factor = "decay"
levels = [1, 0.99, 0.9, 0.8]
is = "peaks"
at = 0.9
"""


def claims() -> list[Any]:
    return CLAIMS.validate_python(tomllib.loads(STUDY)["claims"])


def test_a_study_file_reads_as_written() -> None:
    trend, value, plain, best, peak = claims()
    assert isinstance(trend, TrendClaim)
    assert (trend.relation, trend.metric, trend.cells()) == ("falls", "test_accuracy", ())
    assert isinstance(value, ValueClaim)
    assert (value.relation, value.published, value.cells()) == ("equal", 0.514, (Selector(recipe="mlp"),))
    assert isinstance(plain, ComparisonClaim)
    assert plain.cells() == (Selector(recipe="l1"), Selector(recipe="none"))
    assert best.cells() == (
        Selector(recipe="mlp", settings={"learning_rate": 0.1}),
        Selector(recipe="mlp", settings={"learning_rate": 0.2}),
        Selector(recipe="mlp", settings={"learning_rate": 0.05}),
        Selector(recipe="slow", settings={"hidden": [100]}),
    )
    assert [cell.settings["decay"] for cell in peak.cells()] == [1, 0.99, 0.9, 0.8]


def test_claims_survive_the_way_to_json_and_back() -> None:
    assert CLAIMS.validate_json(CLAIMS.dump_json(claims(), by_alias=True)) == claims()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "hunch"}, "'value', 'comparison', 'trend', 'curve'"),
        ({"is": "wobbles"}, "'rises', 'falls'"),
        ({"tolerance": 0.1}, "Extra inputs are not permitted"),
        ({"sentence": ""}, "at least 1 character"),
        ({"is": "peaks"}, "needs the level of the peak"),
        ({"at": 128}, "nothing else takes it"),
        ({"levels": [128]}, "at least 2 items"),
        ({"is": "peaks", "at": 128, "levels": [128, 256, 512]}, r"inner levels \[256\]; got 128"),
    ],
)
def test_trends_that_are_refused(change: dict[str, Any], message: str) -> None:
    entry = {"sentence": "s", "kind": "trend", "recipe": "mlp", "factor": "batch_size", "is": "falls"}
    CLAIMS.validate_python([entry])
    with pytest.raises(pydantic.ValidationError, match=message):
        CLAIMS.validate_python([{**entry, **change}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subject": {"batch_size": 128}}, "need a recipe each"),
        ({"against": []}, "at least 1 item"),
        ({"against": "l1"}, "compared with itself"),
        ({"value": 0.5}, "Extra inputs are not permitted"),
        ({"is": "rises"}, "'better', 'worse'"),
    ],
)
def test_comparisons_that_are_refused(change: dict[str, Any], message: str) -> None:
    entry = {"sentence": "s", "kind": "comparison", "subject": "l1", "against": "none", "is": "better"}
    CLAIMS.validate_python([entry])
    with pytest.raises(pydantic.ValidationError, match=message):
        CLAIMS.validate_python([{**entry, **change}])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tolerance": 0.0}, "tolerance must be positive"),
        ({"tolerance": -0.1}, "greater than or equal to 0"),
        ({"value": float("nan")}, "finite number"),
        ({"is": "better"}, "'equal', 'at least' or 'at most'"),
    ],
)
def test_values_that_are_refused(change: dict[str, Any], message: str) -> None:
    entry = {"sentence": "s", "kind": "value", "recipe": "mlp", "value": 0.5, "is": "equal"}
    CLAIMS.validate_python([entry, {**entry, "is": "at least", "tolerance": 0.0}])
    with pytest.raises(pydantic.ValidationError, match=message):
        CLAIMS.validate_python([{**entry, **change}])


CURVE = {
    "sentence": "s",
    "kind": "curve",
    "recipe": "mlp",
    "metric": "validation_loss",
    "is": "turns upwards",
    "meanwhile": {"metric": "running_loss", "is": "falls"},
}


def test_curves_read_as_written_and_survive_the_way_to_json() -> None:
    (curve,) = parsed = CLAIMS.validate_python([CURVE])
    assert isinstance(curve, CurveClaim)
    assert (curve.metric, curve.relation, curve.by) == ("validation_loss", "turns upwards", None)
    assert curve.meanwhile is not None
    assert (curve.meanwhile.metric, curve.meanwhile.relation) == ("running_loss", "falls")
    assert curve.cells() == (Selector(recipe="mlp"),)
    assert CLAIMS.validate_json(CLAIMS.dump_json(parsed, by_alias=True)) == parsed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"is": "keeps falling"}, "'rises', 'falls', 'rises steadily'"),
        ({"is": "rises steadily"}, "a steady relation"),
        ({"meanwhile": {"metric": "validation_loss", "is": "falls"}}, "other than validation_loss"),
        ({"meanwhile": {"metric": "running_loss", "is": "turns upwards"}}, "'rises' or 'falls'"),
        ({"by": 0.0}, "greater than 0"),
        ({"factor": "l2"}, "Extra inputs are not permitted"),
        ({"metric": None}, "valid string"),
    ],
)
def test_curves_that_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=message):
        CLAIMS.validate_python([{**CURVE, **change}])
