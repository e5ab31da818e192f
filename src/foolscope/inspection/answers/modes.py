"""Training and evaluation mode: by how much the logits of an image change with mode and batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from foolscope.core.modes import frozen
from foolscope.core.settings import FiniteFloat, Settings
from foolscope.models.layers import Dropout

__all__ = ["ModeDifference", "ModeLayer", "mode_difference", "mode_layers"]

_IMAGES = 8
_COMPANIONS = 15


class ModeLayer(Settings):
    """A layer that computes something else in training mode."""

    layer: str
    kind: str
    training: str = Field(description="what it does in training mode")


class ModeDifference(Settings):
    """The largest changes of a logit, over the same images; null where they could not be measured."""

    images: int
    companions: int = Field(description="other images in a batch")
    logit_deviation: float = Field(description="standard deviation of the logits in evaluation mode")
    layers: list[ModeLayer]
    evaluation_repeated: FiniteFloat = Field(None, description="the same batch twice in evaluation mode")
    evaluation_companions: FiniteFloat = Field(None, description="alone and among others in evaluation mode")
    training_repeated: FiniteFloat = Field(
        None, description="the same batch twice in training mode, with random draws of its own each time"
    )
    training_companions: FiniteFloat = Field(
        None, description="among some and among others in training mode, with the same random draws"
    )
    between: FiniteFloat = Field(None, description="in training and in evaluation mode, in the same batch")


@dataclass(frozen=True)
class _Batches:
    """One image, and the same image as the first of two batches with different companions."""

    alone: Tensor
    some: Tensor
    others: Tensor


def mode_difference(
    model: nn.Module,
    images: Float[Tensor, "image channel height width"],
    generator: np.random.Generator,
) -> ModeDifference:
    """Measure how the logits of the same images depend on the mode and on what else is in the batch.

    Up to 8 images, each beside up to 15 others and beside 15 different ones, all drawn at random. In training
    mode an image is never alone, because batch normalization may refuse that. Mode, running statistics
    and the global random state are as before when it returns.

    Args:
        model: any module from images in [0, 1] to logits.
        images: at least one.
        generator: draws the images, and what dropout needs.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Dropout(0.5))
        >>> found = mode_difference(model, torch.rand(40, 1, 2, 2), np.random.default_rng(0))
        >>> found.evaluation_repeated, found.training_repeated > 0, found.training_companions < 1e-5
        (0.0, True, True)

    References:
        Batch normalization: Ioffe and Szegedy 2015, arXiv:1502.03167, section 3.1. Dropout: Srivastava et al.
        2014, section 4.
    """
    count = min(_IMAGES, len(images))
    batches = list(_batches(images, count, generator))
    with frozen(model):
        here = torch.stack([model(each.some)[0] for each in batches])
        again = torch.stack([model(each.some)[0] for each in batches])
        alone = torch.stack([model(each.alone)[0] for each in batches])
        elsewhere = torch.stack([model(each.others)[0] for each in batches])
    fields = {
        "evaluation_repeated": _largest(here, again),
        "evaluation_companions": max(_largest(here, alone), _largest(here, elsewhere)),
    }
    first, second = generator.integers(2**31, size=(2, count)).tolist()
    trained = _in_training(model, [each.some for each in batches], first)
    redrawn = _in_training(model, [each.some for each in batches], second)
    accompanied = _in_training(model, [each.others for each in batches], first)
    if trained is not None and redrawn is not None and accompanied is not None:
        fields |= {
            "training_repeated": _largest(trained, redrawn),
            "training_companions": _largest(trained, accompanied),
            "between": _largest(here, trained),
        }
    return ModeDifference(
        images=count,
        companions=len(batches[0].some) - 1,
        logit_deviation=float(here.double().std(correction=0)),
        layers=mode_layers(model),
        **fields,
    )


def mode_layers(model: nn.Module) -> list[ModeLayer]:
    """List the layers, ours and PyTorch's, that are known to differ between the modes.

    Example:
        >>> [each.layer for each in mode_layers(nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Dropout(0.0)))]
        ['1']
    """
    found = []
    for name, layer in model.named_modules():
        words = _in_training_words(layer)
        if words:
            found.append(ModeLayer(layer=name, kind=type(layer).__name__, training=words))
    return found


def _in_training_words(layer: nn.Module) -> str:
    """Say what a layer does in training mode only; nothing for a layer without modes."""
    rate = getattr(layer, "dropout", 0.0)
    match layer:
        case Dropout():
            return _dropping(layer.rate)
        case _DropoutNd():
            return _dropping(layer.p)
        case _BatchNorm() | _InstanceNorm():
            if layer.track_running_stats:
                return "takes mean and variance from the batch instead of the stored ones"
            return ""
        case nn.RReLU():
            return "draws its slopes"
        case nn.RNNBase() | nn.MultiheadAttention():
            return _dropping(rate)
        case _:
            return ""


def _dropping(rate: float) -> str:
    return f"sets activations to zero with probability {rate:g}" if rate > 0 else ""


def _batches(images: Tensor, count: int, generator: np.random.Generator) -> Iterator[_Batches]:
    """Draw images and companions: two sets without overlap if there are enough images."""
    companions = min(_COMPANIONS, (len(images) - 1) // 2)
    for chosen in generator.permutation(len(images))[:count].tolist():
        others = generator.permutation([place for place in range(len(images)) if place != chosen])
        some, rest = others[:companions].tolist(), others[companions : 2 * companions].tolist()
        yield _Batches(images[[chosen]], images[[chosen, *some]], images[[chosen, *rest]])


@torch.no_grad()
def _in_training(model: nn.Module, batches: list[Tensor], seeds: list[int]) -> Tensor | None:
    """Return the logits of the first image of each batch in training mode, each with the draws of its seed.

    None where images have no companions, or where the model returns no plain logits in training mode, as
    those with auxiliary classifiers do.
    """
    if len(batches[0]) < 2:
        return None
    logits = []
    for batch, seed in zip(batches, seeds, strict=True):
        with _training(model, batch.device, seed):
            found = model(batch)
        if not isinstance(found, Tensor):
            return None
        logits.append(found[0])
    return torch.stack(logits)


@contextmanager
def _training(model: nn.Module, device: torch.device, seed: int) -> Iterator[None]:
    """Put a model in training mode; restore modes, buffers, generators and the global random state."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    dropouts = [(module, module.generator) for module in model.modules() if isinstance(module, Dropout)]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)  # the fork's: PyTorch's own dropout draws from no other
        if device.type == "cuda":
            torch.cuda.manual_seed(seed)
        own = torch.Generator(device).manual_seed(seed)
        try:
            model.train()
            for dropout, _ in dropouts:
                dropout.generator = own
            yield
        finally:
            for module, training in modes:
                module.training = training
            for buffer, before in buffers:
                buffer.copy_(before)
            for dropout, generator in dropouts:
                dropout.generator = generator


def _largest(one: Float[Tensor, "image class"], other: Float[Tensor, "image class"]) -> float:
    return float((one.double() - other.double()).abs().max())
