"""Networks that pack, one for each layer type and its options, and networks that do not."""

import itertools

import torch
from torch import nn
from torch.nn import functional

from foolscope.models import Dropout, Normalize
from foolscope.models.layers import ChannelBias, Multiply, ZeroScaleBatchNorm
from foolscope.models.whitening import Whitening

SHAPE = (2, 8, 6)
BATCH = 5
CLASSES = 3


class Residual(nn.Module):
    """``join`` of a branch and what went into it."""

    def __init__(self, body, join):
        super().__init__()
        self.body, self.join = body, join

    def forward(self, inputs):
        return self.join(inputs, self.body(inputs))


class Function(nn.Module):
    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, inputs):
        return self.function(inputs, *self.layers)


def then_affine(*layers, features=2 * 8 * 6):
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(features, CLASSES))


def normalize(channels=2):
    return Normalize(torch.linspace(0.2, 0.5, channels), torch.linspace(0.3, 0.9, channels))


def convolution(inputs=2, outputs=2, **options):
    return nn.Conv2d(inputs, outputs, 3, padding=1, **options)


_FITTED = itertools.count()


def fitted_whitening():
    """Filters that differ from trial to trial, as seeds draw other images."""
    generator = torch.Generator().manual_seed(next(_FITTED))
    layer = Whitening(2)
    layer.fit(torch.rand(6, *SHAPE, generator=generator))
    return layer


PACKED = {
    "Linear": lambda rate: then_affine(),
    "Linear twice": lambda rate: then_affine(nn.Flatten(), nn.Linear(96, 7), features=7),
    "Linear without bias": lambda rate: nn.Sequential(
        nn.Flatten(), nn.Linear(96, 5, bias=False), nn.Linear(5, 3, bias=False)
    ),
    "Conv2d": lambda rate: then_affine(convolution(2, 4), features=4 * 48),
    "Conv2d twice": lambda rate: then_affine(convolution(2, 4), convolution(4, 3), features=3 * 48),
    "Conv2d with options": lambda rate: then_affine(
        nn.Conv2d(2, 4, (3, 2), stride=2, padding=(2, 1), dilation=(2, 1), bias=False),
        nn.Conv2d(4, 6, 2, groups=2),
        features=6 * 3 * 3,
    ),
    "Conv2d in groups on the image": lambda rate: then_affine(convolution(2, 6, groups=2), features=6 * 48),
    "Conv2d with padding same": lambda rate: then_affine(nn.Conv2d(2, 2, 3, padding="same")),
    "Flatten": lambda rate: nn.Sequential(nn.Flatten(), nn.Flatten(), nn.Linear(96, 3), nn.Flatten()),
    "Dropout before parameters": lambda rate: then_affine(nn.Flatten(), Dropout(rate)),
    "Dropout on images": lambda rate: then_affine(Dropout(rate)),
    "Dropout on maps": lambda rate: then_affine(convolution(), Dropout(rate), convolution()),
    "Dropout twice": lambda rate: then_affine(
        nn.Flatten(), nn.Linear(96, 20), Dropout(rate), nn.Linear(20, 9), Dropout(0.5), features=9
    ),
    "Normalize": lambda rate: then_affine(normalize()),
    "Normalize after parameters": lambda rate: then_affine(convolution(2, 3), normalize(3), features=3 * 48),
    "Identity": lambda rate: then_affine(nn.Identity(), convolution(), nn.Identity()),
    "ReLU": lambda rate: then_affine(convolution(), nn.ReLU(), convolution(), nn.ReLU(inplace=True)),
    "Tanh": lambda rate: then_affine(nn.Tanh(), convolution(), nn.Tanh()),
    "Sigmoid": lambda rate: then_affine(nn.Sigmoid(), convolution(), nn.Sigmoid()),
    "GELU": lambda rate: then_affine(nn.GELU("tanh"), convolution(), nn.GELU()),
    "MaxPool2d": lambda rate: then_affine(nn.MaxPool2d(2), convolution(), nn.MaxPool2d(3, 1, 1), features=24),
    "AvgPool2d": lambda rate: then_affine(nn.AvgPool2d(2), convolution(), nn.AvgPool2d(3, 1, 1), features=24),
    "AdaptiveAvgPool2d": lambda rate: then_affine(
        nn.AdaptiveAvgPool2d(5), convolution(), nn.AdaptiveAvgPool2d(1), features=2
    ),
    "BatchNorm2d": lambda rate: then_affine(
        convolution(2, 4, bias=False),
        nn.BatchNorm2d(4, momentum=0.3),
        nn.Tanh(),
        nn.BatchNorm2d(4),
        features=4 * 48,
    ),
    "BatchNorm2d on images": lambda rate: then_affine(nn.BatchNorm2d(2), convolution()),
    "BatchNorm2d without scale": lambda rate: then_affine(
        convolution(bias=False), nn.BatchNorm2d(2, affine=False, eps=0.1)
    ),
    "AdaptiveMaxPool2d": lambda rate: then_affine(
        nn.AdaptiveMaxPool2d(5), convolution(), nn.AdaptiveMaxPool2d(1), features=2
    ),
    "BatchNorm2d that starts at zero": lambda rate: then_affine(
        convolution(bias=False), ZeroScaleBatchNorm(2)
    ),
    "ChannelBias": lambda rate: then_affine(
        ChannelBias(2), convolution(2, 3), ChannelBias(3), features=3 * 48
    ),
    "Multiply": lambda rate: nn.Sequential(
        then_affine(Multiply(0.5), convolution(), Multiply(3.0)), Multiply(2.0)
    ),
    "Whitening": lambda rate: then_affine(fitted_whitening(), nn.GELU(), features=16 * 7 * 5),
    "ReLU before MaxPool2d": lambda rate: then_affine(convolution(), nn.ReLU(), nn.MaxPool2d(2), features=24),
    "ReLU before MaxPool2d and a shortcut": lambda rate: Function(
        lambda inputs, first, relu, pool, flatten, last: last(
            flatten(pool(relu(first(inputs))) + pool(inputs))
        ),
        convolution(),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 3),
    ),
    "residual with BatchNorm2d": lambda rate: then_affine(
        convolution(), Residual(nn.Sequential(nn.BatchNorm2d(2), convolution()), lambda a, b: a + b)
    ),
    "residual on features": lambda rate: nn.Sequential(
        nn.Flatten(), nn.Linear(96, 6), Residual(nn.Linear(6, 6), lambda a, b: a + b), nn.Linear(6, 3)
    ),
    "residual on maps": lambda rate: then_affine(convolution(), Residual(convolution(), torch.add)),
    "residual around the first parameter": lambda rate: then_affine(
        Residual(convolution(), lambda a, b: b + a)
    ),
    "residual on features around the first parameter": lambda rate: then_affine(
        nn.Flatten(), Residual(nn.Linear(96, 96), lambda a, b: a + b)
    ),
    "one layer twice": lambda rate: Function(
        lambda inputs, flatten, shared, last: last(shared(shared(flatten(inputs)))),
        nn.Flatten(),
        nn.Linear(96, 96),
        nn.Linear(96, 3),
    ),
}


def tied(rate):
    model = nn.Sequential(nn.Flatten(), nn.Linear(96, 96), nn.Linear(96, 96), nn.Linear(96, 3))
    model[2].bias = model[1].bias
    return model


def sign_dependent(inputs, flatten, layer):
    return layer(flatten(inputs)) if inputs.sum() > 0 else layer(flatten(-inputs))


UNPACKABLE = {
    "unknown layer": lambda rate: then_affine(convolution(), nn.Softplus()),
    "control flow on values": lambda rate: Function(sign_dependent, nn.Flatten(), nn.Linear(96, 3)),
    "length of a tensor": lambda rate: Function(
        lambda inputs, flatten, layer: layer(flatten(inputs)) * (1 if len(inputs) else 2),
        nn.Flatten(),
        nn.Linear(96, 3),
    ),
    "a function": lambda rate: Function(
        lambda inputs, flatten, layer: functional.elu(layer(flatten(inputs))), nn.Flatten(), nn.Linear(96, 3)
    ),
    "a method": lambda rate: Function(lambda inputs, layer: layer(inputs.flatten(1)), nn.Linear(96, 3)),
    "adding a number": lambda rate: then_affine(Residual(convolution(), lambda a, b: b + 1.0)),
    "adding with a factor": lambda rate: then_affine(
        convolution(), Residual(convolution(), lambda a, b: torch.add(a, b, alpha=2))
    ),
    "a keyword": lambda rate: Function(
        lambda inputs, flatten, layer: layer(input=flatten(inputs)), nn.Flatten(), nn.Linear(96, 3)
    ),
    "batch statistics only": lambda rate: then_affine(nn.BatchNorm2d(2, track_running_stats=False)),
    "averages over all batches": lambda rate: then_affine(nn.BatchNorm2d(2, momentum=None)),
    "another padding": lambda rate: then_affine(convolution(padding_mode="circular")),
    "flatten of some axes": lambda rate: Function(
        lambda inputs, flatten, pool, layer: layer(pool(flatten(inputs))),
        nn.Flatten(2),
        nn.Flatten(),
        nn.Linear(96, 3),
    ),
    "tied parameters": tied,
    "affine map of the last axis": lambda rate: then_affine(nn.Linear(6, 6)),
    "empty": lambda rate: then_affine(nn.Sequential()),
}
