"""A sanity check: before training, a classifier's loss is that of uniform guessing."""

import math

import torch
from torch import nn

from foolscope.data.dataset import Dataset
from foolscope.inspection.check import Check
from foolscope.learning import TrainableTrial
from foolscope.learning.evaluation import evaluate
from foolscope.learning.initial_models import initial_models
from foolscope.learning.losses import cross_entropy
from foolscope.learning.packing import solo_program

__all__ = ["initial_loss", "initial_model"]

_TOLERANCE = 0.5
_IMAGES = 2000


def initial_model(trial: TrainableTrial, dataset: Dataset) -> nn.Module:
    """Return a trial's model before training, on the data set's device."""
    (model,) = initial_models([trial], dataset)
    return model.to(dataset.train.images.device)


def initial_loss(trial: TrainableTrial, dataset: Dataset) -> Check:
    """Compare the cross-entropy at initialization with ln K, that of uniform guessing.

    A loss well above ln K means that initial weights or inputs are too large, one well below that labels leak
    into the inputs. Up to 0.5 above or below passes: logits that scatter by 1, as PyTorch's initialization
    may give, add about half a nat. Up to 2,000 training images, evenly spread, are used.
    """
    train, classes = dataset.train, len(dataset.classes)
    chosen = torch.linspace(0, len(train) - 1, min(_IMAGES, len(train))).long().to(train.labels.device)
    model = initial_model(trial, dataset)
    parameters = {name: value.detach()[None] for name, value in model.named_parameters()}
    measured = evaluate(solo_program([model]), parameters, train.take(chosen), cross_entropy, torch.float32)
    loss, expected = float(measured.loss[0]), math.log(classes)
    passed = abs(loss - expected) <= _TOLERANCE
    sentence = f"Loss at initialization {loss:.3f}, ln {classes} = {expected:.3f}: " + (
        "as expected." if passed else f"more than {_TOLERANCE} apart; check initial weights and inputs."
    )
    return Check(
        check="loss at initialization",
        passed=passed,
        sentence=sentence,
        numbers={"loss": loss, "expected": expected},
    )
