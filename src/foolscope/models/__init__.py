"""Layer 1: image classifiers as plain torch modules, each with settings of its own.

Adding a model is one file here (settings and a build function), one line in :data:`MODELS` and one test file.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.models.all_conv import AllConv, build_all_conv
from foolscope.models.attention import Attention, VisionTransformer, build_attention, build_vision_transformer
from foolscope.models.conclusion import Conclusion
from foolscope.models.convnet import ConvNet, build_convnet
from foolscope.models.fast_cnn import FastCNN, build_fast_cnn, fit_fast_cnn
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
from foolscope.models.residual_networks import (
    ResNet18,
    ResNet34,
    ResNet50,
    build_residual_network,
    from_torchvision,
)
from foolscope.models.resnet import ResNet, build_resnet
from foolscope.models.settings import ImageShape, ModelSettings
from foolscope.models.small_cnn import SmallCNN, build_small_cnn
from foolscope.models.views import AveragedViews

__all__ = [
    "LSTM",
    "MLP",
    "MODELS",
    "RNN",
    "AllConv",
    "Attention",
    "AveragedViews",
    "Conclusion",
    "ConvNet",
    "Dropout",
    "FastCNN",
    "ImageShape",
    "LinearRegression",
    "ModelEntry",
    "ModelSettings",
    "Normalize",
    "PrototypeTree",
    "ResNet",
    "ResNet18",
    "ResNet34",
    "ResNet50",
    "SmallCNN",
    "Softmax",
    "VisionTransformer",
    "build_model",
    "from_torchvision",
    "initial_parameters",
]


@dataclass(frozen=True)
class ModelEntry:
    """One model in the table.

    Args:
        settings: class of its settings.
        build: returns the module for settings, shape of the images and number of classes.
        loss: that it is trained with by default.
        fit: sets what a model takes from training images and does not train; gets the module that ``build``
            returned and normalized images.
        learn: called in training between forward pass and gradient step with the model, its running
            statistics by name, to be changed in place, the labels of the minibatch, the number of steps
            taken before, and the steps of an epoch.
        conclude: called after training with the settings, the model of the kept checkpoint, and the training
            images in [0, 255] with their labels; it changes none of them.
        variants: names of the models that ``conclude`` compares; ``test_accuracy_NAME`` is a metric.
    """

    settings: type[ModelSettings]
    build: Callable[[Any, ImageShape, int], nn.Module]
    loss: str = "cross-entropy"
    fit: Callable[[nn.Module, Tensor], None] | None = None
    learn: Callable[[nn.Module, dict[str, Tensor], Tensor, int, int], None] | None = None
    conclude: Callable[[Any, nn.Module, Tensor, Tensor], Conclusion] | None = None
    variants: tuple[str, ...] = ()


MODELS: dict[str, ModelEntry] = {
    "linear-regression": ModelEntry(LinearRegression, build_linear, loss="squared-error"),
    "softmax": ModelEntry(Softmax, build_linear),
    "mlp": ModelEntry(MLP, build_mlp),
    "small-cnn": ModelEntry(SmallCNN, build_small_cnn),
    "resnet": ModelEntry(ResNet, build_resnet),
    "rnn": ModelEntry(RNN, build_rnn),
    "lstm": ModelEntry(LSTM, build_lstm),
    "attention": ModelEntry(Attention, build_attention),
    "convnet": ModelEntry(ConvNet, build_convnet),
    "all-conv": ModelEntry(AllConv, build_all_conv),
    "resnet18": ModelEntry(ResNet18, build_residual_network),
    "resnet34": ModelEntry(ResNet34, build_residual_network),
    "resnet50": ModelEntry(ResNet50, build_residual_network),
    "vit": ModelEntry(VisionTransformer, build_vision_transformer),
    "fast-cnn": ModelEntry(FastCNN, build_fast_cnn, fit=fit_fast_cnn),
    "prototype-tree": ModelEntry(
        PrototypeTree,
        build_prototype_tree,
        learn=count_leaves,
        conclude=conclude_prototype_tree,
        variants=("soft", "projected", "pruned", "greedy"),
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
    images: Float[Tensor, "image channel height width"] | None = None,
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
        images: some training images in [0, 1], for models that take something from them before training, as
            the whitening of ``fast-cnn``; without, the model is as good for all that does not train it.

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
    model.load_state_dict(initial_parameters(model, seed, settings.initialization), strict=False)
    if entry.fit is not None and images is not None:
        entry.fit(body, normalization(images))
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
