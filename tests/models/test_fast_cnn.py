"""The fast convolutional network: what its first layer whitens, and how that is trained around and stored."""

import itertools

import pytest
import torch
from torch.nn import functional

from foolscope.core.errors import RecipeError
from foolscope.data import load
from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.experiments.recipe import recipe_from
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.inspection.checks.initial_loss import initial_model
from foolscope.learning import train_pack
from foolscope.learning.initial_models import initial_models
from foolscope.models import FastCNN, build_model
from foolscope.models.whitening import Whitening

SMALL = {"name": "fast-cnn", "channels": [6, 8]}


def correlated(count=400, channels=3, seed=0):
    """Images whose neighboring pixels are alike, as photographs' are."""
    noise = torch.randn(count, channels, 9, 9, generator=torch.Generator().manual_seed(seed))
    return functional.avg_pool2d(noise, 3, stride=1) * 3 + 0.5 * noise[:, :1, 1:8, 1:8]


def second_moments(maps):
    rows = maps.transpose(1, 0).flatten(1).double()
    return rows @ rows.T / rows.shape[1]


def test_the_outputs_of_whitened_patches_are_uncorrelated_with_variance_one():
    layer, images = Whitening(3), correlated()
    before = second_moments(layer(images).detach())
    layer.fit(images)
    moments = second_moments(layer(images).detach())
    off_diagonal = before[:12, :12] - before[:12, :12].diag().diag()
    assert off_diagonal.abs().max() > 0.3, "there is something to whiten"
    torch.testing.assert_close(moments[:12, :12], torch.eye(12).double(), rtol=0, atol=0.02)
    torch.testing.assert_close(moments[:12, 12:], -moments[:12, :12])


def test_patches_that_do_not_vary_are_not_amplified_without_bound():
    layer = Whitening(1)
    layer.fit(torch.ones(3, 1, 4, 4))
    assert layer.weight.isfinite().all()
    assert layer.weight.abs().max() <= 5e-4**-0.5


def test_the_published_network():
    """airbench94: 24 whitening filters, 64, 256 and 256 channels; all but the filters are trained."""
    model = build_model(FastCNN(normalization="none"), (3, 32, 32), 10, seed=0)
    widths = (24, 64, 256, 256)
    expected = 24 + 256 * 10
    for before, channels in itertools.pairwise(widths):
        expected += 9 * channels * (before + channels) + 2 * channels
    assert sum(parameter.numel() for parameter in model.parameters()) == expected == 1_971_352
    sizes = []
    for layer in model.modules():
        if isinstance(layer, torch.nn.MaxPool2d | torch.nn.AdaptiveMaxPool2d):
            layer.register_forward_hook(lambda layer, inputs, output: sizes.append(output.shape[-1]))
    model(torch.rand(2, 3, 32, 32))
    assert sizes == [15, 7, 3, 1]


def test_convolutions_start_as_copies_of_their_inputs():
    model = build_model(FastCNN(normalization="none", channels=(32,)), (3, 8, 8), 10, seed=0)
    first = model.get_submodule("body.2")
    maps = torch.rand(2, 24, 5, 5)
    torch.testing.assert_close(first(maps)[:, :24], maps)
    assert not torch.allclose(first(maps)[:, 24:32], maps[:, :8])


def test_the_scale_multiplies_the_logits():
    one, ninth = (
        build_model(FastCNN(normalization="none", logit_scale=scale), (1, 8, 8), 3, seed=0)
        for scale in (1.0, 0.5)
    )
    images = torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(one.eval()(images), 2 * ninth.eval()(images))


def test_images_smaller_than_a_patch_are_one_line():
    with pytest.raises(RecipeError, match="fast-cnn needs images of at least 2×2 pixels; got 1×5"):
        build_model(FastCNN(normalization="none"), (1, 1, 5), 10, seed=0)


def recipe_of(seed=0, **fields):
    return recipe_from(
        {
            "model": SMALL,
            "dataset": {"name": "digits", "limit": 80},
            "training": {"epochs": 2, "batch_size": 16},
            "precision": "float32",
            "seed": seed,
        }
        | fields
    )


def test_filters_are_those_of_a_sample_of_training_images_and_are_not_trained(tmp_path):
    """Through training, storage, and the model that is rebuilt from the store."""
    session = Session(Store(tmp_path), executor="in-process")
    recipes = [recipe_of(seed) for seed in range(2)]
    trials = run_trials(recipes, session)
    dataset = session.dataset(recipes[0].dataset)
    for recipe, trial in zip(recipes, trials, strict=True):
        stored, start = trial.model(), initial_model(recipe, dataset)
        name = "body.0.weight"
        assert torch.equal(stored.get_buffer(name), start.get_buffer(name))
        assert not torch.equal(stored.get_parameter("body.2.weight"), start.get_parameter("body.2.weight"))
        normalized = start.get_submodule("normalization")(dataset.train.images / 255)
        whitening = Whitening(1)
        whitening.fit(normalized)  # all of them: there are fewer than 5,000
        torch.testing.assert_close(whitening.weight, start.get_buffer(name), rtol=1e-3, atol=1e-3)
        correct = stored(dataset.test.images / 255).argmax(1) == dataset.test.labels
        assert float(correct.float().mean()) == pytest.approx(trial.metric("test_accuracy"))


def test_large_sets_are_sampled_by_the_seed(make_images):
    first, again, other = (initial_models([recipe_of(seed)], make_images)[0] for seed in (0, 0, 1))
    weights = [model.get_buffer("body.0.weight") for model in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.fixture
def make_images():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (5100, 1, 4, 4), generator=generator, dtype=torch.uint8)
    split = LabeledImages(images, torch.randint(10, (5100,), generator=generator))
    part = split.take(torch.arange(20))
    return Dataset.build("noise", tuple("0123456789"), split, part, part)


@pytest.mark.parametrize(
    "model", [SMALL, {"name": "resnet18", "base_channels": 4}], ids=["fast-cnn", "resnet18"]
)
def test_three_seeds_side_by_side_are_three_trainings(model):
    recipes = [
        recipe_of(seed, model=model, precision="float64", dataset={"name": "digits", "limit": 48})
        for seed in range(3)
    ]
    dataset = load(recipes[0].dataset)
    for ours, recipe in zip(train_pack(recipes, dataset), recipes, strict=True):
        (alone,) = train_pack([recipe], dataset)
        assert ours.weights.keys() == alone.weights.keys()
        for name, value in alone.weights.items():
            torch.testing.assert_close(ours.weights[name], value, rtol=1e-4, atol=1e-5)
        assert ours.history[-1].running_loss == pytest.approx(alone.history[-1].running_loss, rel=1e-6)
