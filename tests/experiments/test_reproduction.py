import pytest

from foolscope.core.errors import RecipeError
from foolscope.experiments.claims.records import ClaimRecord
from foolscope.experiments.reproduction import (
    EXPERIMENTS,
    claims_about,
    experiments_named,
    reproductions,
)
from foolscope.experiments.study_file import built_in_studies


def claim(source):
    return ClaimRecord(
        sentence="So it is",
        outcome="upheld",
        reason="",
        p_upheld=0.0,
        p_contradicted=1.0,
        seeds_needed=0,
        doubts=[],
        source=source,
    )


def test_every_experiment_has_a_built_in_study():
    assert {experiment.study for experiment in EXPERIMENTS.values()} <= set(built_in_studies())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("A2", ("A2",)),
        ("a3", ("A3",)),
        ("D", ("D1", "D2", "D3", "D4")),
        (" d3 ", ("D3",)),
        ("all", tuple(EXPERIMENTS)),
    ],
)
def test_a_name_is_an_experiment_a_letter_or_all(name, found):
    assert experiments_named(name) == found


@pytest.mark.parametrize(
    ("name", "hint"), [("D9", "Did you mean 'D'?"), ("A9", "Did you mean 'A'?"), ("zzz", "Known: A, A1, A2")]
)
def test_other_names_are_refused_with_the_nearest(name, hint):
    with pytest.raises(RecipeError) as caught:
        experiments_named(name)
    assert name in str(caught.value)
    assert hint in str(caught.value)


def test_a_study_is_run_once_for_all_its_experiments():
    check, cyclical = reproductions("D")
    assert (check.study, check.experiments) == ("gradient-check-cifar10", ("D1",))
    assert (cyclical.study, cyclical.experiments) == ("cyclical-cifar10", ("D2", "D3", "D4"))
    assert [each.study for each in reproductions("all")] == list(
        dict.fromkeys(experiment.study for experiment in EXPERIMENTS.values())
    )
    assert reproductions("D2")[0].experiments == ("D2",)


def test_claims_belong_to_the_experiment_with_which_their_source_begins():
    claims = [claim("A2, conclusion 1"), claim("D2"), claim("D21, baseline"), claim(None)]
    assert claims_about(claims, ("A2", "D2")) == claims[:2]
    assert claims_about(claims, ("D3",)) == []
