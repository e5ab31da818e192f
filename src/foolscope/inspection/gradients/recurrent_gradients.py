"""Gradients through time of recurrent models, at initialization and in training."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from foolscope.data.dataset import Dataset
from foolscope.inspection.gradients.gradient_flow import FlowThroughTime, flow_through_time
from foolscope.inspection.minibatches import minibatches
from foolscope.learning import TrainableTrial
from foolscope.learning.measuring.evaluation import to_pixels
from foolscope.learning.preparation import Setup, prepare
from foolscope.learning.state import PackState
from foolscope.learning.training import train_step

__all__ = ["GradientHistory", "recurrent_gradients"]

_PROBE_IMAGES = 200


@dataclass(frozen=True)
class GradientHistory:
    """Gradients of one recurrent model at some moments of its training.

    Args:
        moments: numbers of steps taken; 0 is the initialization.
        flows: the gradients, one entry per moment.
        losses: of each step's minibatch before the step, without penalties.
        update_norms: L2 norm of each step over all parameters: with plain gradient descent the learning rate
            times the norm of the gradient after clipping.
    """

    moments: tuple[int, ...]
    flows: tuple[FlowThroughTime, ...]
    losses: Float64[np.ndarray, " step"]
    update_norms: Float64[np.ndarray, " step"]


def recurrent_gradients(
    trials: Mapping[str, TrainableTrial], dataset: Dataset, *, moments: Sequence[int]
) -> dict[str, GradientHistory]:
    """Train recurrent models step by step and measure their gradients through time on the same images.

    Training is the trials' own, with their clipping, but at a constant learning rate. A model that diverges
    is measured all the same; its norms are not finite.

    Args:
        trials: name -> trial of a recurrent model.
        dataset: on the device to train on; gradients are measured on up to 200 of its training images, evenly
            spread.
        moments: numbers of steps after which to measure.

    Raises:
        RecipeError: a model is not recurrent.
    """
    ascending = tuple(sorted(set(moments)))
    return {name: _history(trial, dataset, ascending) for name, trial in trials.items()}


def _history(trial: TrainableTrial, dataset: Dataset, moments: tuple[int, ...]) -> GradientHistory:
    setup, state = prepare([trial], dataset)
    rate = torch.tensor(
        [trial.optimizer.learning_rate], device=dataset.train.images.device, dtype=setup.master
    )
    flows, losses, updates = [], [], []
    for step, (batch, context) in enumerate(minibatches(setup, trial.seed)):
        if step in moments:
            flows.append(_flow(setup, state))
        if step >= moments[-1]:
            break
        before = _flat(state.parameters)
        loss, _ = train_step(setup, state, batch, rate, context)
        state.step += 1
        losses.append(float(loss[0]) / batch.shape[1])
        updates.append(float((_flat(state.parameters) - before).norm()))
    return GradientHistory(moments, tuple(flows), np.array(losses), np.array(updates))


def _flow(setup: Setup, state: PackState) -> FlowThroughTime:
    """Measure the one trial of a pack at its current weights."""
    train = setup.dataset.train
    chosen = torch.linspace(0, len(train) - 1, min(_PROBE_IMAGES, len(train))).long()
    probe = train.take(chosen.to(train.labels.device))
    model: nn.Module = copy.deepcopy(setup.models[0])
    model.load_state_dict({name: value[0] for name, value in state.parameters.items()}, strict=False)
    return flow_through_time(model, to_pixels(probe.images, setup.master), probe.labels, loss=setup.loss)


def _flat(parameters: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([value.detach().flatten().double() for value in parameters.values()])
