import pytest

from foolscope.core.errors import (
    DataError,
    FoolscopeError,
    RecipeError,
    StoreError,
    ThreatError,
    did_you_mean,
)


def test_the_nearest_name_is_suggested():
    assert did_you_mean("learnig_rate", ["momentum", "learning_rate"]) == (
        "Did you mean 'learning_rate'? Known: learning_rate, momentum"
    )


def test_a_name_like_none_gets_the_list_only():
    assert did_you_mean("qqqq", {"b": 1, "a": 2}) == "Known: a, b"


@pytest.mark.parametrize(
    ("error", "builtin"),
    [(DataError, ValueError), (RecipeError, ValueError), (StoreError, OSError), (ThreatError, ValueError)],
)
def test_every_error_is_ours_and_a_builtin_one(error, builtin):
    assert issubclass(error, FoolscopeError)
    assert issubclass(error, builtin)
    assert str(error("one line")) == "one line"
