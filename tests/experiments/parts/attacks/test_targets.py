import re

import pytest
import torch

from foolscope.core.errors import RecipeError
from foolscope.data import Dataset
from foolscope.data.dataset import LabeledImages
from foolscope.experiments.parts.attacks.targets import check_classes, targeted_images
from foolscope.experiments.parts.galleries import FoolingPlan
from foolscope.experiments.parts.part import Context
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import study_from

LABELS = [2, 0, 1, 2, 1, 0, 2, 2]


@pytest.fixture(scope="module")
def dataset():
    """Image number i is i everywhere; nothing is a "dog" (3)."""
    images = torch.arange(8, dtype=torch.uint8)[:, None, None, None].expand(8, 1, 2, 3).contiguous()
    part = LabeledImages(images, torch.tensor(LABELS))
    return Dataset.build("animals", ("ant", "bee", "cat", "dog"), part, part, part)


def chosen(dataset, count=8, **changes):
    plan = FoolingPlan.model_validate({"recipe": "one", "epsilon": 0.1, "attack": "fgsm", **changes})
    targeted = targeted_images(plan, dataset, count)
    numbers = (255 * targeted.images[:, 0, 0, 0]).round().int().tolist()
    assert targeted.labels.tolist() == [LABELS[number] for number in numbers]
    targets = targeted.targets.tolist() if isinstance(targeted.targets, torch.Tensor) else targeted.targets
    return numbers, targets


def test_without_classes_it_is_the_first_images(dataset):
    assert chosen(dataset, 3) == ([0, 1, 2], None)
    assert chosen(dataset, 3, target="second") == ([0, 1, 2], "second")


def test_only_images_of_the_source_count(dataset):
    assert chosen(dataset, source="cat") == ([0, 3, 6, 7], None)
    assert chosen(dataset, 3, source="cat") == ([0, 3, 6], None)


def test_images_of_the_target_have_nowhere_to_go(dataset):
    assert chosen(dataset, target="cat") == ([1, 2, 4, 5], [2, 2, 2, 2])
    assert chosen(dataset, source="bee", target="cat") == ([2, 4], [2, 2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "dot"}, "animals has no class 'dot'. Did you mean 'dog'?"),
        ({"target": "third"}, "animals has no class 'third'. Known: ant, bee, cat, dog"),
        ({"source": "dog"}, "animals has no test image of dog"),
    ],
)
def test_classes_that_are_not_there_are_refused(dataset, changes, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        chosen(dataset, **changes)


def test_classes_are_checked_before_anything_is_trained(dataset, tmp_path, monkeypatch):
    values = {"recipe": "one", "epsilon": 0.1, "attack": "fgsm"}
    study = study_from(
        {"name": "s", "title": "T", "question": "?", "recipes": {"one": {"dataset": "digits"}}}
    )
    session = Session(Store(tmp_path), device="cpu")
    monkeypatch.setattr(session, "dataset", lambda settings: dataset)
    context = Context(study, session)
    for known in ({}, {"target": "second"}, {"source": "ant", "target": "cat"}):
        check_classes(FoolingPlan.model_validate({**values, **known}), context)
    with pytest.raises(RecipeError, match="animals has no class 'truck'"):
        check_classes(FoolingPlan.model_validate({**values, "source": "truck"}), context)
