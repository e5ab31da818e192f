"""Test-time augmentation averages the logits over views, in evaluation only, in packs too."""

import pytest
import torch

from foolscope.core.errors import RecipeError
from foolscope.learning.packs.packing import Context, pack_program
from foolscope.learning.packs.stacking import stacked_parameters
from foolscope.models import MLP, build_model
from foolscope.models.views import VIEWS

IMAGES = torch.rand(4, 2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def built(views, seed=0):
    settings = MLP(hidden=(7,), normalization="half", test_time_augmentation=views)
    return build_model(settings, (2, 5, 6), 3, seed=seed).double()


def moved(images, shift):
    """Move by one pixel along the diagonal, index by index; outside the border lies its mirror image."""
    result = torch.empty_like(images)
    height, width = images.shape[-2:]

    def reflected(index, size):
        return abs(index) if index < size else 2 * (size - 1) - index

    for row in range(height):
        for column in range(width):
            result[..., row, column] = images[
                ..., reflected(row - shift, height), reflected(column - shift, width)
            ]
    return result


def test_logits_are_averaged_over_the_views():
    plain = built("none").eval()
    mirrored = IMAGES.flip(-1)
    flip = 0.5 * (plain(IMAGES) + plain(mirrored))
    torch.testing.assert_close(built("flip").eval()(IMAGES), flip)
    shifted = [
        plain(view) for shift in (-1, 1) for view in (moved(IMAGES, shift), moved(IMAGES, shift).flip(-1))
    ]
    expected = 0.5 * flip + 0.125 * sum(shifted)
    torch.testing.assert_close(built("flip-translate").eval()(IMAGES), expected)


def test_training_sees_one_view():
    torch.testing.assert_close(built("flip").train()(IMAGES), built("none").train()(IMAGES))


def test_the_weights_sum_to_one():
    for views in VIEWS.values():
        assert sum(weight for weight, _ in views) == 1.0


@pytest.mark.parametrize("views", VIEWS)
def test_a_pack_averages_as_its_models_do(views):
    models = [built(views, seed) for seed in (0, 1)]
    program = pack_program(models)
    parameters = stacked_parameters(models)
    images = torch.stack([IMAGES, IMAGES.flip(0)])
    for training in (False, True):
        logits = program(parameters, images, Context(training=training, dtype=torch.float64))
        expected = [model.train(training)(own) for model, own in zip(models, images, strict=True)]
        torch.testing.assert_close(logits, torch.stack(expected))


def test_images_too_small_to_move_are_refused():
    with pytest.raises(RecipeError, match="1×6 images are too small"):
        build_model(MLP(normalization="half", test_time_augmentation="flip-translate"), (1, 1, 6), 2, seed=0)
