import pytest
import torch
from torch import nn
from torch.nn import functional

from foolscope.core.errors import RecipeError
from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.learning.resizing import check_resizing, image_scale, resized
from foolscope.learning.settings import TrainingSettings
from foolscope.learning.training import train_pack
from foolscope.models import ResNet


def test_the_scale_grows_in_a_straight_line_to_full_size():
    settings = TrainingSettings(initial_scale=0.6, resizing_epochs=4)
    scales = [image_scale(settings, epoch) for epoch in range(6)]
    assert scales == pytest.approx([0.6, 0.7, 0.8, 0.9, 1.0, 1.0])
    assert image_scale(TrainingSettings(), 0) == 1.0


def test_a_half_is_the_mean_of_two_by_two_pixels_and_other_sizes_are_pytorchs_area():
    images = torch.rand(2, 3, 1, 16, 24)
    blocks = images.unflatten(-1, (12, 2)).unflatten(-3, (8, 2)).mean(dim=(-1, -3))
    torch.testing.assert_close(resized(images, 0.5), blocks)
    area = functional.interpolate(images.flatten(0, 1), (12, 20), mode="area").unflatten(0, (2, 3))
    torch.testing.assert_close(resized(images, 0.8), area)
    assert resized(images, 1.0) is images
    assert resized(images, 0.99).shape == images.shape
    assert resized(torch.rand(1, 1, 1, 3, 8), 0.5).shape == (1, 1, 1, 3, 4)


def coarse_and_fine(count=48, side=8):
    """Random images, and the same ones with every pixel as a block of two by two."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, side, side), dtype=torch.uint8, generator=generator)
    labels = torch.arange(count) % 3
    blocks = images.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    return [
        Dataset("random", ("a", "b", "c"), LabeledImages(each, labels), None, LabeledImages(each, labels), "")
        for each in (images, blocks)
    ]


def test_an_epoch_at_half_size_is_an_epoch_on_the_small_images(make_trial):
    coarse, fine = coarse_and_fine()
    small = make_trial(model=ResNet(), training=TrainingSettings(batch_size=16, epochs=1, keep="last"))
    settings = {"batch_size": 16, "keep": "last", "initial_scale": 0.5, "resizing_epochs": 1}
    large = make_trial(model=ResNet(), training=TrainingSettings(epochs=1, **settings))
    expected, found = train_pack([small], coarse)[0], train_pack([large], fine)[0]
    assert found.history[0].running_loss == pytest.approx(expected.history[0].running_loss, rel=1e-9)
    for name, value in expected.weights.items():
        torch.testing.assert_close(found.weights[name], value)
    longer = make_trial(model=ResNet(), training=TrainingSettings(epochs=2, **settings))
    unsized = make_trial(model=ResNet(), training=TrainingSettings(batch_size=16, epochs=2, keep="last"))
    losses = [train_pack([each], data)[0].history for each, data in ((longer, fine), (unsized, coarse))]
    assert losses[0][0].running_loss == pytest.approx(losses[1][0].running_loss, rel=1e-9)
    assert losses[0][1].running_loss != pytest.approx(losses[1][1].running_loss, rel=1e-3)


def test_models_of_one_size_are_refused_in_one_line():
    settings = TrainingSettings(resizing_epochs=2)
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(RecipeError, match="images of any size, and this one cannot take 4×4"):
        check_resizing(settings, fixed, (1, 8, 8))
    free = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()).train()
    check_resizing(settings, free, (1, 8, 8))
    assert free.training
    check_resizing(TrainingSettings(), fixed, (1, 8, 8))
    with pytest.raises(RecipeError, match="initial_scale below 1"):
        check_resizing(TrainingSettings(resizing_epochs=2, initial_scale=1.0), free, (1, 8, 8))
