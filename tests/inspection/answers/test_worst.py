import pytest
import torch
from torch import nn

from foolscope.data.dataset import LabeledImages
from foolscope.inspection.answers import worst
from foolscope.inspection.answers.worst import worst_classified


class Lookup(nn.Module):
    """Logits by the image's one pixel."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(table)

    def forward(self, images):
        return self.table[(images.flatten(1)[:, 0] * 255).round().long()]


def split_of(labels):
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    return LabeledImages(images, torch.tensor(labels))


@pytest.fixture
def table():
    probabilities = torch.tensor(
        [
            [0.9, 0.1, 0.0],  # right
            [0.6, 0.3, 0.1],  # label 1: 0.3
            [0.0, 0.2, 0.8],  # label 1: 0.2
            [0.5, 0.1, 0.4],  # label 2: 0.4
            [0.3, 0.4, 0.3],  # right, though with less than any of those above
            [0.7, 0.1, 0.2],  # label 1: 0.1
        ]
    )
    return probabilities.clamp(min=1e-9).log()


LABELS = [0, 1, 1, 2, 1, 1]


def test_the_misclassified_come_in_order_of_what_their_label_gets(table):
    found = worst_classified(Lookup(table), split_of(LABELS), 10)
    assert found.indices.tolist() == [5, 2, 1, 3]
    assert found.predictions.tolist() == [0, 2, 0, 0]
    assert found.label_probabilities.tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert found.predicted_probabilities.tolist() == pytest.approx([0.7, 0.8, 0.6, 0.5])


def test_there_are_at_most_so_many(table):
    assert worst_classified(Lookup(table), split_of(LABELS), 2).indices.tolist() == [5, 2]


def test_a_perfect_model_has_none(table):
    found = worst_classified(Lookup(table), split_of(table.argmax(1).tolist()), 4)
    assert len(found.indices) == 0


def test_the_batch_size_makes_no_difference(table, monkeypatch):
    whole = worst_classified(Lookup(table), split_of(LABELS), 10)
    monkeypatch.setattr(worst, "automatic_batch_size", lambda images, model: 2)
    parts = worst_classified(Lookup(table), split_of(LABELS), 10)
    assert parts.indices.tolist() == whole.indices.tolist()
    assert torch.equal(parts.label_probabilities, whole.label_probabilities)


def test_no_gradient_is_kept(table):
    assert not worst_classified(Lookup(table), split_of(LABELS), 3).label_probabilities.requires_grad
