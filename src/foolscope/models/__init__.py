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
from foolscope.models.initialization import initial_parameters
from foolscope.models.layers import Dropout, Normalize
from foolscope.models.linear import LinearRegression, Softmax, build_linear
from foolscope.models.mlp import MLP, build_mlp
from foolscope.models.recurrent import LSTM, RNN, build_lstm, build_rnn
from foolscope.models.resnet import ResNet, build_resnet
from foolscope.models.settings import ImageShape, ModelSettings
from foolscope.models.small_cnn import SmallCNN, build_small_cnn
from foolscope.models.views import AveragedViews

__all__ = [
    "LSTM",
    "MLP",
    "MODELS",
    "RNN",
    "AveragedViews",
    "Dropout",
    "ImageShape",
    "LinearRegression",
    "ModelEntry",
    "ModelSettings",
    "Normalize",
    "ResNet",
    "SmallCNN",
    "Softmax",
    "build_model",
    "initial_parameters",
]


@dataclass(frozen=True)
class ModelEntry:
    """One model: its settings class, its builder, and the loss that it is trained with by default."""

    settings: type[ModelSettings]
    build: Callable[[Any, ImageShape, int], nn.Module]
    loss: str = "cross-entropy"


MODELS: dict[str, ModelEntry] = {
    "linear-regression": ModelEntry(LinearRegression, build_linear, loss="squared-error"),
    "softmax": ModelEntry(Softmax, build_linear),
    "mlp": ModelEntry(MLP, build_mlp),
    "small-cnn": ModelEntry(SmallCNN, build_small_cnn),
    "resnet": ModelEntry(ResNet, build_resnet),
    "rnn": ModelEntry(RNN, build_rnn),
    "lstm": ModelEntry(LSTM, build_lstm),
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
    model: nn.Module
    if settings.test_time_augmentation == "none":
        model = nn.Sequential(OrderedDict(normalization=normalization, body=body))
    else:
        if min(image_shape[1:]) < 2:
            raise RecipeError(
                "test_time_augmentation moves images by a pixel; "
                f"{image_shape[1]}×{image_shape[2]} images are too small for that"
            )
        model = AveragedViews(normalization, body, settings.test_time_augmentation)
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
