from typing import Literal

import pydantic
import pytest
from pydantic import Field

from foolscope.core.errors import RecipeError
from foolscope.core.settings import Settings, one_line, plain_words


class Inner(Settings):
    rate: float = Field(0.5, gt=0.0, lt=1.0)
    kind: Literal["a", "b"] = "a"

    @pydantic.field_validator("kind")
    @classmethod
    def _refuse_b(cls, value: str) -> str:
        if value == "b":
            raise ValueError("b is sold out")
        return value


class Outer(Settings):
    inner: Inner = Inner()
    count: int = 1
    path: str

    @pydantic.model_validator(mode="after")
    def _refuse_thirteen(self) -> "Outer":
        if self.count == 13:
            raise ValueError("thirteen is unlucky")
        return self


def complaint(values, known=None):
    with pytest.raises(pydantic.ValidationError) as caught:
        Outer.model_validate({"path": "here", **values})
    error = one_line(caught.value, known)
    assert isinstance(error, RecipeError)
    assert "\n" not in str(error)
    return str(error)


def test_settings_are_closed_frozen_and_hashable():
    settings = Outer(count=2, path="here")
    with pytest.raises(pydantic.ValidationError):
        settings.count = 3
    assert settings.count == 2
    assert hash(settings) == hash(Outer(count=2, path="here"))
    with pytest.raises(pydantic.ValidationError):
        Outer(counts=2, path="here")


@pytest.mark.parametrize("rate", [float("nan"), float("inf")])
def test_infinity_and_nan_are_refused(rate):
    assert "inner.rate" in complaint({"inner": {"rate": rate}})


def test_unknown_fields_get_the_nearest_name_of_their_own_level():
    known = {"": ["inner", "count"], "inner": ["rate", "kind"]}
    assert (
        complaint({"cuont": 1}, known) == "unknown field 'cuont'. Did you mean 'count'? Known: count, inner"
    )
    assert (
        complaint({"inner": {"rat": 1}}, known)
        == "unknown field 'inner.rat'. Did you mean 'rate'? Known: kind, rate"
    )
    assert complaint({"inner": {"rat": 1}}) == "unknown field 'inner.rat'."


def test_values_out_of_range_say_field_rule_and_value():
    assert complaint({"inner": {"rate": 2}}) == "inner.rate: input should be less than 1; got 2"
    assert complaint({"inner": {"kind": "c"}}) == "inner.kind: input should be 'a' or 'b'; got 'c'"
    assert complaint({"count": "x\ny"}).endswith(r"; got 'x\ny'")


def test_our_own_messages_are_passed_on_as_they_are():
    assert complaint({"inner": {"kind": "b"}}) == "inner.kind: b is sold out"
    assert complaint({"count": 13}) == "thirteen is unlucky"


def test_a_missing_value_is_asked_for():
    with pytest.raises(pydantic.ValidationError) as caught:
        Outer.model_validate({})
    assert str(one_line(caught.value)) == "path is required and has no default; give it a value"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (4 / 255, "4/255"),
        (0.2, "0.2"),
        (1.0, "1.0"),
        (0.0, "0.0"),
        (1e-5, "1e-05"),
        (True, "true"),
        (0.12345678901, "0.12345678901"),
    ],
)
def test_values_as_people_write_them(value, words):
    assert plain_words(value) == words
