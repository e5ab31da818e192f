"""Accuracy, loss and predictions of every trial of a pack on one split."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from foolscope.data.dataset import LabeledImages
from foolscope.learning.losses import PackLoss
from foolscope.learning.measuring.batch_sizes import evaluation_batch_size
from foolscope.learning.optimizers import PackTensors
from foolscope.learning.packs.packing import Context, Program

__all__ = ["Evaluation", "channel_statistics", "evaluate", "to_pixels"]

_SAMPLE = 4  # images that tell the size of their activations


@dataclass(frozen=True)
class Evaluation:
    """Loss, accuracy and predictions of every trial on one split.

    Args:
        loss: mean over images.
        accuracy: fraction in [0, 1].
        predictions: the class of the largest logit.
        logits: ``None`` unless they were asked for.
    """

    loss: Float64[Tensor, " trial"]
    accuracy: Float64[Tensor, " trial"]
    predictions: Int64[Tensor, "trial image"]
    logits: Float[Tensor, "trial image classes"] | None = None


def to_pixels(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Turn uint8 images in [0, 255] into floats in [0, 1]."""
    return images.to(dtype).div_(255.0)


@torch.no_grad()
def evaluate(
    program: Program,
    parameters: PackTensors,
    split: LabeledImages,
    loss: PackLoss,
    dtype: torch.dtype,
    *,
    keep_logits: bool = False,
) -> Evaluation:
    """Evaluate every trial on every image, without label smoothing or penalties.

    The number of images at a time follows from the size of their activations and changes nothing beyond
    rounding; see :func:`~foolscope.learning.measuring.batch_sizes.evaluation_batch_size`.
    """
    context = Context(training=False, dtype=dtype)
    first = next(iter(parameters.values()))
    trials, total = first.shape[0], first.new_zeros(first.shape[0], dtype=torch.float64)
    sample = to_pixels(split.images[:_SAMPLE], first.dtype)
    batch_size = evaluation_batch_size(program, parameters, sample, context)
    predictions, kept = [], []
    for start in range(0, len(split), batch_size):
        images = to_pixels(split.images[start : start + batch_size], first.dtype)
        labels = split.labels[start : start + batch_size].expand(trials, -1)
        logits = program(parameters, images[None], context)
        total += loss(logits, labels, None).sum(dim=1)
        predictions.append(logits.argmax(dim=-1))
        if keep_logits:
            kept.append(logits)
    predicted = torch.cat(predictions, dim=1)
    accuracy = (predicted == split.labels).sum(dim=1).double() / len(split)
    all_logits = torch.cat(kept, dim=1) if keep_logits else None
    return Evaluation(total / len(split), accuracy, predicted, all_logits)


def channel_statistics(split: LabeledImages) -> tuple[Float[Tensor, " channel"], Float[Tensor, " channel"]]:
    """Return each channel's exact mean and standard deviation over all pixels, in [0, 1].

    A channel with a single value gets deviation 1, so that normalization never divides by zero.
    """
    values = torch.arange(256, dtype=torch.float64) / 255.0
    means, deviations = [], []
    for channel in split.images.unbind(dim=1):
        share = torch.bincount(channel.flatten(), minlength=256).double().cpu() / channel.numel()
        mean = (share * values).sum()
        deviation = (share * (values - mean) ** 2).sum().sqrt()
        means.append(mean)
        deviations.append(deviation if deviation > 0 else torch.ones_like(deviation))
    return torch.stack(means).float(), torch.stack(deviations).float()
