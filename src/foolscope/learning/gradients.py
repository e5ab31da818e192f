"""The gradients of a minibatch, for every trial: of the loss, in parts, or at the sharpest point nearby."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from foolscope.core.randomness import torch_generator
from foolscope.learning.adversarial import Minibatch
from foolscope.learning.augmenting import Targets
from foolscope.learning.optimizers import PackTensors, along_trials
from foolscope.learning.packs.packing import Context
from foolscope.learning.preparation import Setup
from foolscope.learning.state import PackState

__all__ = ["MinibatchGradients", "minibatch_gradients", "uphill"]

_SMALLEST_NORM = 1e-12


@dataclass(frozen=True)
class MinibatchGradients:
    """What a minibatch says about the parameters.

    Args:
        gradients: of the mean loss, without penalties, by parameter.
        loss: summed over the minibatch.
        correct: number of correct predictions.
    """

    gradients: PackTensors
    loss: Float[Tensor, " trial"]
    correct: Int64[Tensor, " trial"]


def minibatch_gradients(
    setup: Setup,
    state: PackState,
    images: Float[Tensor, "group batch channel height width"],
    targets: Targets,
    context: Context,
) -> MinibatchGradients:
    r"""Return the gradients with which every trial takes its step.

    With a sharpness radius :math:`\rho` they are those of the loss at the parameters :math:`w + \rho \, g /
    \|g\|`, where g is the gradient at w over all parameters of a trial. Both passes see the same minibatch,
    dropout masks and starts of adversarial inputs; loss, predictions and running statistics are those of the
    first.

    References:
        Foret et al. 2021, *Sharpness-aware minimization*, arXiv:2010.01412, section 2, equation 2 and
        algorithm 1, for p = 2.
    """
    if setup.sharpness is None:
        return _gradients(setup, state, state.parameters, state.statistics, images, targets, context)
    drawn = [generator.get_state() for generator in context.generators]
    here = _gradients(setup, state, state.parameters, state.statistics, images, targets, context)
    for generator, before in zip(context.generators, drawn, strict=True):
        generator.set_state(before)
    there = uphill(state.parameters, here.gradients, setup.sharpness)
    statistics = {name: value.clone() for name, value in state.statistics.items()}
    sharp = _gradients(setup, state, there, statistics, images, targets, context)
    return MinibatchGradients(sharp.gradients, here.loss, here.correct)


@torch.no_grad()
def uphill(parameters: PackTensors, gradients: PackTensors, radius: Float[Tensor, " trial"]) -> PackTensors:
    """Return the parameters at an L2 distance from these in the direction of the gradient, trial by trial.

    A gradient of zero has no direction; its trial stays where it is.

    Example:
        >>> uphill({"w": torch.zeros(1, 2)}, {"w": torch.tensor([[3.0, 4.0]])}, torch.tensor([0.5]))
        {'w': tensor([[0.3000, 0.4000]])}
    """
    own = {name: gradients[name].to(value.dtype) for name, value in parameters.items()}
    squares = torch.stack([gradient.flatten(1).square().sum(dim=1) for gradient in own.values()])
    factor = radius / squares.sum(dim=0).sqrt().clamp_min(_SMALLEST_NORM)
    return {
        name: torch.addcmul(value, own[name], along_trials(factor, value))
        for name, value in parameters.items()
    }


def _gradients(
    setup: Setup,
    state: PackState,
    parameters: PackTensors,
    statistics: PackTensors,
    images: Tensor,
    targets: Targets,
    context: Context,
) -> MinibatchGradients:
    """Return the gradients at some parameters; the statistics are updated in place.

    With an accumulation of n the minibatch is processed in n parts, one after another, so that only a part's
    activations are in memory. Batch normalization takes its statistics from each part.
    """
    leaves = {
        name: value.to(setup.dtype if value.dim() > 2 else setup.master).detach().requires_grad_()
        for name, value in parameters.items()
    }
    generators = () if setup.defense is None else _adversarial_generators(setup, state, images.device)
    size = targets.labels.shape[1]
    parts = min(setup.trials[0].training.accumulation, size)
    total: MinibatchGradients | None = None
    for some, own in zip(images.tensor_split(parts, dim=1), targets.split(parts), strict=True):
        losses, logits = _losses(setup, leaves | statistics, some, own, context, generators)
        mean = losses.mean(dim=1).sum()
        objective = mean if parts == 1 else mean * (own.labels.shape[1] / size)
        found = torch.autograd.grad(objective, list(leaves.values()))
        part = MinibatchGradients(
            dict(zip(leaves, found, strict=True)),
            losses.detach().sum(dim=1),
            (logits.mT.max(dim=1).indices == own.labels).sum(dim=1),
        )
        total = part if total is None else _sum(total, part, setup.master)
    assert total is not None
    return total


def _losses(
    setup: Setup,
    tensors: PackTensors,
    images: Tensor,
    targets: Targets,
    context: Context,
    generators: tuple[torch.Generator, ...],
) -> tuple[Tensor, Tensor]:
    """Return the losses to minimize and the logits: with a defense, those on adversarial inputs."""
    if setup.defense is None:
        logits = setup.program(tensors, images, context)
        return targets.losses(setup.loss, logits, setup.smoothing), logits
    minibatch = Minibatch(
        program=setup.program,
        tensors=tensors,
        images=images,
        labels=targets.labels,
        loss=setup.loss,
        smoothing=setup.smoothing,
        context=context,
        generators=generators,
    )
    return setup.defense.losses(setup.defense, minibatch)


def _adversarial_generators(
    setup: Setup, state: PackState, device: torch.device
) -> tuple[torch.Generator, ...]:
    """Return the generators of a defense, one per group; its randomness depends on seed and step only."""
    return tuple(
        torch_generator(seed, "adversarial", state.step, device=device) for seed in setup.group_seeds
    )


def _sum(one: MinibatchGradients, other: MinibatchGradients, dtype: torch.dtype) -> MinibatchGradients:
    gradients = {
        name: value.to(dtype) + other.gradients[name].to(dtype) for name, value in one.gradients.items()
    }
    return MinibatchGradients(gradients, one.loss + other.loss, one.correct + other.correct)
