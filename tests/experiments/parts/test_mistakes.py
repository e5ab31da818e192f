import pytest
import torch

from foolscope.experiments.parts.mistakes import worst_gallery
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.learning.measuring.evaluation import to_pixels

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
    return run_trials([with_values(RECIPE, {"seed": seed}) for seed in range(2)], session)


def first_images(session, count):
    test = session.dataset(RECIPE.dataset).test
    return to_pixels(test.images[:count], torch.float32), test.labels[:count]


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
            f"predicted {predicted}, {100 * float(probabilities[index, predicted]):.1f} %",
            f"label {float(of_label[index]):.2g}",
        ]
    assert "8 test images" in record.caption
    assert "seed 1" in record.caption
