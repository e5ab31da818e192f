import pytest
import torch

from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.inspection.checks import overfitting


@pytest.fixture
def train_briefly(monkeypatch):
    """Let the overfitting checks train for fewer steps and epochs than they do."""

    def install(steps, epochs):
        monkeypatch.setattr(overfitting, "_BATCH_STEPS", steps)
        monkeypatch.setattr(overfitting, "_SUBSET_EPOCHS", epochs)

    return install


@pytest.fixture(scope="session")
def dataset_of():
    """Build a data set whose test images are its training images."""

    def build(images, labels, classes):
        split = LabeledImages(images, labels)
        return Dataset.build("made up", tuple(map(str, range(classes))), split, None, split)

    return build


@pytest.fixture
def noise(dataset_of):
    """Pixels that say nothing about the labels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (120, 1, 12, 11), generator=generator, dtype=torch.uint8)
    return dataset_of(images, torch.randint(4, (120,), generator=generator), 4)
