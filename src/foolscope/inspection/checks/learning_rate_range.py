"""The learning-rate range test: training at many constant learning rates side by side."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float64

from foolscope.core.settings import finite_or_none
from foolscope.data.dataset import Dataset
from foolscope.inspection.checks.learning_rates import LearningRateRange
from foolscope.inspection.minibatches import minibatches
from foolscope.learning import TrainableTrial
from foolscope.learning.preparation import prepare
from foolscope.learning.training import train_step

__all__ = [
    "DEFAULT_RATES",
    "DEFAULT_STEPS",
    "learning_rate_range",
    "log_spaced",
]


def log_spaced(low: float, high: float, count: int) -> tuple[float, ...]:
    """Return learning rates evenly spaced on a log scale, rounded so that 0.1 is 0.1.

    Example:
        >>> log_spaced(0.01, 1.0, 5)
        (0.01, 0.0316227766017, 0.1, 0.316227766017, 1.0)
    """
    return tuple(float(f"{rate:.12g}") for rate in np.geomspace(low, high, count))


DEFAULT_RATES = log_spaced(1e-5, 10.0, 25)
DEFAULT_STEPS = 80
_FINAL = 0.2  # of the steps
_SIDE_BY_SIDE = 9  # runs in a pack; wider ones leave the cache


def learning_rate_range(
    trial: TrainableTrial,
    dataset: Dataset,
    rates: Sequence[float] = DEFAULT_RATES,
    steps: int = DEFAULT_STEPS,
    tell: Callable[[float], None] | None = None,
) -> LearningRateRange:
    """Train the same network at many learning rates side by side, each for a few steps, and compare.

    Every run starts from the trial's initial weights and sees its minibatches, with its optimizer, loss,
    regularization and clipping, but at a constant rate without the schedule. A run at rate zero on the same
    minibatches is the reference of all others, so that differences come from the rate alone.

    One more run is the test as it was published: its rate grows geometrically from the lowest to the highest.
    At each rate it starts from where the smaller ones have brought it, so large rates look better, or worse,
    than they are.

    Args:
        trial: recipe to train; its own learning rate is measured too.
        dataset: its training set is used, and nothing else.
        rates: positive, at least two of them different.
        steps: of every run, at least 1.
        tell: called with the fraction done.

    Returns:
        The measurements and what follows from them.

    Raises:
        RecipeError: the model does not fit the images.

    References:
        Smith 2017, *Cyclical learning rates for training neural networks*, arXiv:1506.01186, section 3.3.
        Smith and Topin 2018, *Super-convergence*, arXiv:1708.07120, section 3. Both sweep the rate in one
        run, linearly.
    """
    own = trial.optimizer.learning_rate
    tested = np.array(sorted({*rates, own}))
    growing = np.geomspace(min(rates), max(rates), steps)
    constant = np.repeat([[0.0, *tested]], steps, axis=0)
    losses, accuracies = _train(trial, dataset, np.column_stack([constant, growing]), tell)
    last = max(1, round(_FINAL * steps))
    survived = np.isfinite(losses).all(axis=0)
    initial_loss, *final_losses, _ = np.where(survived, losses[-last:].mean(axis=0), np.nan).tolist()
    _, *final_accuracies, _ = np.where(survived, accuracies[-last:].mean(axis=0), np.nan).tolist()
    nearest = np.abs(np.log(growing[:, None] / tested)).argmin(axis=1)
    passing = [losses[nearest == place, -1] for place in range(len(tested))]
    passed = [float(each.mean()) if each.size else None for each in passing]
    return LearningRateRange.of(
        tested.tolist(),
        *([finite_or_none(each) for each in values] for values in (final_losses, final_accuracies, passed)),
        initial_loss=initial_loss,
        own_rate=own,
        steps=steps,
    )


def _train(
    trial: TrainableTrial,
    dataset: Dataset,
    rates: Float64[np.ndarray, "step run"],
    tell: Callable[[float], None] | None,
) -> tuple[Float64[np.ndarray, "step run"], Float64[np.ndarray, "step run"]]:
    """Train one run per column at the given rates; return the mean loss and accuracy of every minibatch."""
    packs = []
    for first in range(0, rates.shape[1], _SIDE_BY_SIDE):
        part = rates[:, first : first + _SIDE_BY_SIDE]
        setup, state = prepare([trial] * part.shape[1], dataset)
        rate_of_step = torch.from_numpy(part.copy()).to(dataset.train.images.device, setup.master)
        steps = []
        for rate, (batch, context) in zip(rate_of_step, minibatches(setup, trial.seed), strict=False):
            loss, correct = train_step(setup, state, batch, rate, context)
            state.step += 1
            steps.append(torch.stack([loss.double(), correct.double()]) / batch.shape[1])
            if tell is not None:
                tell((first + len(steps) / len(rates) * part.shape[1]) / rates.shape[1])
        packs.append(torch.stack(steps, dim=1))
    losses, accuracies = torch.cat(packs, dim=2).cpu().numpy()
    return losses, accuracies
