"""Our torch models described for the reference, with their state as NumPy arrays."""

import torch
from torch import nn

from foolscope.models import MODELS, Dropout, Normalize, build_model
from foolscope.models.recurrent_layers import LastStep, LSTMLayer, RNNLayer, Rows
from foolscope.models.resnet import ResidualBlock

KINDS = {
    nn.Flatten: ("flatten", ()),
    nn.Identity: ("identity", ()),
    nn.Linear: ("affine", ()),
    nn.Conv2d: ("convolution", ("stride", "padding")),
    nn.MaxPool2d: ("max-pooling", ("kernel_size", "stride", "padding")),
    nn.AdaptiveAvgPool2d: ("global-average-pooling", ()),
    nn.BatchNorm2d: ("batch-normalization", ("eps", "momentum")),
    nn.ReLU: ("relu", ()),
    nn.Sigmoid: ("sigmoid", ()),
    nn.Tanh: ("tanh", ()),
    nn.GELU: ("gelu", ()),
    Normalize: ("normalize", ()),
    Dropout: ("identity", ()),
    Rows: ("rows", ()),
    RNNLayer: ("rnn", ("activation",)),
    LSTMLayer: ("lstm", ()),
    LastStep: ("last-step", ()),
}
RENAMED = {"kernel_size": "kernel", "eps": "epsilon"}


def described(module, prefix=""):
    entries = []
    for name, child in module.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, nn.Sequential):
            entries += described(child, f"{path}.")
        elif isinstance(child, ResidualBlock):
            ways = {"branch": described(child.branch), "shortcut": described(child.shortcut)}
            entries += [
                {"layer": "residual", "name": path, **ways},
                {"layer": "relu", "name": f"{path}.activation"},
            ]
        else:
            kind, settings = KINDS[type(child)]
            values = {RENAMED.get(setting, setting): getattr(child, setting) for setting in settings}
            entries.append({"layer": kind, "name": path, **values})
    return entries


def state_of(model):
    """Floating-point parameters and buffers, not shared with the model."""
    return {
        name: value.numpy().copy() for name, value in model.state_dict().items() if value.is_floating_point()
    }


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
