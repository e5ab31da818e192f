"""Training in NumPy: stochastic gradient descent with the same steps as PyTorch."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray

from foolscope.reference.layer import Array, Parameters
from foolscope.reference.losses import Loss
from foolscope.reference.network import Network, parameter_gradients, running_statistics
from foolscope.reference.penalties import L1, L2, Penalty, weights_of

__all__ = ["SGD", "Steps", "TrainingState", "train"]


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent: v ← μ v + g, w ← w − η v.

    To the gradient g of the loss are added those of the penalties, (l1 · sign(w) + l2 · w); it is then scaled
    so that its norm over all parameters is at most ``clipping``; and before the step weights shrink by
    w ← w − η · weight_decay · w. Penalties and decay act on weights only. With l1 = weight_decay = 0 and no
    clipping it is :class:`torch.optim.SGD` with ``weight_decay=l2`` for the weights.

    Args:
        momentum: μ in [0, 1).
        l1: coefficient of λ Σ |w|.
        l2: coefficient of (λ/2) Σ w².
        weight_decay: decoupled from the gradient.
        clipping: positive; infinity leaves gradients as they are.
    """

    momentum: float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    weight_decay: float = 0.0
    clipping: float = math.inf


@dataclass(frozen=True)
class TrainingState:
    """The state of training, from which :func:`train` continues.

    Args:
        parameters: and buffers.
        velocities: v of every parameter with a gradient so far; empty at the start and without momentum.
    """

    parameters: Parameters
    velocities: Parameters


@dataclass(frozen=True)
class Steps:
    """Losses and correct predictions of each minibatch, before its step.

    Args:
        losses: mean over the minibatch, without penalties.
        correct: how many images were classified correctly.
    """

    losses: Float64[np.ndarray, " step"]
    correct: Int64[np.ndarray, " step"]


def train(
    network: Network,
    state: TrainingState,
    batches: Iterable[tuple[Array, NDArray[np.integer[Any]]]],
    learning_rates: Sequence[float] | Float64[np.ndarray, " step"],
    *,
    loss: Loss,
    sgd: SGD,
) -> tuple[TrainingState, Steps]:
    """Take one gradient step per minibatch.

    The network is in training mode; images (batch, ...) have the data type of the parameters, and there are
    as many learning rates as batches.

    Example:
        >>> from foolscope.reference import Affine, CrossEntropy
        >>> images, labels = np.array([[-1.0], [1.0]]), np.array([0, 1])
        >>> start = TrainingState({"0.weight": np.zeros((2, 1))}, {})
        >>> network = Network((("0", Affine()),))
        >>> end, steps = train(
        ...     network, start, [(images, labels)] * 2, [1.0, 1.0], loss=CrossEntropy(), sgd=SGD()
        ... )
        >>> steps.losses.round(4), end.parameters["0.weight"].round(4).T
        (array([0.6931, 0.3133]), array([[-0.7689,  0.7689]]))
    """
    parameters = {name: value.copy() for name, value in state.parameters.items()}
    velocities = {name: value.copy() for name, value in state.velocities.items()}
    penalties: list[Penalty] = [L1(sgd.l1)] if sgd.l1 else []
    penalties += [L2(sgd.l2)] if sgd.l2 else []
    losses, correct = [], []
    for (images, labels), learning_rate in zip(batches, learning_rates, strict=True):
        outputs, cache = network.forward(parameters, images)
        value, loss_cache = loss.forward(outputs, labels)
        losses.append(value)
        correct.append(int((outputs.argmax(axis=1) == labels).sum()))
        gradients = parameter_gradients(network, parameters, cache, loss.backward(loss_cache))
        parameters |= running_statistics(network, parameters, cache)
        for penalty in penalties:
            for name, gradient in penalty.backward(_learned(parameters, gradients)).items():
                gradients[name] += gradient
        _descend(parameters, velocities, gradients, float(learning_rate), sgd)
    steps = Steps(np.array(losses, np.float64), np.array(correct, np.int64))
    return TrainingState(parameters, velocities), steps


def _learned(parameters: Parameters, gradients: Parameters) -> Parameters:
    return {name: parameters[name] for name in gradients}


def _descend(
    parameters: dict[str, Array],
    velocities: dict[str, Array],
    gradients: dict[str, Array],
    learning_rate: float,
    sgd: SGD,
) -> None:
    """Update parameters and velocities in place, overwriting the gradients."""
    if sgd.clipping < math.inf:
        norm = math.sqrt(sum(float(np.vdot(gradient, gradient)) for gradient in gradients.values()))
        scale = min(1.0, sgd.clipping / max(norm, 1e-12))
        for gradient in gradients.values():
            gradient *= scale
    if sgd.weight_decay:
        for weight in weights_of(_learned(parameters, gradients)).values():
            weight *= 1 - learning_rate * sgd.weight_decay
    for name, gradient in gradients.items():
        step = gradient
        if sgd.momentum:
            if name not in velocities:
                velocities[name] = np.zeros_like(gradient)
            step = velocities[name]
            step *= sgd.momentum
            step += gradient
        np.multiply(step, learning_rate, out=gradient)
        parameters[name] -= gradient
