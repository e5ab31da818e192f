"""Layer 1: image classifiers as plain torch modules, each with settings of its own.

Adding a model is one file here (settings and a build function), one line in :data:`MODELS` and one test file.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.models.conclusion import Conclusion
from foolscope.models.initialization import initial_parameters
from foolscope.models.layers import Dropout, Normalize
from foolscope.models.linear import LinearRegression, Softmax, build_linear
from foolscope.models.mlp import MLP, build_mlp
from foolscope.models.prototype_tree import (
    PrototypeTree,
    build_prototype_tree,
    conclude_prototype_tree,
    count_leaves,
)
from foolscope.models.recurrent import LSTM, RNN, build_lstm, build_rnn
from foolscope.models.resnet import ResNet, build_resnet
from foolscope.models.settings import ImageShape, ModelSettings
from foolscope.models.small_cnn import SmallCNN, build_small_cnn

__all__ = [
    "LSTM",
    "MLP",
    "MODELS",
    "RNN",
    "Conclusion",
    "Dropout",
    "ImageShape",
    "LinearRegression",
    "ModelEntry",
    "ModelSettings",
    "Normalize",
    "PrototypeTree",
    "ResNet",
    "SmallCNN",
    "Softmax",
    "build_model",
    "initial_parameters",
]


@dataclass(frozen=True)
class ModelEntry:
    """One model: its settings class, its builder, and the loss that it is trained with by default.

    Args:
        settings: the class.
        build: from settings, shape of the images and number of classes to the module after normalization.
        loss: its name.
        learn: called in training between forward pass and gradient step with the model, its running
            statistics by name, to be changed in place, the labels of the minibatch, the number of steps
            taken before, and the steps of an epoch.
        conclude: called after training with the settings, the model of the kept checkpoint, and the training
            images in [0, 255] with their labels; it changes none of them.
    """

    settings: type[ModelSettings]
    build: Callable[[Any, ImageShape, int], nn.Module]
    loss: str = "cross-entropy"
    learn: Callable[[nn.Module, dict[str, Tensor], Tensor, int, int], None] | None = None
    conclude: Callable[[Any, nn.Module, Tensor, Tensor], Conclusion] | None = None


MODELS: dict[str, ModelEntry] = {
    "linear-regression": ModelEntry(LinearRegression, build_linear, loss="squared-error"),
    "softmax": ModelEntry(Softmax, build_linear),
    "mlp": ModelEntry(MLP, build_mlp),
    "small-cnn": ModelEntry(SmallCNN, build_small_cnn),
    "resnet": ModelEntry(ResNet, build_resnet),
    "rnn": ModelEntry(RNN, build_rnn),
    "lstm": ModelEntry(LSTM, build_lstm),
    "prototype-tree": ModelEntry(
        PrototypeTree, build_prototype_tree, learn=count_leaves, conclude=conclude_prototype_tree
    ),
}


def build_model(
    settings: ModelSettings,
    image_shape: ImageShape,
    classes: int,
    *,
    seed: int,
    mean: Tensor | None = None,
    deviation: Tensor | None = None,
) -> nn.Module:
    """Build a model with its normalization inside and its initial weights drawn from a seed.

    Args:
        settings: of one of :data:`MODELS`.
        image_shape: channel, height, width.
        classes: number of logits, at least 2.
        seed: the trial's seed.
        mean: of the training images per channel, in [0, 1]; needed when ``settings.normalization`` is
            "dataset".
        deviation: of the training images per channel, positive; needed in the same case.

    Returns:
        A module mapping images in [0, 1], (batch, channel, height, width), to logits (batch, classes).

    Raises:
        RecipeError: the model is unknown or does not fit the images.

    Example:
        >>> model = build_model(MLP(hidden=(32,), normalization="half"), (1, 8, 8), 10, seed=0)
        >>> model(torch.zeros(5, 1, 8, 8)).shape
        torch.Size([5, 10])
    """
    entry = MODELS.get(settings.name)
    if entry is None:
        raise RecipeError(f"unknown model {settings.name!r}. {did_you_mean(settings.name, MODELS)}")
    with torch.random.fork_rng(devices=[]):  # constructors of torch layers draw from the global generator
        body = entry.build(settings, image_shape, classes)
    normalization = _normalization(settings, image_shape[0], mean, deviation)
    model = nn.Sequential(OrderedDict(normalization=normalization, body=body))
    model.load_state_dict(initial_parameters(model, seed), strict=False)
    return model


def _normalization(
    settings: ModelSettings, channels: int, mean: Tensor | None, deviation: Tensor | None
) -> nn.Module:
    if settings.normalization == "none":
        return nn.Identity()
    if settings.normalization == "half":
        return Normalize(torch.full((channels,), 0.5), torch.full((channels,), 0.5))
    if mean is None or deviation is None:
        raise RecipeError("normalization 'dataset' needs the training images' mean and deviation per channel")
    return Normalize(mean, deviation)
