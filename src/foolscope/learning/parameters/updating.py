"""Turns the gradients of a minibatch into the next parameters: penalties, clipping, decay, step."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from foolscope.learning.optimizers import OPTIMIZERS, PackTensors
from foolscope.learning.parameters.regularizers import clip_gradients
from foolscope.learning.parameters.treatments import PackGroups
from foolscope.learning.preparation import Setup
from foolscope.learning.state import PackState

__all__ = ["update_parameters"]

_PORTION_NUMBERS = 2**18  # of a parameter: with its gradient and a moment they fit a core's own cache


@torch.no_grad()
def update_parameters(
    setup: Setup, state: PackState, gradients: PackTensors, learning_rate: Float[Tensor, " trial"]
) -> None:
    """Update the parameters of every trial and the optimizer's moments in place.

    The passes over a large parameter cost as much as its matrix products once they exceed the cache, so it is
    updated a few trials at a time.
    """
    parameters = state.parameters
    if setup.regularizers.penalizes or setup.clipping is not None:
        gradients = {name: value.to(setup.master) for name, value in gradients.items()}
        setup.regularizers.add_gradients(parameters, gradients)
        clip_gradients(gradients, setup.clipping)
    setup.regularizers.decay(parameters, learning_rate)
    update = OPTIMIZERS[setup.trials[0].optimizer.name].update

    def move(names: Sequence[str], trials: slice | None, rate: Tensor) -> None:
        def part(tensors: PackTensors) -> PackTensors:
            found = [name for name in names if name in tensors]  # an optimizer keeps some moments of some
            return {name: tensors[name] if trials is None else tensors[name][trials] for name in found}

        hyper = {"learning_rate": rate, **setup.optimizer_hyperparameters}
        update(
            part(parameters),
            {name: gradient.to(setup.master) for name, gradient in part(gradients).items()},
            {moment: part(tensors) for moment, tensors in state.optimizer.items()},
            hyper if trials is None else {name: value[trials] for name, value in hyper.items()},
            state.step,
        )

    for names, factor in _by_rate(setup.parameter_groups, parameters):
        rate = learning_rate if factor is None else learning_rate * factor
        for portion, trials in _portions({name: parameters[name] for name in names}):
            move(portion, trials, rate)


def _by_rate(
    groups: PackGroups, parameters: PackTensors
) -> Iterator[tuple[Sequence[str], Float[Tensor, " trial"] | None]]:
    """Yield names and the factor on their learning rate, first those that have the trial's own."""
    apart = {name for names, _ in groups.rates for name in names}
    yield [name for name in parameters if name not in apart], None
    yield from groups.rates


def _portions(parameters: PackTensors) -> Iterator[tuple[Sequence[str], slice | None]]:
    """Yield what is updated at once: all small parameters, or a few trials of a large one."""
    large = [name for name, value in parameters.items() if value.numel() > _PORTION_NUMBERS]
    yield [name for name in parameters if name not in large], None
    for name in large:
        trials = len(parameters[name])
        step = max(1, _PORTION_NUMBERS * trials // parameters[name].numel())
        for start in range(0, trials, step):
            yield [name], slice(start, start + step)
