"""Our torch models in float64, for tests that hold them to the reference."""

import torch
from torch import nn

from foolscope.models import MODELS, build_model


def model_of(name, image_shape=(3, 9, 8), classes=4, seed=0, **settings):
    """A model in float64 whose batch normalization, if any, is not at its initial values."""
    channels = image_shape[0]
    model = build_model(
        MODELS[name].settings.model_validate({"name": name, **settings}),
        image_shape,
        classes,
        seed=seed,
        mean=torch.full((channels,), 0.4),
        deviation=torch.full((channels,), 0.3),
    ).double()
    generator = torch.Generator().manual_seed(1)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for value in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                value.data.add_(torch.rand(value.shape, generator=generator))
    return model
