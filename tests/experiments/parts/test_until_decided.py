"""Seeds added until everything is decided: which trials train, what is remembered, what is said."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts import until_decided
from foolscope.experiments.parts.ablation_record import AblationRecord
from foolscope.experiments.parts.ablations import ablate, ablation_cells
from foolscope.experiments.parts.looks import earlier_looks, remember_look
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.executors import job
from foolscope.experiments.running.run import Session, StageEvent, run_trials
from foolscope.experiments.running.store import Store, StoredTrial
from foolscope.experiments.study_file import study_from
from foolscope.experiments.study_run import run_study
from foolscope.reports import render_html, render_markdown
from foolscope.reports.pages import study_document
from foolscope.reports.parts.ablations import ablation_document
from foolscope.statistics.any_look import judge_at_any_look

BASE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 150},
        "model": {"name": "mlp", "hidden": [8]},
        "training": {"epochs": 2, "batch_size": 32},
        "optimizer": {"name": "sgd", "learning_rate": 0.5},
        "precision": "float32",
    }
)
VARY = {"learning_rate": [0.0001, 0.4], "l2": [1e-9]}
"""One value that hurts, one that is hard to tell, and one that does nothing."""
OPTIONS = {"seeds": 4, "practical_difference": 0.02, "metric": "test_accuracy"}


@pytest.fixture
def session(tmp_path):
    return Session(Store(tmp_path / "store"), device="cpu")


@pytest.fixture
def trained(monkeypatch):
    """Return the list of recipes that are trained from now on."""
    recipes = []
    train_pack = job.train_pack

    def spy(pack, *args, **kwargs):
        recipes.extend(pack)
        return train_pack(pack, *args, **kwargs)

    monkeypatch.setattr(job, "train_pack", spy)
    return recipes


def levels_of(record: AblationRecord):
    return {level.cell: level for factor in record.factors for level in factor.levels}


# ------------------------------------------------------------------ with numbers instead of trainings


@dataclass(frozen=True)
class Drawn(StoredTrial):
    """A trial whose metric was drawn."""

    value: float = 0.0

    def metric(self, name):
        return self.value

    def step(self, name):
        return 0.0

    def correct(self, split):
        return None


@pytest.fixture
def numbers(monkeypatch):
    """Replace training by drawing: the metric of a trial follows from its learning rate and seed."""
    drawn = []

    def value(recipe):
        noise = np.random.default_rng([recipe.seed, round(1e6 * recipe.optimizer.learning_rate)]).normal()
        return {0.5: 0.0, 0.0001: -6.0, 0.4: 1.0, 0.3: 0.0}[recipe.optimizer.learning_rate] + noise

    def run(recipes, session, observe):
        drawn.append([(recipe.optimizer.learning_rate, recipe.seed) for recipe in recipes])
        return [
            Drawn(
                f"{recipe.optimizer.learning_rate}-{recipe.seed}",
                recipe,
                {"status": "finished"},
                {},
                Path(),
                value(recipe),
            )
            for recipe in recipes
        ]

    monkeypatch.setattr(until_decided, "run_trials", run)
    return drawn


def decided(session, rates=(0.0001, 0.4, 0.3), seeds=5, most=60, observe=lambda event: None):
    cells = ablation_cells(BASE, {"learning_rate": list(rates)})
    return until_decided.train_until_decided(
        cells,
        seeds=seeds,
        most_seeds=most,
        metric="test_accuracy",
        practical_difference=1.2,
        session=session,
        observe=observe,
        first_label=0,
    )


def test_only_open_cells_and_the_baseline_get_more_seeds(session, numbers):
    result = decided(session)
    looks = result.record.looks
    assert [look.seeds for look in looks][:4] == [5, 7, 9, 11]
    assert looks[0].cells == ["learning_rate = 0.0001", "learning_rate = 0.4", "learning_rate = 0.3"]
    still = set(looks[0].cells)
    for look, drawn in zip(looks, numbers, strict=True):
        assert set(look.cells) == still
        rates = {0.5} | {float(cell.split(" = ")[1]) for cell in look.cells}
        assert set(drawn) == {(rate, seed) for rate in rates for seed in range(look.seeds)}
        still -= set(look.decided)
    assert still == set()
    outcomes = {verdict.cell: verdict.outcome for verdict in result.verdicts}
    assert outcomes["learning_rate = 0.0001"] == "hurts"
    assert {name: outcome for look in looks for name, outcome in look.decided.items()} == outcomes
    counts = [len(own) for own in result.trials]
    assert counts[0] == max(counts) == looks[-1].seeds
    assert min(counts) < max(counts)
    assert result.record.trainings == sum(counts) < result.record.fixed_trainings == 4 * max(counts)


def test_verdicts_are_those_of_the_unequal_design(session, numbers):
    result = decided(session)
    assert result.design.absent is not None
    assert result.design.step == 0
    judged = judge_at_any_look(result.design, "baseline", practical_difference=1.2)
    assert tuple(look.verdict for look in judged) == result.verdicts


def test_the_budget_ends_it(session, numbers):
    events = []
    result = decided(session, seeds=3, most=6, observe=events.append)
    assert [look.seeds for look in result.record.looks] == [3, 5, 6]
    assert "undecided" in {verdict.outcome for verdict in result.verdicts}
    assert [event.name for event in events] == ["deciding"] * 3
    assert all(isinstance(event, StageEvent) and event.stays for event in events)
    assert events[0].detail.startswith("after 3 seeds, 0 of 3 comparisons are closed; about ")


def test_more_seeds_are_added_as_there_are_more():
    assert [until_decided.further_seeds_at_once(seeds) for seeds in (2, 5, 11, 40)] == [2, 2, 2, 10]


def test_a_budget_without_a_reason_is_refused():
    assert until_decided.budget_of(False, None) is None
    assert until_decided.budget_of(True, None) == until_decided.MOST_SEEDS
    assert until_decided.budget_of(True, 7) == 7
    with pytest.raises(RecipeError, match="most_seeds is only used with until_decided; got most_seeds = 7"):
        until_decided.budget_of(False, 7)


# ------------------------------------------------------------------ with trainings


def test_a_run_that_was_killed_takes_the_same_looks(session, trained, tmp_path, monkeypatch):
    whole = ablate(BASE, VARY, **OPTIONS, most_seeds=8, session=session)
    once = len(trained)
    assert once == whole.until_decided.trainings

    def dies(event):
        if isinstance(event, StageEvent) and event.name == "deciding" and "after 6" in event.detail:
            raise KeyboardInterrupt

    other = Session(Store(tmp_path / "other"), device="cpu")
    with pytest.raises(KeyboardInterrupt):
        ablate(BASE, VARY, **OPTIONS, most_seeds=8, session=other, observe=dies)
    again = ablate(BASE, VARY, **OPTIONS, most_seeds=8, session=other)
    assert again == whole
    assert len(trained) == 2 * once  # nothing twice
    files = {path.name for path in (session.store.root / "looks").rglob("*.json")}
    assert files == {path.name for path in (other.store.root / "looks").rglob("*.json")}


def test_the_record_holds_unequal_numbers_of_seeds_and_says_what_was_saved(session):
    record = ablate(BASE, VARY, **OPTIONS, most_seeds=12, session=session)
    levels = levels_of(record)
    assert levels["learning_rate = 0.0001"].outcome == "hurts"
    assert len(levels["learning_rate = 0.0001"].values) < len(record.base.values) == len(record.seeds)
    assert AblationRecord.model_validate(json.loads(record.model_dump_json())) == record
    text, _ = render_markdown(ablation_document(record))
    looks = record.until_decided
    assert f"{looks.trainings} trainings instead of {looks.fixed_trainings}" in text
    assert "look after every seed" in text
    assert "Looks at the ablation" in render_html(ablation_document(record))


def test_whoever_adds_seeds_after_a_verdict_gets_verdicts_that_allow_for_it(session):
    def run(seeds, vary=VARY, **options):
        return ablate(BASE, vary, **{**OPTIONS, "seeds": seeds, **options}, session=session)

    first = run(3)
    assert first.earlier_looks == []
    assert run(3) == first  # the same look again
    later = run(6)
    assert later.earlier_looks == [3]
    rows = [later.base, levels_of(later)["learning_rate = 0.0001"], *list(levels_of(later).values())]
    assert all(len(level.values) == 6 for level in rows)
    cells = ablation_cells(BASE, VARY)
    recipes = [with_values(cell.recipe, {"seed": seed}) for cell in cells for seed in range(6)]
    trials = run_trials(recipes, session)
    rows = [trials[start : start + 6] for start in range(0, len(trials), 6)]
    design = until_decided.design_of(cells, rows, "test_accuracy", 0)
    assert design.correct.shape == (len(cells), 6, 359)
    assert design.values[1].tolist() == levels_of(later)[cells[1].label].values
    # The first look was an ordinary test at 5 %.
    assert (first.level, later.level) == (0.05, 0.01)
    for look in judge_at_any_look(design, "baseline", practical_difference=0.02, alpha=0.01):
        level = levels_of(later)[look.verdict.cell]
        assert (level.p_different, level.outcome) == (look.verdict.p_different, look.verdict.outcome)
    assert "judged before, with 3 seeds" in render_markdown(ablation_document(later))[0]
    assert "judged before" not in render_markdown(ablation_document(first))[0]
    assert run(5).earlier_looks == [3]
    assert run(3).earlier_looks == []
    # Other cells, another metric: nothing of theirs was seen.
    assert run(4, vary={"l2": [0.5]}).earlier_looks == []
    assert run(4, metric="validation_accuracy").earlier_looks == []
    assert run(4, vary={"l2": [0.5, 1e-9]}).earlier_looks == [3]


def test_a_diverged_cell_is_closed_and_a_diverged_baseline_ends_it(session):
    record = ablate(
        BASE, {"learning_rate": [1e30, 0.4]}, **{**OPTIONS, "seeds": 2}, most_seeds=4, session=session
    )
    assert levels_of(record)["learning_rate = 1e+30"].outcome == "diverged"
    assert len(levels_of(record)["learning_rate = 1e+30"].values) == 2
    wild = with_values(BASE, {"learning_rate": 1e30})
    record = ablate(wild, {"learning_rate": [0.4]}, **{**OPTIONS, "seeds": 2}, most_seeds=8, session=session)
    assert [look.seeds for look in record.until_decided.looks] == [2]


def test_mistakes_are_found_before_anything_is_trained(session, trained):
    with pytest.raises(RecipeError, match=r"most_seeds must be at least .* 4; got 3"):
        ablate(BASE, VARY, **OPTIONS, most_seeds=3, session=session)
    assert trained == []


def test_adding_seeds_after_a_fixed_look_has_less_to_spend(session):
    fixed = ablate(BASE, {"l2": [1e-9]}, **{**OPTIONS, "seeds": 2}, session=session)
    record = ablate(BASE, VARY, **OPTIONS, most_seeds=5, session=session)
    assert (fixed.level, record.level, record.earlier_looks) == (0.05, 0.01, [2])
    assert "The level is 1 %" in render_markdown(ablation_document(record))[0]
    assert ablate(BASE, VARY, **OPTIONS, most_seeds=5, session=session) == record
    # Where the earlier looks allowed for later ones, nothing is spent.
    other = ablate(BASE, {"l2": [0.3]}, **OPTIONS, most_seeds=5, session=session)
    again = ablate(BASE, {"l2": [0.3]}, **{**OPTIONS, "seeds": 6}, session=session)
    assert (other.level, other.earlier_looks) == (0.05, [])
    assert again.level == 0.05
    assert again.earlier_looks == sorted({look.seeds for look in other.until_decided.looks})


def test_the_ledger_knows_fewer_seeds_of_the_same_cells(tmp_path):
    store = Store(tmp_path)
    known = {"baseline": "b", "metric": "test_accuracy"}

    def earlier(cells, seeds, **others):
        looks = earlier_looks(store, **{**known, **others}, cells=cells, seeds=seeds)
        return looks.seeds, looks.alpha

    remember_look(store, **known, seeds={"x": 5, "y": 5}, outcomes={"x": "undecided"}, mode="any look")
    assert earlier(["x"], 8) == ([5], 0.05)
    assert earlier(["x"], 5) == ([], 0.05)
    assert earlier(["z"], 8) == ([], 0.05)
    assert earlier(["x"], 8, baseline="c") == ([], 0.05)
    (path,) = store.root.rglob("*.json")
    before = path.read_text()
    remember_look(store, **known, seeds={"x": 5, "y": 5}, outcomes={"x": "helps"}, mode="any look")
    assert path.read_text() == before  # the first time it was seen
    remember_look(store, **known, seeds={"y": 4}, outcomes={"y": "undecided"}, mode="fixed")
    assert earlier(["x"], 8) == ([5], 0.05)
    assert earlier(["x", "y"], 8) == ([4, 5], 0.01)
    assert earlier_looks(store, **known, cells=["x", "y"], seeds=8).fixed == [4]


# ------------------------------------------------------------------ in a study


STUDY = {
    "name": "seeds",
    "title": "Seeds",
    "question": "Which learning rate?",
    "seeds": 4,
    "practical_difference": 0.02,
    "recipes": {"mlp": BASE.model_dump(mode="json")},
}


def test_a_study_adds_seeds_to_its_ablation_only(session):
    entry = {"recipe": "mlp", "vary": VARY, "until_decided": True, "most_seeds": 8}
    study = study_from({**STUDY, "ablations": [entry]})
    record = run_study(study, session)
    (ablation,) = record.of("ablations")
    alone = ablate(BASE, VARY, **OPTIONS, most_seeds=8, session=session)
    assert ablation.until_decided == alone.until_decided
    assert record.trial_count == ablation.until_decided.trainings
    assert "instead of" in render_html(study_document(record, {}))


def test_a_study_whose_budget_is_too_small_is_refused(session):
    entry = {"recipe": "mlp", "vary": VARY, "until_decided": True, "most_seeds": 3}
    study = study_from({**STUDY, "ablations": [entry]})
    with pytest.raises(RecipeError, match=r"ablations.0: most_seeds must be at least .* 4; got 3"):
        run_study(study, session)
