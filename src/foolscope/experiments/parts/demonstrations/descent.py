"""Linear least squares by gradient descent and in closed form, and the curvature of the loss."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from foolscope.reference import Affine, MeanSquaredError

__all__ = ["Descent", "curvatures", "descend", "least_squares", "log_spaced", "predictions", "rises"]

Features = Float[np.ndarray, "example feature"]
Targets = Float[np.ndarray, " example"]

_HOPELESS = 1e6  # times the first loss: beyond it a descent has diverged and is stopped
_ROUNDING = 1e-12  # relative to the loss; a smaller rise does not count


@dataclass(frozen=True)
class Descent:
    """A run of gradient descent.

    Args:
        weights: one per feature, after the last step.
        bias: after the last step.
        losses: before each step and after the last; fewer where the descent was stopped because it diverged.
    """

    weights: Float[np.ndarray, " feature"]
    bias: float
    losses: Float[np.ndarray, " moment"]


def descend(features: Features, targets: Targets, learning_rate: float, steps: int) -> Descent:
    """Fit an affine layer by gradient descent on the mean squared error, from zero.

    The gradients are those derived by hand in :class:`foolscope.reference.Affine` and
    :class:`foolscope.reference.MeanSquaredError`. A loss beyond a million times the first ends it.

    Args:
        features: inputs of the affine layer.
        targets: one per example.
        learning_rate: η > 0.
        steps: at most this many.

    Example:
        >>> x = np.array([[-1.0], [1.0]])
        >>> run = descend(x, np.array([1.0, 3.0]), learning_rate=0.25, steps=60)
        >>> run.weights.round(6), round(run.bias, 6)
        (array([1.]), 2.0)
    """
    layer, loss, goal = Affine(), MeanSquaredError(), targets[:, None]
    parameters = {"weight": np.zeros((1, features.shape[1])), "bias": np.zeros(1)}
    losses = []
    while True:
        outputs, cache = layer.forward(parameters, features)
        value, errors = loss.forward(outputs, goal)
        losses.append(value)
        if len(losses) > steps or value > _HOPELESS * losses[0]:
            break
        for name, gradient in layer.parameter_gradients(cache, loss.backward(errors)).items():
            parameters[name] -= learning_rate * gradient
    return Descent(parameters["weight"][0], float(parameters["bias"][0]), np.array(losses))


def least_squares(features: Features, targets: Targets) -> tuple[Float[np.ndarray, " feature"], float, float]:
    """Return weights, bias and mean squared error of the closed-form solution (XᵀX) w = Xᵀ y, with a bias.

    Example:
        >>> weights, bias, loss = least_squares(np.array([[-1.0], [1.0]]), np.array([1.0, 3.0]))
        >>> weights.round(9), round(bias, 9), round(loss, 9)
        (array([1.]), 2.0, 0.0)
    """
    design = _with_ones(features)
    solution = np.linalg.lstsq(design, targets, rcond=None)[0]
    return solution[:-1], float(solution[-1]), float(np.square(design @ solution - targets).mean())


def curvatures(features: Features) -> Float[np.ndarray, " direction"]:
    """Return the eigenvalues of the loss's Hessian, (2/N) X̃ᵀX̃ with X̃ = [X 1], ascending.

    Gradient descent multiplies the error along an eigenvector by 1 − ηλ in every step: it shrinks where
    0 < η < 2/λ. So the largest eigenvalue bounds the learning rate, η < 2/λ_max.

    Example:
        >>> curvatures(np.array([[-3.0], [3.0]]))
        array([ 2., 18.])
    """
    design = _with_ones(features)
    values: Float[np.ndarray, " direction"] = np.linalg.eigvalsh(2 / len(design) * design.T @ design)
    return values


def predictions(features: Features, weights: Float[np.ndarray, " feature"], bias: float) -> Targets:
    """Return X w + b."""
    result: Targets = features @ weights + bias
    return result


def rises(losses: Float[np.ndarray, " moment"]) -> int:
    """Count the steps at which a loss rose by more than rounding.

    Example:
        >>> rises(np.array([3.0, 2.0, 2.0, 2.5]))
        1
    """
    return int((np.diff(losses) > _ROUNDING * losses[:-1]).sum())


def log_spaced(count: int, most: int = 160) -> Int[np.ndarray, " chosen"]:
    """Choose at most ``most`` of the indices 0 … count − 1, denser at the start, with both ends.

    Example:
        >>> log_spaced(5).tolist(), len(log_spaced(40_000)) <= 160
        ([0, 1, 2, 3, 4], True)
    """
    if count <= most:
        return np.arange(count)
    spaced = np.round(np.geomspace(1, count, most)).astype(int) - 1
    return np.unique(spaced)


def _with_ones(features: Features) -> Float[np.ndarray, "example direction"]:
    return np.hstack([features, np.ones((len(features), 1))])
