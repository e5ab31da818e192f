"""What models do in training besides gradient steps: learning by other means, and a conclusion afterwards."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from foolscope.learning.augmenting import Targets
from foolscope.learning.measuring.evaluation import evaluate
from foolscope.learning.packs.packing import solo_program
from foolscope.learning.packs.stacking import own_part, stacked_constants, stacked_parameters
from foolscope.learning.preparation import Setup
from foolscope.learning.state import PackState
from foolscope.models import MODELS

__all__ = ["conclude", "learn_without_gradients"]


def learn_without_gradients(setup: Setup, state: PackState, targets: Targets) -> None:
    """Let models that have something to learn from a minibatch by other means change their statistics.

    To be called after the forward pass and before the gradient step. Where labels are mixed, the one with the
    larger share counts.
    """
    learn = MODELS[setup.trials[0].model.name].learn
    if learn is None:
        return
    labels = targets.labels
    if targets.partners is not None and targets.weights is not None:
        labels = torch.where(targets.weights < 0.5, targets.partners, labels)
    for row, model in enumerate(setup.models):
        own = _own(state.statistics, row, model)
        learn(model, own, labels[row], state.step, setup.steps_per_epoch)


def conclude(setup: Setup, state: PackState) -> list[dict[str, float]]:
    """Conclude the kept checkpoint of every trial that did not diverge, in place.

    Returns:
        For each trial the test accuracy of each variant of its model, by metric name.
    """
    measured: list[dict[str, float]] = [{} for _ in setup.models]
    act = MODELS[setup.trials[0].model.name].conclude
    if act is None:
        return measured
    train = setup.dataset.train
    for trial, model in enumerate(setup.models):
        if state.statuses[trial] == "diverged":
            continue
        model.load_state_dict(_own(state.best, trial, model), strict=False)
        conclusion = act(setup.trials[trial].model, model.eval(), train.images, train.labels)
        values = conclusion.model.state_dict()
        for name, tensor in _own(state.best, trial, model).items():
            tensor.copy_(values[name])
        model.load_state_dict(values)  # buffers
        measured[trial] = {
            f"test_accuracy_{name}": _test_accuracy(setup, variant)
            for name, variant in conclusion.variants.items()
        }
    return measured


def _own(tensors: Mapping[str, Tensor], row: int, model: nn.Module) -> dict[str, Tensor]:
    """Return views of one trial's numbers without padding."""
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    return {name: own_part(value[row], shapes[name]) for name, value in tensors.items()}


def _test_accuracy(setup: Setup, model: nn.Module) -> float:
    tensors = stacked_parameters([model]) | stacked_constants([model])
    found = evaluate(solo_program([model]), tensors, setup.dataset.test, setup.evaluation_loss, setup.master)
    return float(found.accuracy[0])
