import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as hypothesis_numpy
from torch.nn import functional

from foolscope.data.dataset import LabeledImages
from foolscope.learning.losses import cross_entropy
from foolscope.learning.measuring import evaluation
from foolscope.learning.measuring.evaluation import channel_statistics, evaluate, to_pixels
from foolscope.learning.packs.packing import pack_program
from foolscope.models import MLP, build_model


def random_split(count, *shape, classes=3):
    generator = torch.Generator().manual_seed(count)
    images = torch.randint(256, (count, *shape), generator=generator, dtype=torch.uint8)
    return LabeledImages(images, torch.randint(classes, (count,), generator=generator))


def models_and_parameters(trials):
    models = [
        build_model(MLP(hidden=(6,), dropout=0.5, normalization="half"), (2, 4, 3), 3, seed=seed).double()
        for seed in range(trials)
    ]
    names = [name for name, _ in models[0].named_parameters()]
    return models, {
        name: torch.stack([model.get_parameter(name).detach() for model in models]) for name in names
    }


@pytest.mark.parametrize("trials", [1, 3])
@pytest.mark.parametrize("size", [1, 7, 49, 50, 2048])
def test_it_is_what_every_module_gives_in_evaluation_mode(trials, size, monkeypatch):
    """However the images are cut into batches."""
    monkeypatch.setattr(evaluation, "evaluation_batch_size", lambda *arguments: size)
    models, parameters = models_and_parameters(trials)
    split = random_split(50, 2, 4, 3)
    measured = evaluate(pack_program(models), parameters, split, cross_entropy, torch.float64)
    for trial, model in enumerate(models):
        logits = model.eval()(split.images.double() / 255).detach()
        assert measured.predictions[trial].tolist() == logits.argmax(1).tolist()
        assert float(measured.accuracy[trial]) == float((logits.argmax(1) == split.labels).double().mean())
        assert float(measured.loss[trial]) == pytest.approx(
            float(functional.cross_entropy(logits, split.labels))
        )


def test_pixels_are_in_0_to_1_and_the_bytes_are_left_alone():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8)
    torch.testing.assert_close(to_pixels(images, torch.float32), torch.tensor([0.0, 0.2, 1.0]))
    assert images.tolist() == [0, 51, 255]
    assert to_pixels(images, torch.float64).dtype == torch.float64


@given(hypothesis_numpy.arrays(np.uint8, hypothesis_numpy.array_shapes(min_dims=4, max_dims=4, max_side=5)))
def test_statistics_are_numpys(images):
    split = LabeledImages(torch.from_numpy(images), torch.zeros(len(images), dtype=torch.int64))
    mean, deviation = channel_statistics(split)
    expected = (images / 255).std(axis=(0, 2, 3))
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 2, 3)), rtol=1e-6, atol=1e-7)
    constant = np.ptp(images, axis=(0, 2, 3)) == 0
    np.testing.assert_allclose(deviation, np.where(constant, 1.0, expected), rtol=1e-6, atol=1e-7)
    assert (deviation > 0).all()
