"""Optimizers of a pack: pairs of ``init`` and ``update`` whose hyper-parameters carry the trial axis.

``update`` works in place on the parameters and on the state that ``init`` made, and on nothing else. The
``weight_decay`` of the settings is the decoupled one;
:mod:`foolscope.learning.parameters.regularizers` applies it, for every optimizer in the same way.
"""

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from foolscope.learning.optimizers.adam import Adam, AdamW, adam_init, adam_update
from foolscope.learning.optimizers.lion import Lion, lion_init, lion_update
from foolscope.learning.optimizers.muon import Muon, muon_init, muon_rates, muon_update
from foolscope.learning.optimizers.optimizer import (
    OptimizerEntry,
    OptimizerSettings,
    OptimizerState,
    PackTensors,
    along_trials,
)
from foolscope.learning.optimizers.sgd import SGD, sgd_init, sgd_update

__all__ = [
    "OPTIMIZERS",
    "SGD",
    "Adam",
    "AdamW",
    "Lion",
    "Muon",
    "OptimizerEntry",
    "OptimizerSettings",
    "OptimizerState",
    "PackTensors",
    "along_trials",
    "hyperparameters",
]

OPTIMIZERS: dict[str, OptimizerEntry] = {
    "sgd": OptimizerEntry(SGD, sgd_init, sgd_update),
    "adam": OptimizerEntry(Adam, adam_init, adam_update),
    "adamw": OptimizerEntry(AdamW, adam_init, adam_update),
    "lion": OptimizerEntry(Lion, lion_init, lion_update),
    "muon": OptimizerEntry(Muon, muon_init, muon_update, muon_rates),
}


def hyperparameters(
    settings: Sequence[OptimizerSettings], device: torch.device, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Gather the optimizer's own fields of every trial into tensors (trial,); all trials share one optimizer.

    A choice becomes its place among the choices. A switch that is off for every trial is omitted, so that no
    step has to read its values.
    """
    hyper = {}
    for field in OPTIMIZERS[settings[0].name].fields:
        values = [getattr(each, field) for each in settings]
        if isinstance(values[0], str):
            choices = get_args(type(settings[0]).model_fields[field].annotation)
            values = [choices.index(value) for value in values]
        if values != [False] * len(values) or not isinstance(values[0], bool):
            hyper[field] = torch.tensor([float(value) for value in values], device=device, dtype=dtype)
    return hyper
