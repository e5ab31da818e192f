"""Inspections of a study: numbers of every seed, pictures of the first, claims, and the report."""

import html
import re

import numpy as np
import pytest
import torch
from claim_checks import refuse_wrong_claims
from scipy import stats
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.inspections import part as seeds_module
from foolscope.experiments.parts.inspections.part import InspectionPlan, inspected_record
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import study_from
from foolscope.experiments.study_record import read_study_record
from foolscope.experiments.study_run import run_study
from foolscope.inspection.attribution.edges import edges
from foolscope.learning.measuring.evaluation import to_pixels
from foolscope.reports import render_html
from foolscope.reports.pages import read_pictures, study_document

RECIPE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 150},
        "model": {"name": "mlp", "hidden": [8]},
        "optimizer": {"name": "sgd", "learning_rate": 0.5},
        "training": {"epochs": 2, "batch_size": 32},
        "precision": "float32",
    }
)
SEEDS, IMAGES = 3, 30
PLAN = {"name": "in", "recipe": "mlp", "images": IMAGES}
EDGES = {**PLAN, "name": "edges", "parts": ["input-gradients"]}
DIFFERENCE = "inspection:edges.edge_difference"


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return Session(Store(tmp_path_factory.mktemp("store")), device="cpu")


@pytest.fixture(scope="module")
def trials(session):
    return run_trials([with_values(RECIPE, {"seed": seed}) for seed in range(SEEDS)], session)


@pytest.fixture(scope="module")
def wild(session):
    (trial,) = run_trials([with_values(RECIPE, {"learning_rate": 1e39, "seed": 7})], session)
    return trial


def inspected(trials, session, **changes):
    plan = InspectionPlan.model_validate({**PLAN, **changes})
    return inspected_record(plan, trials, session, lambda fraction, detail: None)


def first_images(session):
    test = session.dataset(RECIPE.dataset).test
    return to_pixels(test.images[:IMAGES], torch.float32), test.labels[:IMAGES]


def strengths(model, images, labels):
    """|gradient| of each image's loss, summed over channels."""
    pixels = images.clone().requires_grad_()
    nn.functional.cross_entropy(model(pixels), labels, reduction="sum").backward()
    return pixels.grad.abs().sum(1)


def study_with(*claims, **changes):
    head = {"name": "tiny", "title": "A title", "question": "Why?", "seeds": SEEDS}
    recipes = {"mlp": RECIPE, "wild": with_values(RECIPE, {"learning_rate": 1e39})}
    values = {"recipes": recipes, "inspections": [EDGES], "claims": list(claims)}
    return study_from({**head, **values, **changes})


def claim(metric=DIFFERENCE, value=0.0, **changes):
    entry = {"sentence": f"{metric} {value}", "kind": "value", "metric": metric, "value": value}
    return {**entry, "is": "at least", **changes}


def test_numbers_are_those_of_every_seed(trials, session):
    record, _ = inspected(trials, session)
    images, labels = first_images(session)
    outlines = edges(images)
    for place, trial in enumerate(trials):
        model = trial.model()
        gradients = strengths(model, images, labels)
        own = [np.corrcoef(*map(np.ravel, pair))[0, 1] for pair in zip(gradients, outlines, strict=True)]
        assert record.measure("edge_own").values[place] == pytest.approx(np.mean(own), abs=1e-5)
        probabilities = model(images).softmax(1).detach()
        right = (probabilities.argmax(1) == labels).double()
        assert record.measure("accuracy").values[place] == pytest.approx(float(right.mean()))
        confidence = float(probabilities.amax(1).double().mean())
        assert record.measure("confidence").values[place] == pytest.approx(confidence, abs=1e-6)
        for name, layer in model.named_modules():
            if isinstance(layer, nn.Linear):
                size = layer.weight.detach().double().abs()
                near = (size < size.square().mean().sqrt() / 10).double().mean()
                assert record.measure(f"near_zero@{name}").values[place] == pytest.approx(float(near))
                shares = torch.linalg.svdvals(layer.weight.detach().double())
                shares /= shares.sum()
                rank = float(torch.exp(-(shares * shares.log()).sum()))
                assert record.measure(f"effective_rank@{name}").values[place] == pytest.approx(rank)
    calibration = record.first.calibration
    for name, field in (
        ("calibration_error", "expected_error"),
        ("calibration_by_chance", "expected_by_chance"),
        ("negative_log_likelihood", "negative_log_likelihood"),
        ("brier_score", "brier_score"),
    ):
        assert record.measure(name).values[0] == getattr(calibration, field)
    found = record.measure("edge_difference")
    parts = [np.array(record.measure(f"edge_{whose}").values) for whose in ("own", "other")]
    assert found.values == pytest.approx(parts[0] - parts[1])
    low, high = stats.t.interval(0.95, SEEDS - 1, np.mean(found.values), stats.sem(found.values))
    assert (found.mean, found.low, found.high) == pytest.approx((np.mean(found.values), low, high))


def test_pictures_are_of_the_first_seed_that_did_not_diverge(wild, trials, session):
    record, arrays = inspected([wild, *trials[1:]], session, **EDGES)
    assert record.seeds == [1, 2]
    images, labels = first_images(session)
    model = trials[1].model()
    wrong = (model(images).argmax(1) != labels).nonzero().flatten().tolist()
    gradients = record.first.input_gradients
    assert [each.image for each in gradients.wrong] == [f"wrong-{place}-image" for place in wrong[:4]]
    shown = arrays[f"inspection-edges-wrong-{wrong[0]}-gradient"]
    expected = strengths(model, images, labels)[wrong[0]]
    scaled = (expected / torch.quantile(expected.double(), 0.99)).clamp(max=1).float()
    torch.testing.assert_close(shown, scaled)
    assert record.first.name == "mlp"


def test_what_was_found_is_read_and_only_pictures_are_made_anew(trials, session, monkeypatch):
    plain = {"parts": ["calibration", "histograms"]}
    first, pictured = inspected(trials, session, **plain), inspected(trials, session, **EDGES)
    asked = []
    inspect = seeds_module.inspect_subject

    def spy(subject, parts, **more):
        asked.append((subject.facts["run"], list(parts)))
        return inspect(subject, parts, **more)

    monkeypatch.setattr(seeds_module, "inspect_subject", spy)
    assert inspected(trials, session, **plain) == first
    assert (
        inspected(trials, session, parts=plain["parts"][::-1], name="other")[0].measures == first[0].measures
    )
    assert asked == []
    record, arrays = inspected(trials, session, **EDGES)
    assert asked == [(trials[0].identity, ["input-gradients"])]
    assert record == pictured[0]
    assert all(torch.equal(arrays[key], array) for key, array in pictured[1].items())
    asked.clear()
    inspected(trials, session, **{**plain, "images": IMAGES - 1})
    inspected(trials, session, parts=["calibration"])
    assert len(asked) == 2 * SEEDS


def test_claims_are_decided_by_the_number_of_every_seed(session):
    study = study_with(claim(value=-0.9), claim(value=0.9), claim("inspection:edges.accuracy"))
    record = run_study(study, session)
    assert [each.outcome for each in record.claims] == ["upheld", "contradicted", "upheld"]
    values = record.of("inspections")[0].measure("edge_difference").values
    p = stats.ttest_1samp(values, 0.9, alternative="less").pvalue
    assert record.claims[1].p_contradicted == pytest.approx(min(1, 3 * p), rel=1e-6)
    assert record.claims[0].figures[0].value == pytest.approx(np.mean(values))


MAPS = {
    **PLAN,
    "name": "maps",
    "parts": ["attributions", "attribution-sanity"],
    "methods": ["gradient", {"name": "smoothgrad", "samples": 2}],
}


def test_claims_about_attribution_methods(session):
    study = study_with(
        claim("inspection:maps.edge_difference@smoothgrad", -0.9),
        claim("inspection:maps.attribution_sanity@gradient", 0.95),
        inspections=[MAPS],
    )
    record = run_study(study, session)
    assert [each.outcome for each in record.claims] == ["upheld", "contradicted"]
    (found,) = record.of("inspections")
    first = found.first
    assert [each.method for each in first.attributions.methods] == ["gradient", "smoothgrad"]
    assert "2 noisy copies" in first.attributions.methods[1].reading
    for measure, own in (
        ("edge_own@gradient", first.attributions.methods[0].own),
        ("edge_difference@smoothgrad", first.attributions.methods[1].difference),
        ("attribution_sanity@gradient", first.attribution_sanity.methods[0].final.own),
    ):
        values = found.measure(measure).values
        assert values[0] == own.mean
        assert len(set(values)) == SEEDS


def test_other_settings_of_a_method_are_other_results(trials, session):
    one, two = (
        inspected(trials, session, **{**MAPS, "methods": [{"name": "smoothgrad", "samples": samples}]})[0]
        for samples in (2, 3)
    )
    assert one.measure("edge_own@smoothgrad").values != two.measure("edge_own@smoothgrad").values


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ["gradcam"]}, "unknown attribution method 'gradcam'. Did you mean 'grad-cam'"),
        ({"methods": [{"name": "smoothgrad", "sample": 3}]}, "Did you mean 'samples'"),
        ({"methods": ["gradient", "gradient"]}, "given twice"),
        ({"parts": ["histograms"]}, "methods are for the parts attribution-sanity and attributions"),
    ],
)
def test_methods_of_a_study_that_make_no_sense_are_one_line(changes, words):
    with pytest.raises(RecipeError) as caught:
        study_with(inspections=[{**MAPS, **changes}])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_claim_about_a_method_that_does_not_apply_is_refused_before_training(tmp_path):
    study = study_with(
        claim("inspection:maps.edge_difference@grad-cam"), inspections=[{**MAPS, "methods": ["grad-cam"]}]
    )
    with pytest.raises(RecipeError, match="mlp: Grad-CAM needs a convolution"):
        run_study(study, Session(Store(tmp_path), device="cpu"))
    assert not (tmp_path / "trials").exists()


def test_what_diverged_was_not_inspected(session):
    study = study_with(claim(), inspections=[{**EDGES, "recipe": "wild"}])
    record = run_study(study, session)
    assert record.of("inspections") == []
    assert record.claims[0].outcome == "undecided"
    assert "wild diverged in 3 of 3 seeds" in record.claims[0].reason


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"metric": "inspection:edge.edge_difference"}, ["Did you mean 'inspection:edges.edge_difference'?"]),
        ({"metric": "inspection:edges.edge_diference"}, ["Did you mean 'inspection:edges.edge_difference'?"]),
        ({"metric": "inspection:edges.near_zero"}, ["'inspection:edges.near_zero'", "edge_difference"]),
        ({"metric": "inspection:edges.brier_score"}, ["'inspection:edges.brier_score'", "edge_difference"]),
        ({"metric": "inspection:edges.near_zero@body.1"}, ["near_zero@body.1", "edge_difference"]),
        ({"metric": "inspection:edges.edge_own@smoothgrad"}, ["edge_own@smoothgrad", "edge_difference"]),
        ({"recipe": "mlp"}, ["belongs to edges", "recipe and settings"]),
        ({"is": "equal"}, ["tolerance is required"]),
    ],
)
def test_claims_that_cannot_be_tested_are_refused_in_one_line(changes, parts):
    with pytest.raises(RecipeError) as caught:
        refuse_wrong_claims(study_with({**claim(), **changes}))
    assert not [part for part in parts if part not in str(caught.value)], str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_layer_that_the_model_lacks_is_refused_before_anything_is_trained(tmp_path):
    study = study_with(
        claim("inspection:edges.near_zero@body.9"), inspections=[{**EDGES, "parts": ["histograms"]}]
    )
    with pytest.raises(RecipeError, match=r"mlp has no layer 'body.9' with weights. Did you mean 'body.\d'"):
        run_study(study, Session(Store(tmp_path), device="cpu"))
    assert not (tmp_path / "trials").exists()


def test_the_report_shows_measures_of_all_seeds_and_the_first_model(session):
    parts = ["confusion", "input-gradients", "histograms"]
    plans = [{**PLAN, "parts": parts}, EDGES, {**PLAN, "name": "in-2", "parts": ["histograms"]}]
    study = study_with(inspections=plans, mistakes={"confusion": ["mlp"]}, recipes={"mlp": RECIPE})
    record = run_study(study, session)
    assert read_study_record("tiny", session.store) == record
    arrays = read_pictures(session.store.study_folder("tiny") / "pictures.safetensors")
    page = render_html(study_document(record, arrays))
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page[page.index("<body>") :])).split())
    assert not [
        each.words for look in record.of("inspections") for each in look.measures if each.words not in text
    ]
    whole, alone, _ = [look.first for look in record.of("inspections")]
    triples = [*whole.input_gradients.right, *whole.input_gradients.wrong]
    assert whole.input_gradients == alone.input_gradients
    assert page.count("data:image/png") == 2 * 3 * len(triples)
    assert (
        "The gradient of mlp with respect to the pixels has a correlation of" in text[: text.index("Table 1")]
    )
    assert "over 3 seeds: it" in text
    assert 'metric = "inspection:edges.edge_difference"' in text
    assert "the model of seed 0" in text
    assert len(re.findall("Inside mlp: ", text)) == 2 * 3  # in the contents and over the section


def test_claims_about_the_modes_of_a_network_with_batch_normalization(session):
    """In evaluation mode an image is classified alone; in training mode its companions count."""
    recipe = with_values(RECIPE, {"model": {"name": "resnet", "channels": [2]}, "epochs": 1})
    modes = {"name": "modes", "recipe": "resnet", "images": 40, "parts": ["modes"]}
    study = study_with(
        claim("inspection:modes.evaluation_companions", 1e-3, **{"is": "at most"}),
        claim("inspection:modes.training_companions", 1e-3, **{"is": "at most"}),
        recipes={"resnet": recipe},
        inspections=[modes],
        seeds=2,
    )
    record = run_study(study, session)
    assert record.claims[0].outcome == "upheld"
    assert record.claims[1].outcome != "upheld"
    (found,) = record.of("inspections")
    for name in ("training_companions", "mode_difference"):
        assert min(found.measure(name).values) > 1e-3
    assert found.measure("training_repeated").values == [0.0, 0.0]
