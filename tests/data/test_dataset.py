from dataclasses import replace

import pytest
import torch

from foolscope.core.errors import DataError
from foolscope.data import Dataset, LabeledImages


def images(count, shape=(1, 2, 3), labels=None):
    values = torch.arange(count * shape[0] * shape[1] * shape[2]) % 256
    labels = torch.arange(count) % 2 if labels is None else torch.tensor(labels)
    return LabeledImages(values.to(torch.uint8).reshape(count, *shape), labels)


def build(train=None, validation=None, test=None, name="toy", classes=("a", "b")):
    train = images(6) if train is None else train
    return Dataset.build(name, classes, train, validation, images(4) if test is None else test)


def test_fingerprint_covers_names_shapes_pixels_labels_and_splits():
    part = images(6)
    other_pixels = LabeledImages(part.images.flip(0), part.labels)
    other_labels = LabeledImages(part.images, 1 - part.labels)
    variants = [
        build(),
        build(name="other"),
        build(classes=("a", "c")),
        build(train=other_pixels),
        build(train=other_labels),
        build(validation=images(2)),
        build(train=images(6, (1, 3, 2)), test=images(4, (1, 3, 2))),
        build(train=images(8), test=images(2)),
    ]
    assert len({variant.fingerprint for variant in variants}) == len(variants)
    assert build().fingerprint == build().fingerprint


def test_fingerprint_ignores_memory_layout():
    part = images(6, (3, 4, 5))
    strided = LabeledImages(part.images.contiguous(memory_format=torch.channels_last), part.labels)
    test = images(4, (3, 4, 5))
    assert build(train=part, test=test).fingerprint == build(train=strided, test=test).fingerprint


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": images(1).take(torch.empty(0, dtype=torch.int64))}, "training set is empty"),
        ({"test": images(1).take(torch.empty(0, dtype=torch.int64))}, "test set is empty"),
        ({"validation": images(1).take(torch.empty(0, dtype=torch.int64))}, "validation set is empty"),
        ({"test": images(3, (1, 2, 2))}, "must agree"),
        ({"train": images(2, labels=[0, 2])}, r"labels must be in \[0, 1\]; got 0 to 2"),
        ({"test": images(2, labels=[-1, 0])}, "got -1 to 0"),
    ],
)
def test_parts_that_do_not_fit(parts, message):
    with pytest.raises(DataError, match=message):
        build(**parts)


def test_split_by_name():
    data = build()
    assert data.split("train") is data.train
    with pytest.raises(DataError, match="no split 'validation'; it has train, test"):
        data.split("validation")
    assert replace(data, validation=images(2)).split("validation").labels.tolist() == [0, 1]


def test_take_keeps_the_order_asked_for():
    part = images(4, labels=[0, 1, 2, 3])
    assert part.take(torch.tensor([3, 1])).labels.tolist() == [3, 1]
    assert torch.equal(part.take(torch.tensor([3, 1])).images, part.images[[3, 1]])
