import re

import numpy as np
import pytest
import torch

from foolscope.attacks import Threat
from foolscope.experiments.parts.attacks import robustness
from foolscope.experiments.parts.attacks.plans import AttackPlan, FoolingPlan
from foolscope.experiments.parts.attacks.robustness import fooling_gallery, robustness_curve, worst_gallery
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.learning.evaluation import to_pixels

RECIPE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 400},
        "model": {"name": "mlp", "hidden": [16]},
        "optimizer": {"name": "sgd", "learning_rate": 0.5},
        "training": {"epochs": 6, "batch_size": 32},
        "precision": "float32",
    }
)
PLAN = {"name": "any", "recipes": ["mlp"], "epsilons": [0.2, 0, 0.05, 0.1], "images": 80}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return Session(Store(tmp_path_factory.mktemp("store")), device="cpu")


@pytest.fixture(scope="module")
def trials(session):
    return run_trials([with_values(RECIPE, {"seed": seed}) for seed in range(3)], session)


def plan_of(**changes):
    return AttackPlan.model_validate({**PLAN, "attacks": ["fgsm", {"name": "pgd", "steps": 5}], **changes})


def curve_of(plan, trials, session):
    told = []
    curve = robustness_curve(
        plan, "mlp", trials, session, lambda fraction, detail: told.append((fraction, detail))
    )
    assert [fraction for fraction, _ in told] == [index / len(told) for index in range(len(told))]
    return curve


def first_images(session, count):
    test = session.dataset(RECIPE.dataset).test
    return to_pixels(test.images[:count], torch.float32), test.labels[:count]


# ------------------------------------------------------------------ curves


def test_the_curve_starts_at_clean_accuracy_and_never_rises(trials, session):
    curve = curve_of(plan_of(), trials, session)
    images, labels = first_images(session, 80)
    assert curve.epsilons == [0.0, 0.05, 0.1, 0.2]
    assert curve.images == 80
    assert curve.attacks == ["fgsm", "pgd"]
    for trial, accuracies in zip(trials, curve.accuracies, strict=True):
        with torch.no_grad():
            clean = (trial.model()(images).argmax(1) == labels).double().mean().item()
        assert accuracies[0] == pytest.approx(clean)
        assert accuracies == sorted(accuracies, reverse=True)
        assert accuracies[-1] < clean / 2
    means = [sum(column) / 3 for column in zip(*curve.accuracies, strict=True)]
    assert curve.mean == pytest.approx(means)
    for low, mean, high in zip(curve.low, curve.mean, curve.high, strict=True):
        assert 0 <= low <= mean <= high <= 1
    assert curve.forward_count > 0
    assert curve.backward_count > 0


def test_what_has_been_attacked_is_read(trials, session, monkeypatch):
    first = curve_of(plan_of(), trials, session)
    calls = []

    def refuse(*args, **kwargs):
        calls.append(args)
        raise AssertionError("attacked again")

    monkeypatch.setattr(robustness, "robust_accuracy_curve", refuse)
    assert curve_of(plan_of(), trials, session) == first
    assert curve_of(plan_of(epsilons=["0.1", 0.0, 0.2, 0.05]), trials, session) == first
    for changes in (
        {"epsilons": [0.3]},
        {"norm": "l2"},
        {"images": 79},
        {"attacks": ["fgsm"]},
        {"attacks": ["fgsm", {"name": "pgd", "steps": 6}]},
    ):
        with pytest.raises(AssertionError, match="attacked again"):
            curve_of(plan_of(**changes), trials, session)
    monkeypatch.setattr(robustness, "ATTACK_VERSION", "another")
    with pytest.raises(AssertionError, match="attacked again"):
        curve_of(plan_of(), trials, session)
    assert len(calls) == 6


def test_what_became_of_the_images_is_summed_over_the_seeds(trials, session):
    curve = curve_of(plan_of(), trials, session)
    assert curve.details.models == 3
    for place, accuracies in enumerate(zip(*curve.accuracies, strict=True)):
        held = round(sum(accuracies) * curve.images)
        assert curve.details.held[place] == held
        assert curve.details.misclassified + sum(curve.details.taken[place]) + held == 3 * curve.images
    assert sum(curve.details.class_clean) == 3 * curve.images - curve.details.misclassified
    assert curve.details.classes == list(session.dataset(RECIPE.dataset).classes)


def test_one_seed_has_no_interval(trials, session):
    curve = curve_of(plan_of(), trials[:1], session)
    assert curve.low == curve.high == [None] * 4
    assert curve.mean == curve.accuracies[0]


def test_more_images_than_there_are_is_all_of_them(trials, session):
    curve = curve_of(plan_of(images=10_000, epsilons=[0.0], attacks=["fgsm"]), trials[:1], session)
    assert curve.images == len(session.dataset(RECIPE.dataset).test)
    assert curve.mean[0] == pytest.approx(trials[0].metric("test_accuracy"))


def test_diverged_trials_are_left_out(trials, session):
    (wild,) = run_trials([with_values(RECIPE, {"learning_rate": 1e30})], session)
    assert wild.status == "diverged"
    assert curve_of(plan_of(), [*trials[:2], wild], session).accuracies == [
        *curve_of(plan_of(), trials[:2], session).accuracies
    ]


# ------------------------------------------------------------------ galleries


@pytest.mark.parametrize(
    ("norm", "epsilon", "target"), [("linf", 0.15, "none"), ("linf", 0.3, "second"), ("l2", 1.5, "random")]
)
def test_gallery_shows_correct_originals_that_are_fooled_within_the_budget(
    trials, session, norm, epsilon, target
):
    plan = FoolingPlan.model_validate(
        {
            "recipe": "small",
            "norm": norm,
            "epsilon": epsilon,
            "attack": {"name": "pgd", "steps": 20},
            "target": target,
        }
    )
    record, arrays = fooling_gallery(plan, trials[0], session, "g")
    assert record.kind == "fooling"
    assert record.recipe == "small"
    assert len(record.rows) == 6
    model, threat = trials[0].model(), Threat(norm, epsilon)
    images, labels = first_images(session, 256)
    seen = []
    for row in record.rows:
        assert [picture.title for picture in row] == ["original", "perturbation", "fooling image"]
        original, fooling = arrays[row[0].key], arrays[row[2].key]
        position = next(index for index in range(256) if torch.equal(images[index], original))
        label = int(labels[position])
        with torch.no_grad():
            clean, fooled = model(torch.stack([original, fooling])).softmax(1)
        assert int(clean.argmax()) == label
        assert int(fooled.argmax()) != label
        if target == "second":
            assert int(fooled.argmax()) == int(clean.argsort(descending=True)[1])
        assert 0 <= float(fooling.min()) <= float(fooling.max()) <= 1
        size = float(threat.geometry.size((fooling - original)[None]))
        assert 0 < size <= epsilon * (1 + 1e-5)
        new = int(fooled.argmax())
        difference = 255 * (fooling - original).numpy()
        norms = [np.sqrt((difference**2).sum()), np.abs(difference).max()]
        assert row[0].lines == [
            str(label),
            f"{100 * float(clean[label]):.1f} %",
            f"{new} {100 * float(clean[new]):.1f} %",
        ]
        assert row[1].lines[0] == f"size {size:.3g}"
        written = re.fullmatch(r"L2 (\S+), L∞ (\S+)", row[1].lines[1])
        assert [float(each) for each in written.groups()] == pytest.approx(norms, rel=6e-3)
        assert row[2].lines == [
            str(new),
            f"{100 * float(fooled[new]):.1f} %",
            f"{label} {100 * float(fooled[label]):.1f} %",
        ]
        assert row[0].probabilities == pytest.approx(clean.tolist(), abs=1e-6)
        assert row[2].probabilities == pytest.approx(fooled.tolist(), abs=1e-6)
        seen.append(label)
    assert len(set(seen)) == len(seen)


def test_the_caption_counts_what_was_fooled(trials, session):
    plan = FoolingPlan.model_validate({"recipe": "small", "epsilon": 0.1, "attack": "fgsm", "images": 1})
    record, _ = fooling_gallery(plan, trials[0], session, "g")
    model = trials[0].model()
    images, labels = first_images(session, 256)
    images.requires_grad_()
    logits = model(images)
    (gradient,) = torch.autograd.grad(
        torch.nn.functional.cross_entropy(logits, labels, reduction="sum"), images
    )
    with torch.no_grad():
        right = logits.argmax(1) == labels
        fooled = model((images + 0.1 * gradient.sign()).clamp(0, 1)).argmax(1) != labels
    assert f"succeeded on {int((right & fooled).sum())} of the {int(right.sum())} images" in record.caption
    assert len(record.rows) == 1


def test_a_gallery_from_one_class_to_another(trials, session):
    """The norm of one L2 step is the budget: nothing is clipped where the ball stays inside the bounds."""
    values = {"recipe": "small", "norm": "l2", "epsilon": 3.0, "attack": "fgsm", "confidence": 0.5}
    plan = FoolingPlan.model_validate({**values, "source": "3", "target": "8", "images": 4})
    record, arrays = fooling_gallery(plan, trials[0], session, "g")
    test = session.dataset(RECIPE.dataset).test
    threes = to_pixels(test.images[test.labels == 3], torch.float32)
    with torch.no_grad():
        clean = trials[0].model()(threes).softmax(1)
    counted = (clean.argmax(1) == 3) & (clean[:, 3] >= 0.5)
    assert f"of the {int(counted.sum())} images, among the first {len(threes)} test images of 3, that" in (
        record.caption
    )
    assert "FGSM on small aimed at 8" in record.caption
    assert "with a probability of 0.5 or more" in record.caption
    assert record.rows
    for row in record.rows:
        position = next(place for place, image in enumerate(threes) if torch.equal(image, arrays[row[0].key]))
        assert bool(counted[position])
        with torch.no_grad():
            assert int(trials[0].model()(arrays[row[2].key][None]).argmax()) == 8
        assert (row[0].lines[0], row[2].lines[0]) == ("3", "8")


def test_nothing_fooled_is_an_empty_gallery(trials, session):
    plan = FoolingPlan.model_validate({"recipe": "small", "epsilon": 0.0, "attack": "fgsm"})
    record, arrays = fooling_gallery(plan, trials[0], session, "g")
    assert record.rows == []
    assert arrays == {}
    assert "succeeded on 0 of" in record.caption


def test_classes_take_turns():
    labels = [7, 7, 7, 1, 1, 2]
    assert robustness._one_of_each([0, 1, 2, 3, 4, 5], labels, 3) == [0, 3, 5]
    assert robustness._one_of_each([0, 1, 2, 3, 4, 5], labels, 4) == [0, 1, 3, 5]
    assert robustness._one_of_each([1, 4], labels, 3) == [1, 4]


def test_worst_gallery_shows_the_labels_the_model_denies_most(trials, session):
    record, arrays = worst_gallery("small", trials[1], session, "w", count=8)
    dataset = session.dataset(RECIPE.dataset)
    images, labels = first_images(session, len(dataset.test))
    with torch.no_grad():
        probabilities = trials[1].model()(images).softmax(1)
    of_label = probabilities[torch.arange(len(labels)), labels]
    wrong = (probabilities.argmax(1) != labels).nonzero().flatten().tolist()
    worst = sorted(wrong, key=lambda index: float(of_label[index]))[:8]
    pictures = [picture for row in record.rows for picture in row]
    assert [len(row) for row in record.rows] == [6, 2]
    for picture, index in zip(pictures, worst, strict=True):
        assert torch.equal(arrays[picture.key], images[index])
        assert picture.title == str(int(labels[index]))
        predicted = int(probabilities[index].argmax())
        assert picture.lines == [
            f"taken for {predicted}, {100 * float(probabilities[index, predicted]):.1f} %",
            f"label given {float(of_label[index]):.2g}",
        ]
    assert "8 test images" in record.caption
    assert "seed 1" in record.caption
