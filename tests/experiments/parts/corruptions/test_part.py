"""Corruptions in a study: accuracies of every seed, errors, claims, the store and the report."""

import html
import re

import numpy as np
import pytest
import torch
from claim_checks import refuse_wrong_claims
from scipy import stats

from foolscope.core.errors import RecipeError
from foolscope.core.randomness import numpy_generator
from foolscope.corruptions import CORRUPTIONS, corrupt
from foolscope.data.splits import stratified_choice
from foolscope.experiments.parts.corruptions import measuring
from foolscope.experiments.parts.corruptions.errors import corruption_error, relative_error
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import study_from
from foolscope.experiments.study_run import run_study
from foolscope.reports import render_html
from foolscope.reports.pages import read_pictures, study_document

RECIPE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 200},
        "model": {"name": "mlp", "hidden": [8]},
        "optimizer": {"name": "sgd", "learning_rate": 0.5},
        "training": {"epochs": 3, "batch_size": 32},
        "precision": "float32",
    }
)
RECIPES = {
    "mlp": RECIPE,
    "softmax": recipe_from({**RECIPE.model_dump(exclude={"model", "loss"}), "model": "softmax"}),
    "wild": with_values(RECIPE, {"learning_rate": 1e39}),
}
SEEDS, IMAGES = 3, 60
NAMES = ["gaussian-noise", "motion-blur", "contrast"]
PLAN = {
    "name": "common",
    "recipes": ["mlp"],
    "baseline": "softmax",
    "corruptions": NAMES,
    "severities": [5, 2],
    "images": IMAGES,
}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return Session(Store(tmp_path_factory.mktemp("store")), device="cpu")


@pytest.fixture(scope="module")
def record(session):
    return run_study(study_with(), session)


def study_with(*claims, recipes=RECIPES, **changes):
    head = {"name": "tiny", "title": "A title", "question": "Why?", "seeds": SEEDS}
    return study_from(
        {**head, "recipes": recipes, "corruptions": [{**PLAN, **changes}], "claims": list(claims)}
    )


def claim(**changes):
    entry = {"sentence": "It holds", "kind": "value", "metric": "corruption:common.mean_error", "value": 0.99}
    return {**entry, "recipe": "mlp", "is": "at most", **changes}


def images_of(session):
    """The images of the study, drawn here as its documentation says."""
    test = session.dataset(RECIPE.dataset).test
    chosen = stratified_choice(test.labels, IMAGES, numpy_generator(0, "corruptions", "images"))
    return test.images[chosen].float() / 255, test.labels[chosen], chosen


def errors_by_hand(session, recipe):
    """Errors of every seed, (seed, corruption, severity), and those on clean images."""
    images, labels, chosen = images_of(session)
    trials = run_trials([with_values(recipe, {"seed": seed}) for seed in range(SEEDS)], session)
    errors, clean = np.zeros((SEEDS, len(NAMES), 2)), np.zeros(SEEDS)
    for seed, trial in enumerate(trials):
        model = trial.model()
        with torch.no_grad():
            clean[seed] = float((model(images).argmax(1) != labels).double().mean())
            for place, name in enumerate(NAMES):
                for which, severity in enumerate((2, 5)):
                    changed = corrupt(images, name, severity, seed=0, indices=chosen)
                    wrong = model(changed).argmax(1) != labels
                    errors[seed, place, which] = float(wrong.double().mean())
    return errors, clean


def test_errors_are_those_of_every_seed_and_their_means_as_published(record, session):
    own, baseline = record.of("corruptions")
    assert (own.recipe, baseline.recipe, own.severities, own.seeds) == ("mlp", "softmax", [2, 5], [0, 1, 2])
    errors, clean = errors_by_hand(session, RECIPES["mlp"])
    others, others_clean = errors_by_hand(session, RECIPES["softmax"])
    for place, each in enumerate(own.corruptions):
        assert (each.name, each.kind) == (NAMES[place], CORRUPTIONS[NAMES[place]].kind)
        np.testing.assert_allclose(1 - np.array(each.accuracies), errors[:, place].T)
    expected = {
        "clean_error": clean,
        "mean_error": errors.mean(axis=(1, 2)),
        "added_error": errors.mean(axis=(1, 2)) - clean,
        "error@noise": errors[:, 0].mean(axis=1),
        "error@blur": errors[:, 1].mean(axis=1),
        "error@contrast": errors[:, 2].mean(axis=1),
        "mce": [np.mean(mine.sum(1) / theirs.sum(1)) for mine, theirs in zip(errors, others, strict=True)],
    }
    for name, values in expected.items():
        assert own.measure(name).values == pytest.approx(list(values)), name
    added, others_added = errors - clean[:, None, None], others - others_clean[:, None, None]
    sums = others_added.sum(axis=2)
    relative = [
        np.mean(mine.sum(1) / theirs) if (theirs > 1e-9).all() else None
        for mine, theirs in zip(added, sums, strict=True)
    ]
    assert own.measure("relative_mce").values == pytest.approx(relative)
    mean = own.measure("mean_error")
    low, high = stats.t.interval(0.95, SEEDS - 1, np.mean(mean.values), stats.sem(mean.values))
    assert (mean.mean, mean.low, mean.high) == pytest.approx((np.mean(mean.values), low, high))
    assert baseline.measure("mce").values == pytest.approx([1.0] * SEEDS)


def test_every_class_has_its_share_of_the_images(session):
    _, labels, chosen = images_of(session)
    test = session.dataset(RECIPE.dataset).test
    shares = torch.bincount(test.labels) * IMAGES / len(test.labels)
    assert bool(((torch.bincount(labels) - shares).abs() < 1).all())
    sample = measuring.drawn_sample(session.dataset(RECIPE.dataset), IMAGES)
    assert torch.equal(sample.indices, chosen)
    assert len(measuring.drawn_sample(session.dataset(RECIPE.dataset), 10**6).labels) == len(test.labels)


def test_the_mean_corruption_error_is_as_published():
    errors, baseline = np.array([[0.2, 0.4], [0.3, 0.3]]), np.array([[0.4, 0.4], [0.2, 0.4]])
    assert corruption_error(errors, baseline) == pytest.approx((0.6 / 0.8 + 0.6 / 0.6) / 2)
    assert relative_error(errors, 0.1, baseline, 0.2) == pytest.approx((0.4 / 0.4 + 0.4 / 0.2) / 2)
    assert corruption_error(errors, np.array([[0.0, 0.0], [0.2, 0.4]])) is None
    assert relative_error(errors, 0.1, baseline, 0.4) is None
    rounding = np.array([[0.7], [0.1 + 0.2]])  # 0.1 + 0.2 is 5e-17 above 0.3
    assert relative_error(errors[:, :1], 0.1, rounding, 0.3) is None


def test_what_is_stored_is_not_computed_again(record, session, monkeypatch):
    asked = []

    def spy(images, name, severity, **more):
        asked.append((name, severity, len(images)))
        return corrupt(images, name, severity, **more)

    monkeypatch.setattr(measuring, "corrupt", spy)
    again = run_study(study_with(), session)
    assert again.of("corruptions") == record.of("corruptions")
    assert [each for each in asked if each[2] > 1] == []  # only the contact sheet is made anew
    run_study(study_with(corruptions=[*NAMES, "fog"]), session)
    assert [each for each in asked if each[2] > 1] == [("fog", 2, IMAGES), ("fog", 5, IMAGES)]


def test_claims_compare_recipes_and_are_decided_by_every_seed(record, session):
    own = record.of("corruptions")[0].measure("error@motion-blur")
    level = own.mean
    study = study_with(
        claim(metric="corruption:common.error@motion-blur", value=level + 0.3),
        claim(metric="corruption:common.error@motion-blur", value=level - 0.3),
        claim(metric="corruption:common.mce", recipe="softmax", value=1.0),
        {
            "sentence": "One is better",
            "kind": "comparison",
            "subject": "mlp",
            "against": "softmax",
            "metric": "corruption:common.mean_error",
            "is": "better",
        },
    )
    decided = run_study(study, session)
    assert [each.outcome for each in decided.claims[:3]] == ["upheld", "contradicted", "upheld"]
    first, second = (each.measure("mean_error").values for each in decided.of("corruptions"))
    figures = {each.label: each.value for each in decided.claims[3].figures}
    assert figures == pytest.approx({"mlp": np.mean(first), "softmax": np.mean(second)})
    if decided.claims[3].outcome == "upheld":
        assert np.mean(first) < np.mean(second)
    assert f"{100 * level:.1f}" in decided.claims[0].reason


def test_what_diverged_is_not_tested(session):
    study = study_with(claim(recipe="wild"), recipes=RECIPES, baseline="wild")
    decided = run_study(study, session)
    assert [each.recipe for each in decided.of("corruptions")] == ["mlp"]
    assert decided.of("corruptions")[0].measure("mce").values == [None] * SEEDS
    assert decided.claims[0].outcome == "undecided"
    assert "diverged" in decided.claims[0].reason
    study = study_with(claim(metric="corruption:common.mce", value=1.0), baseline="wild")
    assert "has no finite mce in 3 of 3 seeds" in run_study(study, session).claims[0].reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "corruption:comon.mean_error"}, "Did you mean 'corruption:common.mean_error'"),
        ({"metric": "corruption:common.error@fog"}, "no metric 'corruption:common.error@fog'"),
        ({"metric": "corruption:common.error"}, "error@noise or blur or digital or gaussian-noise"),
        ({"recipe": "wild"}, "is not measured on wild, only on mlp and softmax"),
    ],
)
def test_claims_that_cannot_be_tested_are_refused_in_one_line(changes, words):
    with pytest.raises(RecipeError) as caught:
        refuse_wrong_claims(study_with(claim(**changes)))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"corruptions": ["frog"]}, "unknown corruption 'frog'. Did you mean 'fog'"),
        ({"severities": [0]}, "a severity must be 1, 2, 3, 4 or 5; got 0"),
        ({"kinds": ["blur"], "corruptions": ["fog"]}, "none of fog is of the kind blur"),
        ({"baseline": "none-such"}, "unknown recipe 'none-such'"),
        ({"severity": [1]}, "unknown field 'corruptions.0.severity'. Did you mean 'severities'"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(changes, words):
    with pytest.raises(RecipeError, match=re.escape(words)):
        study_with(**changes)


@pytest.mark.parametrize("case", ["gray", "other data"])
def test_what_only_the_data_can_refuse_is_refused_before_anything_trains(case, tmp_path):
    changes = {"corruptions": ["saturate"]}
    words = "saturate changes colors, which gray images lack"
    recipes = RECIPES
    if case == "other data":
        arrays = tmp_path / "arrays.npz"
        images = np.zeros((40, 8, 8), dtype=np.uint8)
        labels = np.arange(40) % 2
        np.savez(arrays, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
        npz = {**RECIPE.model_dump(), "dataset": {"name": "npz", "path": str(arrays)}}
        changes, words = {}, "have other test images"
        recipes = {**RECIPES, "softmax": recipe_from(npz)}
    with pytest.raises(RecipeError, match=words):
        run_study(study_with(recipes=recipes, **changes), Session(Store(tmp_path / "store"), device="cpu"))
    assert not (tmp_path / "store" / "trials").exists()


def test_the_report_shows_tables_a_figure_and_one_image_under_every_corruption(session):
    study = study_with(corruptions=[*NAMES, "saturate"], kinds=["noise", "digital"])
    record = run_study(study, session)
    arrays = read_pictures(session.store.study_folder("tiny") / "pictures.safetensors")
    page = render_html(study_document(record, arrays))
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page[page.index("<body>") :])).split())
    own = record.of("corruptions")[0]
    mean = own.measure("mean_error")
    assert f"{100 * mean.mean:.1f} ({100 * max(0, mean.low):.1f} to {100 * mean.high:.1f})" in text
    assert f"averages {100 * mean.mean:.1f}" in text.replace("\u00a0", " ")[: text.index("Table 1")]
    assert "saturate changes colors, which gray images lack" in text
    assert "The parameters were chosen for images of 32×32 pixels; on 8×8 pixels" in text
    assert "60 images: their choice alone gives an accuracy a standard error of up to 6.5 points" in text
    assert page.count("data:image/png") == 1 + 2  # the original, and one for each corruption that is left
    images, _, chosen = images_of(session)
    shown = corrupt(images[:1], "contrast", own.pictured, seed=0, indices=chosen[:1])[0]
    np.testing.assert_allclose(arrays["corruption-0-contrast"], shown.numpy())
    assert page.count("<svg") >= 1
    for part in (
        "noise: accuracy, %",
        "digital: accuracy, %",
        "Gaussian noise",
        'metric = "corruption:common.',
    ):
        assert part in html.unescape(page)
