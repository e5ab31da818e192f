"""Gradients through time at initialization and in training, for recurrent models of several settings."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from foolscope.data.dataset import Dataset
from foolscope.inspection.gradient_flow import FlowThroughTime, flow_through_time
from foolscope.inspection.learning_rate_range import minibatches
from foolscope.learning import TrainableTrial
from foolscope.learning.evaluation import to_pixels
from foolscope.learning.preparation import Setup, prepare
from foolscope.learning.state import PackState
from foolscope.learning.training import train_step

__all__ = ["DEFAULT_MOMENTS", "RECURRENT_SETTINGS", "GradientHistory", "recurrent_gradients"]

DEFAULT_MOMENTS = (0, 100)

_PROBE_IMAGES = 200


def _plain(activation: str) -> dict[str, dict[str, Any]]:
    models = {
        norm: {"name": "rnn", "activation": activation, "spectral_norm": norm} for norm in (0.8, 1.0, 1.2)
    }
    return {f"‖w‖ = {norm:g}": {"model": model} for norm, model in models.items()} | {
        "‖w‖ = 1.2, clipped": {"model": models[1.2], "training": {"clipping": 1.0}}
    }


RECURRENT_SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "linear": _plain("linear"),
    "tanh": _plain("tanh"),
    "LSTM": {
        f"forget bias {bias:g}": {"model": {"name": "lstm", "forget_bias": bias}} for bias in (0.0, 1.0, 4.0)
    },
}
"""Kind of recurrence -> words -> fields of a recipe: what vanishes, what explodes, what helps against it."""


@dataclass(frozen=True)
class GradientHistory:
    """One recurrent model in training, looked into at some moments.

    Args:
        moments: steps taken before each look; 0 is the initialization.
        flows: what was seen, one a moment.
        losses: of the minibatch before each step, without penalties.
        update_norms: how far each step moved the parameters, in the L2 norm over all of them: with plain
            gradient descent the learning rate times the norm of the gradient after clipping.
    """

    moments: tuple[int, ...]
    flows: tuple[FlowThroughTime, ...]
    losses: Float64[np.ndarray, " step"]
    update_norms: Float64[np.ndarray, " step"]


def recurrent_gradients(
    trials: Mapping[str, TrainableTrial], dataset: Dataset, *, moments: Sequence[int] = DEFAULT_MOMENTS
) -> dict[str, GradientHistory]:
    """Train recurrent models step by step and measure their gradients through time on the same images.

    Training is the trials' own, with their clipping; only the learning rate's schedule is left out. A model
    that diverges is followed all the same: what is then seen of it is not finite.

    Args:
        trials: words -> trial of a recurrent model, such as recipes with fields of
            :data:`RECURRENT_SETTINGS`.
        dataset: on the device to train on; up to 200 of its training images, evenly spread, are looked at.
        moments: after how many steps to look.

    Returns:
        A history under each trial's words.

    Raises:
        RecipeError: a model is not recurrent.
    """
    ascending = tuple(sorted(set(moments)))
    return {words: _followed(trial, dataset, ascending) for words, trial in trials.items()}


def _followed(trial: TrainableTrial, dataset: Dataset, moments: tuple[int, ...]) -> GradientHistory:
    setup, state = prepare([trial], dataset)
    rate = torch.tensor(
        [trial.optimizer.learning_rate], device=dataset.train.images.device, dtype=setup.master
    )
    flows, losses, updates = [], [], []
    for step, (batch, context) in enumerate(minibatches(setup, trial.seed)):
        if step in moments:
            flows.append(_look(setup, state))
        if step >= moments[-1]:
            break
        before = _flat(state.parameters)
        loss, _ = train_step(setup, state, batch, rate, context)
        state.step += 1
        losses.append(float(loss[0]) / batch.shape[1])
        updates.append(float((_flat(state.parameters) - before).norm()))
    return GradientHistory(moments, tuple(flows), np.array(losses), np.array(updates))


def _look(setup: Setup, state: PackState) -> FlowThroughTime:
    """Measure the one trial of a pack as it is now."""
    train = setup.dataset.train
    chosen = torch.linspace(0, len(train) - 1, min(_PROBE_IMAGES, len(train))).long()
    probe = train.take(chosen.to(train.labels.device))
    model: nn.Module = copy.deepcopy(setup.models[0])
    model.load_state_dict({name: value[0] for name, value in state.parameters.items()}, strict=False)
    return flow_through_time(model, to_pixels(probe.images, setup.master), probe.labels, loss=setup.loss)


def _flat(parameters: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([value.detach().flatten().double() for value in parameters.values()])
