"""Trained networks of one hidden layer, to compare with stated weights."""

import torch
from torch import nn
from torch.nn import functional

from foolscope.constructive.functions import ApproximationError, Function, values_at
from foolscope.constructive.pieces import with_weights

__all__ = ["TRAINING_STEPS", "train_network"]

TRAINING_STEPS = 2000

_LEARNING_RATE = 0.02
_POINTS = {1: (256, 8.0), 2: (1024, 2.0)}  # at least, and for each hidden unit


def train_network(
    function: Function,
    hidden_units: int,
    dimension: int = 1,
    *,
    generator: torch.Generator,
    training_steps: int = TRAINING_STEPS,
) -> nn.Sequential:
    """Train one hidden layer of sigmoids on a grid of points with Adam: mean squared error, full batch.

    Units start as steps with locations drawn from the interval or square, directions drawn at random, as wide
    as they are far from one another, and output weights of zero. The learning rate, 0.02 at first, ends at
    zero along a cosine. All of that was chosen once so that networks of 4 to 300 units learn within seconds,
    and for no function in particular; another optimizer may get more out of the same units.

    Returns:
        A module from (batch, dimension) to (batch, 1), in float32.

    Raises:
        ApproximationError: there is no unit or no step, or the function is not finite everywhere.
    """
    if min(hidden_units, training_steps) < 1:
        raise ApproximationError(
            f"training needs at least 1 hidden unit and 1 step; got {hidden_units} and {training_steps}"
        )
    least, per_unit = _POINTS[dimension]
    side = round(max(least, per_unit * hidden_units) ** (1 / dimension))
    axis = torch.linspace(0.0, 1.0, side, dtype=torch.float64)
    points = torch.cartesian_prod(*[axis] * dimension).reshape(-1, dimension)
    values = values_at(function, points)
    center, scale = values.mean(), values.std().clamp(min=1e-12)
    inputs, targets = points.float(), ((values - center) / scale).float()[:, None]
    network = _initial(hidden_units, dimension, generator)
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, lr=_LEARNING_RATE, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training_steps)
    with torch.enable_grad():
        for _ in range(training_steps):
            loss = functional.mse_loss(network(inputs), targets)
            gradients = torch.autograd.grad(loss, parameters)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            optimizer.step()
            schedule.step()
    weight, bias = parameters[-2:]
    with torch.no_grad():
        weight.mul_(scale)
        bias.mul_(scale).add_(center)
    return network


def _initial(hidden_units: int, dimension: int, generator: torch.Generator) -> nn.Sequential:
    steepness = 4.0 * hidden_units ** (1 / dimension)
    directions = functional.normalize(torch.randn(hidden_units, dimension, generator=generator), dim=1)
    locations = torch.rand(hidden_units, dimension, generator=generator)
    weights = steepness * directions
    hidden = with_weights(weights, -(weights * locations).sum(dim=1), torch.float32)
    output = with_weights(torch.zeros(1, hidden_units), torch.zeros(1), torch.float32)
    return nn.Sequential(hidden, nn.Sigmoid(), output)
