import numpy as np
import pytest

from foolscope.data import Cifar100Settings, load, source


@pytest.mark.parametrize(("labels", "classes"), [("fine", 100), ("coarse", 20)])
def test_fine_and_coarse_labels(writers, tmp_path, labels, classes, pixels):
    writers["cifar100"](tmp_path)
    parts = source("cifar100").read(Cifar100Settings(labels=labels), tmp_path)
    assert parts.classes == tuple(f"{labels} {index}" for index in range(classes))
    assert int(parts.train.labels.max()) == classes - 1
    assert parts.train.labels.tolist() == [index % 100 // (100 // classes) for index in range(400)]
    assert np.array_equal(parts.test.images.flatten(1).numpy(), pixels(1, 200, 3072))


def test_fine_and_coarse_are_different_data_sets(writers, tmp_path):
    writers["cifar100"](tmp_path)
    fine, coarse = (load(Cifar100Settings(labels=labels), tmp_path) for labels in ("fine", "coarse"))
    assert fine.fingerprint != coarse.fingerprint
