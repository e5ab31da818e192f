"""The studies of the published experiments: they say what was published, and they run, on a tiny slice."""

import re
import tomllib

import pytest
from claim_checks import refuse_wrong_claims

from foolscope.experiments.reproduction import EXPERIMENTS
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import built_in_studies, read_study, study_from
from foolscope.experiments.study_run import run_study
from foolscope.reports.parts.inspections import answers

STUDIES = tuple(dict.fromkeys(experiment.study for experiment in EXPERIMENTS.values()))


def tiny(name):
    """The study as it is, but on a few digits, for an epoch or two, with two seeds and a short search."""
    values = tomllib.loads(built_in_studies()[name])
    for recipe in values.get("recipes", {}).values():
        recipe["dataset"] = {"name": "digits", "limit": 60}
        recipe.setdefault("training", {})["epochs"] = 2
    for plan in (*values.get("attack_traces", ()), *values.get("galleries", ())):
        plan |= {key: digit for key, digit in (("source", "6"), ("target", "5")) if key in plan}
        plan |= {"confidence": 0.1} if "confidence" in plan else {}
    for plan in (
        *values.get("attack_traces", ()),
        *values.get("attacks", ()),
        *values.get("inspections", ()),
    ):
        plan["images"] = 20
    for demonstration in values.get("demonstrations", ()):
        short = {"steps": 30, "training_steps": 2, "hidden": 8, "rows": 8}
        short |= {"line_ratios": [5.0, 8.0], "plane_ratios": [5.0, 6.0]}
        demonstration |= {key: value for key, value in short.items() if key in demonstration}
    for search in values.get("searches", ()):
        search |= {"trials": 2, "fresh_seeds": 3}
    return study_from({**values, "seeds": 2})


@pytest.mark.parametrize("name", STUDIES)
def test_they_run_and_every_claim_has_its_figures(tmp_path, name):
    study = tiny(name)
    record = run_study(study, Session(Store(tmp_path), device="cpu"))
    assert [claim.sentence for claim in record.claims] == [claim.sentence for claim in study.claims]
    for claim in record.claims:
        assert claim.figures
        published = [figure.published for figure in claim.figures]
        assert all(published) == (claim.published is not None)
    assert len(record.of("searches")) == len(study.entries("searches"))


@pytest.mark.parametrize("name", STUDIES)
def test_every_published_claim_belongs_to_an_experiment_of_its_study(name):
    study, text = read_study(name)
    refuse_wrong_claims(study)
    assert study.seeds >= 3
    sources = [claim.source for claim in study.claims if claim.source is not None]  # the others are ours
    assert sources
    for source in sources:
        assert EXPERIMENTS[source.partition(",")[0]].study == name
    assert "Chosen here, because it is not stated" in text


@pytest.mark.parametrize("name", STUDIES)
def test_figures_in_a_claims_text_are_those_of_its_ablation(name):
    study, _ = read_study(name)
    listed = [
        ", ".join(f"{figure:g}" for figure in figures)
        for plan in study.entries("ablations")
        for figures in plan.published.values()
    ]
    for claim in study.claims:
        if isinstance(claim.published, str):
            figures = ", ".join(f"{float(part):g}" for part in claim.published.split(","))
            assert figures in listed, claim.sentence


def test_every_level_of_a3_has_its_published_figure():
    study, _ = read_study("one-hidden-layer-cifar10")
    (plan,) = study.entries("ablations")
    assert {field: len(values) for field, values in plan.vary.items()} == dict.fromkeys(
        ("hidden", "batch_size", "learning_rate", "decay"), 4
    )
    assert plan.published.keys() == plan.vary.keys()
    mlp = study.recipes["mlp"]
    assert (mlp.model.hidden, mlp.training.batch_size, mlp.training.epochs) == ((100,), 128, 30)
    assert (mlp.optimizer.learning_rate, mlp.schedule.decay, mlp.regularization.l2) == (0.1, 0.9, 0.0)
    for field, values in plan.vary.items():  # the baseline was run once: .514 in every table
        own = {"hidden": 100, "batch_size": 128, "learning_rate": 0.1, "decay": 0.9}[field]
        assert plan.published[field][values.index(own)] == 0.514


@pytest.mark.parametrize(("name", "cycles", "steps"), [("one-cycle", 1, 1000), ("three-cycles", 3, 4800)])
def test_cycles_are_whole_and_have_the_published_number_of_steps(name, cycles, steps):
    study, text = read_study("cyclical-cifar10")
    recipe = study.recipes[name]
    batches, rest = divmod(recipe.dataset.limit, recipe.training.batch_size)
    assert rest == 0
    assert batches * recipe.training.epochs == steps == 2 * cycles * recipe.schedule.step_size
    assert (recipe.schedule.minimum_learning_rate, recipe.optimizer.learning_rate) == (1e-5, 1e-1)
    published = float(re.search(r"λ = ([\d.]+) is l2", text)[1])
    assert recipe.regularization.l2 / 2 == published == 0.01  # λ Σw² against (l2/2) Σw²


def test_a4_is_the_network_of_a3_and_a_step_of_the_published_length():
    study, _ = read_study("fooling-images-cifar10")
    (trace,), (gallery,) = study.entries("attack_traces"), study.entries("galleries")
    assert study.recipes == read_study("one-hidden-layer-cifar10")[0].recipes
    for plan in (trace, gallery):
        assert (plan.source, plan.target, plan.attack.name) == ("truck", "automobile", "fgsm")
        assert plan.norm == "l2"
    assert gallery.threat().epsilon * 255 == pytest.approx(91)
    assert gallery.threat().epsilon in trace.budgets()


def test_b4_takes_five_steps_of_two_gray_levels_where_the_budget_is_eight():
    study, text = read_study("robustness-cifar10")
    (trace,) = study.entries("attack_traces")
    assert trace.attack.steps == 5
    assert trace.attack.step_size is None
    assert 255 * 8 / 255 * trace.attack.path / 5 == 2
    taken = next(claim.published for claim in study.claims if "success_rate" in claim.metric)
    assert taken == pytest.approx((0.917 - 0.2564) / 0.917, abs=5e-5)
    assert f"{100 * taken:.2f} %" in text


def test_b4_asks_for_what_can_be_seen_and_the_study_says_what_that_is():
    study, text = read_study("robustness-cifar10")
    (look,) = study.entries("inspections")
    (claim,) = (each for each in study.claims if each.source == "B4, conclusion 1")
    assert (claim.metric, claim.relation) == (f"inspection:{look.name}.edge_difference", "at least")
    assert f'"Trace edges" means at least {claim.value:g}' in text
    assert claim.value == answers._CLEAR
    assert f"the first {look.images} test images" in text


def test_e4_is_about_predictions_as_confident_as_the_published_one():
    study, _ = read_study("adversarial-clothing")
    by_name = {trace.name: trace for trace in study.entries("attack_traces")}
    assert by_name["confident"].confidence == by_name["bag-to-shirt"].confidence == 0.99
    assert all(trace.attack.name == "fgsm" for trace in study.entries("attack_traces"))
    assert any(
        (plan.source, plan.target, plan.attack.name) == ("Bag", "T-shirt/top", "fgsm")
        for plan in study.entries("galleries")
    )
