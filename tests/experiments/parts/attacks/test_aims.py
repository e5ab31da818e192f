import re

import pytest
import torch

from foolscope.core.errors import RecipeError
from foolscope.data import Dataset
from foolscope.data.dataset import LabeledImages
from foolscope.experiments.parts.attacks.aims import aimed_images, check_aims
from foolscope.experiments.parts.attacks.plans import FoolingPlan
from foolscope.experiments.running.run import Session
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
    aimed = aimed_images(plan, dataset, count)
    numbers = (255 * aimed.images[:, 0, 0, 0]).round().int().tolist()
    assert aimed.labels.tolist() == [LABELS[number] for number in numbers]
    targets = aimed.targets.tolist() if isinstance(aimed.targets, torch.Tensor) else aimed.targets
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


def test_a_study_is_checked_before_anything_is_trained(tmp_path):
    session = Session(Store(tmp_path), device="cpu")
    values = {
        "name": "tiny",
        "title": "A title",
        "question": "Why?",
        "recipes": {"one": {"dataset": {"name": "digits", "limit": 50}, "model": "softmax"}},
    }
    trace = {"name": "steps", "recipe": "one", "epsilons": [0.1], "attack": "fgsm"}
    gallery = {"recipe": "one", "epsilon": 0.1, "attack": "fgsm"}
    check_aims(study_from({**values, "attack_traces": [{**trace, "source": "3", "target": "8"}]}), session)
    with pytest.raises(RecipeError, match=r"attack_traces\.1: digits has no class 'x'"):
        check_aims(
            study_from({**values, "attack_traces": [trace, {**trace, "name": "b", "target": "x"}]}), session
        )
    with pytest.raises(RecipeError, match=r"galleries\.0: digits has no class 'truck'"):
        check_aims(study_from({**values, "galleries": [{**gallery, "source": "truck"}]}), session)
