"""A sanity check: before training, a classifier's loss is that of uniform guessing."""

import math

import torch
from torch import nn
from torch.nn import functional

from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.inspection.check import Check
from foolscope.learning import TrainableTrial
from foolscope.learning.initial_models import Initialize, initial_models
from foolscope.learning.measuring.evaluation import to_pixels

__all__ = ["initial_loss", "initial_model"]

_TOLERANCE = 0.5
_IMAGES = 2000
_BATCH = 250


def initial_model(trial: TrainableTrial, dataset: Dataset, initialize: Initialize | None = None) -> nn.Module:
    """Return a trial's model before training, on the data set's device.

    Args:
        trial: its settings.
        dataset: what it is trained on.
        initialize: gives the model other initial weights than its seed does.
    """
    (model,) = initial_models([trial], dataset)
    if initialize is not None:
        initialize(model)
    return model.to(dataset.train.images.device)


def initial_loss(trial: TrainableTrial, dataset: Dataset, initialize: Initialize | None = None) -> Check:
    """Compare the cross-entropy at initialization with ln K, that of uniform guessing.

    A loss well above ln K means that initial weights or inputs are too large, one well below that labels leak
    into the inputs. Up to 0.5 above or below passes: logits that scatter by 1, as PyTorch's initialization
    may give, add about half a nat. Weights that were given in place of the seed's may have learned already:
    for them a loss below ln K passes, too. Up to 2,000 training images, evenly spread, are used. Batch
    normalization uses the statistics of the images at hand, as in the first step of training; dropout is off.
    """
    train, classes = dataset.train, len(dataset.classes)
    chosen = torch.linspace(0, len(train) - 1, min(_IMAGES, len(train))).long().to(train.labels.device)
    model, expected = initial_model(trial, dataset, initialize), math.log(classes)
    measured = _cross_entropy(model, train.take(chosen))
    gap = measured - expected
    if initialize is None:
        passed, words = abs(gap) <= _TOLERANCE, "as expected"
        doubt = f"more than {_TOLERANCE} apart; check initial weights and inputs"
    else:
        passed, words = gap <= _TOLERANCE, "no worse than guessing, as expected of given weights"
        doubt = f"more than {_TOLERANCE} above guessing; check that the weights suit these images and classes"
    return Check(
        check="loss at initialization",
        passed=passed,
        sentence=f"Loss at initialization {measured:.3f}, ln {classes} = {expected:.3f}: "
        f"{words if passed else doubt}.",
        numbers={"loss": measured, "expected": expected},
    )


@torch.no_grad()
def _cross_entropy(model: nn.Module, split: LabeledImages) -> float:
    """Return the mean over all images, in batches of about one size."""
    model.eval()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d) and len(split) > 1:
            layer.train()
    total = 0.0
    for part in torch.arange(len(split)).tensor_split(math.ceil(len(split) / _BATCH)):
        batch = split.take(part.to(split.labels.device))
        logits = model(to_pixels(batch.images, torch.float32))
        total += float(functional.cross_entropy(logits.double(), batch.labels, reduction="sum"))
    return total / len(split)
