"""Demonstrations in a study: read, run, remembered, claimed about, and in a report without any classifier."""

import math
import tomllib

import numpy as np
import pytest
from claim_checks import refuse_wrong_claims
from scipy import stats

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS, Demonstration, Outcome
from foolscope.experiments.parts.demonstrations.low_rank import LowRank
from foolscope.experiments.parts.demonstrations.part import demonstrate
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import as_toml, study_from
from foolscope.experiments.study_record import read_study_record
from foolscope.experiments.study_run import run_study
from foolscope.reports.pages import read_pictures, write_study_report

QUICK = {"name": "it", "kind": "linear-regression", "examples": 20, "steps": 30}
HEAD = {"name": "s", "title": "A title", "question": "Why?", "seeds": 4}


def study(*claims, demonstrations=(QUICK,), **changes):
    return study_from({**HEAD, "demonstrations": list(demonstrations), "claims": list(claims), **changes})


def claim(measure, relation, value, **changes):
    return {
        "sentence": "So it is",
        "kind": "value",
        "metric": f"measure:it.{measure}",
        "is": relation,
        "value": value,
        **changes,
    }


def judged(tmp_path, *claims, **changes):
    return run_study(study(*claims, **changes), Session(Store(tmp_path), device="cpu"))


def test_each_seed_is_run_once_and_then_read(tmp_path, monkeypatch):
    ran = []
    entry = DEMONSTRATIONS["linear-regression"]

    def counted(settings, seed):
        ran.append(seed)
        return entry.run(settings, seed)

    monkeypatch.setitem(
        DEMONSTRATIONS, "linear-regression", Demonstration(entry.settings, entry.measures, counted)
    )
    plans = study().entries("demonstrations")
    first = demonstrate(plans, range(2), Store(tmp_path))
    more = demonstrate(plans, range(3), Store(tmp_path))
    assert ran == [0, 1, 2]
    assert [measure.values[:2] for measure in more[0].measures] == [
        measure.values for measure in first[0].measures
    ]
    renamed = [plan.model_copy(update={"name": "other"}) for plan in plans]
    assert demonstrate(renamed, range(3), Store(tmp_path))[0].name == "other"
    assert len(ran) == 3
    demonstrate([plans[0].model_copy(update={"steps": 31})], range(1), Store(tmp_path))
    assert len(ran) == 4


def test_a_measure_has_its_mean_and_interval_over_the_seeds(tmp_path):
    (record,) = demonstrate(study().entries("demonstrations"), range(4), Store(tmp_path))
    found = record.measure("bound")
    values = [
        DEMONSTRATIONS[record.kind].run(study().entries("demonstrations")[0], seed).measures["bound"]
        for seed in range(4)
    ]
    assert found.values == pytest.approx(values)
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert not found.same
    assert record.measure("rises@0.0001").same


def test_numbers_that_are_not_finite_become_null(tmp_path, monkeypatch):
    broken = Demonstration(
        LowRank,
        lambda settings: {"odd": "an odd number"},
        lambda settings, seed: Outcome({"odd": math.inf if seed else 1.0}, {"x": [1.0, math.nan], "n": 3}),
    )
    monkeypatch.setitem(DEMONSTRATIONS, "low-rank", broken)
    plan = LowRank(name="it")
    (record,) = demonstrate([plan], range(2), Store(tmp_path))
    assert record.measure("odd").values == [1.0, None]
    assert record.measure("odd").mean is None
    assert record.data == {"x": [1.0, None], "n": 3}
    result = judged(
        tmp_path, claim("odd", "at most", 2), demonstrations=[{"name": "it", "kind": "low-rank"}], seeds=2
    ).claims[0]
    assert result.outcome == "undecided"
    assert "no finite number in 1 of 2 seeds" in result.reason


def test_what_is_the_same_with_every_seed_is_decided_as_it_stands(tmp_path):
    upheld, contradicted, near, off = judged(
        tmp_path,
        claim("rises@0.0001", "at most", 0),
        claim("rises@0.0001", "at least", 1),
        claim("rises@0.0001", "equal", 0.4, tolerance=0.5),
        claim("rises@0.0001", "equal", 3, tolerance=0.5),
    ).claims
    assert [each.outcome for each in (upheld, contradicted, near, off)] == [
        "upheld",
        "contradicted",
        "upheld",
        "contradicted",
    ]
    assert "steps at which the loss rose, at learning rate 0.0001: 0 in every seed" in upheld.reason
    assert upheld.reason.endswith("at most 0.")
    assert contradicted.reason.endswith("0 in every seed, below 1.")
    assert upheld.doubts == []
    assert (upheld.figures[0].value, upheld.figures[0].low) == (0, None)


def test_what_differs_between_seeds_is_tested_as_any_mean(tmp_path):
    record = judged(tmp_path, claim("bound", "at least", 0.001))
    values = record.of("demonstrations")[0].measure("bound").values
    expected = stats.ttest_1samp(values, 0.001, alternative="greater").pvalue
    assert record.claims[0].p_upheld == pytest.approx(expected)
    assert (record.claims[0].outcome == "upheld") == (expected < 0.05)
    assert record.claims[0].figures[0].value == pytest.approx(np.mean(values))


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"metric": "measure:other.bound"}, ["Did you mean 'measure:it.bound'?"]),
        ({"metric": "measure:it.bond"}, ["Did you mean 'measure:it.bound'?"]),
        ({"is": "equal"}, ["tolerance is required"]),
        ({"recipe": "mlp"}, ["unknown recipe 'mlp'"]),
        ({"metric": "test_accuracy"}, ["no metric 'test_accuracy'", "measure:it.bound"]),
    ],
)
def test_claims_that_cannot_be_tested_are_refused_in_one_line(changes, parts):
    with pytest.raises(RecipeError) as caught:
        refuse_wrong_claims(study({**claim("bound", "at least", 1), **changes}))
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_a_value_is_claimed_of_a_measure():
    compared = {
        "sentence": "So it is",
        "kind": "comparison",
        "metric": "measure:it.bound",
        "subject": "a",
        "against": "b",
        "is": "better",
    }
    recipe = {"dataset": {"name": "digits", "limit": 60}, "model": {"name": "softmax"}}
    with pytest.raises(RecipeError, match='kind = "value"'):
        refuse_wrong_claims(study(compared, recipes={"a": recipe, "b": recipe}))


@pytest.mark.parametrize(
    ("tables", "parts"),
    [
        ([{"name": "it", "kind": "curvefit"}], ["unknown kind of demonstration 'curvefit'", "'curve-fit'"]),
        ([{"name": "it"}], ["unknown kind of demonstration"]),
        ([{**QUICK, "step": 3}], ["demonstrations.0.step", "Did you mean 'steps'?"]),
        ([{**QUICK, "steps": 0}], ["demonstrations.0.steps", "greater than or equal to 1"]),
        ([QUICK, QUICK], ["called 'it'"]),
        ([], ["at least one recipe, or one of [[demonstrations]]"]),
        ([{**QUICK, "name": "It is"}], ["demonstrations.0.name"]),
    ],
)
def test_wrong_tables_are_refused_in_one_line(tables, parts):
    with pytest.raises(RecipeError) as caught:
        study(demonstrations=tables)
    for part in parts:
        assert part in str(caught.value)


def test_a_study_of_demonstrations_alone_runs_and_is_reported(tmp_path):
    record = judged(tmp_path, claim("rises@0.0001", "at most", 0))
    assert (record.trial_count, record.classes, record.of("training")) == (0, [], [])
    stored = read_study_record("s", Store(tmp_path))
    assert stored == record
    folder = tmp_path / "studies" / "s"
    files = write_study_report(stored, read_pictures(folder / "pictures.safetensors"), tmp_path / "out")
    for path in files.values():
        text = path.read_text(encoding="utf-8")
        assert "stability bound" in text
    page = files["html"].read_text(encoding="utf-8")
    assert "Models trained" not in page
    assert "The recipes, with every setting" not in page
    again = study_from(tomllib.loads(as_toml(study())))
    assert again == study()


def test_progress_is_told(tmp_path):
    told = []
    demonstrate(study().entries("demonstrations"), range(2), Store(tmp_path), told.append)
    assert [stage.done_fraction for stage in told] == [0.0, 0.5]
