"""What of the peers more than one way needs: their names for norms, and ART's view of a model."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attack_ways.case import Case

__all__ = ["art_classifier", "art_norm", "by_art"]


def art_norm(case: Case) -> float:
    """Return the norm as the Adversarial Robustness Toolbox calls it."""
    return float(np.inf) if case.norm == "linf" else 2


def art_classifier(model: nn.Module, case: Case) -> Any:
    """Return the model as the Adversarial Robustness Toolbox wants it."""
    from art.estimators.classification import PyTorchClassifier

    with torch.no_grad():
        classes = case.model(case.images[:1]).shape[1]
    return PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(case.images.shape[1:]),
        nb_classes=classes,
        clip_values=(0.0, 1.0),
        device_type="gpu" if case.images.is_cuda else "cpu",
    )


def by_art(attack: Any, case: Case) -> Tensor:
    """Run an attack of the toolbox, from arrays to arrays."""
    found = attack.generate(case.images.cpu().numpy(), case.labels.cpu().numpy())
    return torch.from_numpy(found).to(case.images)
