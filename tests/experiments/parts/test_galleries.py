import re

import numpy as np
import pytest
import torch

from foolscope.experiments.parts.attacks.plans import attack_from
from foolscope.experiments.parts.attacks.stored import attack_subject
from foolscope.experiments.parts.galleries import FoolingPlan, attack_gallery, fooling_gallery
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.experiments.subjects.subject import run_subject
from foolscope.learning.measuring.evaluation import to_pixels
from foolscope.threats import Threat

RECIPE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 400},
        "model": {"name": "mlp", "hidden": [16]},
        "optimizer": {"name": "sgd", "learning_rate": 0.5},
        "training": {"epochs": 6, "batch_size": 32},
        "precision": "float32",
    }
)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return Session(Store(tmp_path_factory.mktemp("store")), device="cpu")


@pytest.fixture(scope="module")
def trials(session):
    return run_trials([with_values(RECIPE, {"seed": seed}) for seed in range(1)], session)


def first_images(session, count):
    test = session.dataset(RECIPE.dataset).test
    return to_pixels(test.images[:count], torch.float32), test.labels[:count]


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
    assert f"of the {int(counted.sum())} images" in record.caption
    assert f"the first {len(threes)} test images of 3" in record.caption
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


def test_the_gallery_of_an_attack_shows_the_smallest_perturbations_found(trials, session):
    subject = run_subject(trials[0], None, "test", 60, session)
    attacks = [attack_from({"name": "pgd", "steps": 5})]
    attack = attack_subject(subject, "linf", [0.1, 0.3], attacks, store=session.store)
    record, arrays = attack_gallery(attack)
    assert len(record.rows) == 6
    images, labels = first_images(session, 60)
    for row in record.rows:
        original, fooling = arrays[row[0].key], arrays[row[2].key]
        position = next(index for index in range(60) if torch.equal(images[index], original))
        with torch.no_grad():
            clean, fooled = trials[0].model()(torch.stack([original, fooling])).argmax(1).tolist()
        assert clean == int(labels[position]) != fooled
        assert (row[0].lines[0], row[2].lines[0]) == (str(clean), str(fooled))
        size = float((fooling - original).abs().max())
        assert size == pytest.approx(float(attack.curve.smallest_found[position]), rel=1e-5)
        assert row[1].lines[0] == f"size {size:.3g}"
