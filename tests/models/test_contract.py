"""What every model in the table promises."""

import pytest
import torch
from small_models import SMALL_MODELS

from foolscope.core.errors import RecipeError
from foolscope.models import MODELS, ModelSettings, Softmax, build_model

SHAPES = [
    ((1, 8, 8), 10),
    ((3, 32, 32), 10),
    ((1, 28, 28), 10),
    ((3, 20, 31), 10),
    ((1, 17, 4), 3),
    ((3, 32, 32), 2),
]

every_model = pytest.mark.parametrize("name", list(MODELS))


def build(name, image_shape=(1, 8, 8), classes=10, seed=0, **values):
    channels = image_shape[0]
    return build_model(
        MODELS[name].settings.model_validate({"name": name, **SMALL_MODELS.get(name, {}), **values}),
        image_shape,
        classes,
        seed=seed,
        mean=torch.full((channels,), 0.4),
        deviation=torch.full((channels,), 0.3),
    )


def images(count, *shape):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(3))


def test_small_settings_are_of_models_in_the_table():
    assert SMALL_MODELS.keys() <= MODELS.keys()


@every_model
def test_the_settings_carry_the_name_of_the_table(name):
    assert MODELS[name].settings.model_fields["name"].default == name


@every_model
@pytest.mark.parametrize(("image_shape", "classes"), SHAPES)
@pytest.mark.parametrize("normalization", ["dataset", "half", "none"])
def test_images_become_logits(name, image_shape, classes, normalization):
    model = build(name, image_shape, classes, normalization=normalization)
    inputs = images(5, *image_shape)
    logits = model(inputs)
    assert logits.shape == (5, classes)
    assert logits.isfinite().all()
    assert logits.std(dim=0).min() > 0, "the logits do not depend on the image"
    for parameter_name, gradient in zip(
        dict(model.named_parameters()),
        torch.autograd.grad(logits.square().sum(), model.parameters()),
        strict=True,
    ):
        assert gradient.abs().max() > 0, f"{parameter_name} has no part in the logits"


@every_model
def test_one_image_gets_the_logits_it_gets_among_others(name):
    model, inputs = build(name).eval(), images(7, 1, 8, 8)
    torch.testing.assert_close(torch.cat([model(image[None]) for image in inputs]), model(inputs))


@every_model
def test_the_seed_alone_decides_the_weights(name):
    torch.manual_seed(1)
    first = build(name, seed=5, initialization="uniform")  # others may leave nothing to chance
    torch.manual_seed(2)
    second, other = (build(name, seed=seed, initialization="uniform") for seed in (5, 6))
    same, others = second.state_dict(), dict(other.named_parameters())
    for key, value in first.state_dict().items():
        assert torch.equal(value, same[key])
    for key, value in first.named_parameters():
        if value.dim() > 1:  # scales of normalization start at one
            assert not torch.equal(value, others[key])


@every_model
@pytest.mark.parametrize("image_shape", [*dict(SHAPES), (1, 5, 9)])
def test_no_convolution_strides_over_maps_of_one_pixel(name, image_shape):
    """In bfloat16 PyTorch's gradients are wrong there, or read past the input."""
    model, seen = build(name, image_shape).eval(), []
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d) and max(layer.stride) > 1:
            layer.register_forward_pre_hook(lambda layer, inputs: seen.append(min(inputs[0].shape[2:])))
    model(images(1, *image_shape))
    assert min(seen, default=2) >= 2


@every_model
def test_building_and_running_leave_the_global_generator_alone(name):
    before = torch.get_rng_state()
    build(name)(images(2, 1, 8, 8))
    assert torch.equal(torch.get_rng_state(), before)


@every_model
def test_normalization_comes_first(name):
    """A model with normalization equals one without that is given normalized images."""
    inputs, plain = images(4, 3, 20, 31), build(name, (3, 20, 31), normalization="none")
    half, dataset = (build(name, (3, 20, 31), normalization=kind) for kind in ("half", "dataset"))
    torch.testing.assert_close(half(inputs), plain((inputs - 0.5) / 0.5))
    torch.testing.assert_close(dataset(inputs), plain((inputs - 0.4) / 0.3))


@every_model
def test_normalization_by_the_data_set_needs_its_statistics(name):
    settings = MODELS[name].settings(name=name)
    with pytest.raises(RecipeError, match="needs the training images' mean and deviation"):
        build_model(settings, (1, 8, 8), 10, seed=0)


def test_a_model_that_is_not_in_the_table_gets_the_nearest_name():
    with pytest.raises(RecipeError, match=r"unknown model 'softmx'\. Did you mean 'softmax'"):
        build_model(ModelSettings(name="softmx"), (1, 8, 8), 10, seed=0)


def test_the_logits_of_the_linear_model_are_one_affine_map():
    model = build_model(Softmax(normalization="none"), (2, 3, 5), 4, seed=0)
    weight, bias = model.get_parameter("body.1.weight"), model.get_parameter("body.1.bias")
    inputs = images(6, 2, 3, 5)
    torch.testing.assert_close(model(inputs), torch.einsum("bi,ki->bk", inputs.reshape(6, 30), weight) + bias)
