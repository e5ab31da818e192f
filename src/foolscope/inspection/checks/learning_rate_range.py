"""The learning-rate range test: training at many constant learning rates side by side."""

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64
from pydantic import Field

from foolscope.core.settings import Settings, finite_or_none
from foolscope.data.dataset import Dataset
from foolscope.inspection.minibatches import minibatches
from foolscope.learning import TrainableTrial
from foolscope.learning.initial_models import Initialize
from foolscope.learning.preparation import prepare
from foolscope.learning.training import train_step

__all__ = [
    "DEFAULT_RATES",
    "DEFAULT_STEPS",
    "LearningRateRange",
    "Standing",
    "learning_rate_range",
    "log_spaced",
]

_TENTH = 0.1  # of the greatest fall of the loss: less is not noticeable

Standing = Literal["too small", "in the range", "above the range", "unstable", "nothing learns"]


class LearningRateRange(Settings):
    """The learning-rate range test of one recipe: one value per rate, null where a run diverged."""

    recipe: str = Field("", description="name in a study; empty elsewhere")
    rates: list[float] = Field(description="ascending; the recipe's own is one of them")
    losses: list[float | None] = Field(
        description="training loss at the end of the run at each rate, mean over its last minibatches"
    )
    accuracies: list[float | None] = Field(description="training accuracy on the same minibatches")
    sweep: list[float | None] = Field(
        description="training loss of the one run with a growing rate, while it was nearest to each rate; "
        "null also where no step was near it"
    )
    initial_loss: float = Field(description="of the initial weights on the minibatches of losses")
    steps: int = Field(description="of each run")
    own_rate: float = Field(description="the recipe's own")
    best_rate: float | None = Field(description="of the lowest loss; null if no rate lowers it")
    largest_stable_rate: float | None = Field(
        description="last rate before the loss diverges or no longer falls noticeably; null if none lowers it"
    )
    suggestion: tuple[float, float] | None = Field(description="ends of a cyclical schedule")
    standing: Standing = Field(description="position of own_rate")
    passed: bool = Field(description="whether own_rate is stable; one that is too small only takes longer")
    sentence: str

    @classmethod
    def of(
        cls,
        rates: Sequence[float],
        losses: Sequence[float | None],
        accuracies: Sequence[float | None],
        sweep: Sequence[float | None],
        *,
        initial_loss: float,
        own_rate: float,
        steps: int,
    ) -> "LearningRateRange":
        """Draw the conclusions from the measurements.

        The suggested range for a cyclical schedule goes from the first rate at which the loss falls by a
        tenth of the greatest fall to the last at which it falls by nine tenths of it. In Smith's words: from
        where the accuracy starts to rise to where it slows, becomes ragged or starts to fall. Rates are
        stable up to the last at which the loss falls by a tenth of the greatest fall: a network that too
        large a step has killed guesses, and the loss of guessing may be just below the initial one.

        Below the suggested range the own rate is "too small"; above it, but not above the largest stable
        rate, "above the range"; beyond that "unstable".
        """
        reached = [math.inf if loss is None else loss for loss in losses]
        best = min(range(len(rates)), key=lambda place: reached[place])
        learns = reached[best] < initial_loss

        def falling(share: float) -> Sequence[float]:
            """Return the unbroken run of rates around the best with this share of its fall."""
            enough = initial_loss - share * (initial_loss - reached[best])
            falls = [loss <= enough for loss in reached]
            first = max((place + 1 for place in range(best) if not falls[place]), default=0)
            end = next((place for place in range(best + 1, len(falls)) if not falls[place]), len(falls))
            return rates[first:end]

        suggestion = (falling(_TENTH)[0], falling(1.0 - _TENTH)[-1]) if learns else None
        stable = falling(_TENTH)[-1] if learns else None
        standing: Standing
        if suggestion is None or stable is None:
            standing = "nothing learns"
            sentence = (
                f"No learning rate from {rates[0]:.3g} to {rates[-1]:.3g} lowers the loss within "
                f"{steps} steps; check the model, the loss and the data."
            )
        else:
            own_loss = losses[list(rates).index(own_rate)]
            fall = "diverges" if own_loss is None else f"goes from {initial_loss:.3g} to {own_loss:.3g}"
            suggested, own = "{:.3g} to {:.3g}".format(*suggestion), f"Learning rate {own_rate:.3g}"
            at_least = "at least " if stable == rates[-1] else ""
            limit = f"the largest stable rate is {at_least}{stable:.3g}"
            if own_rate < suggestion[0]:
                standing = "too small"
                sentence = (
                    f"{own} is too small: in {steps} steps the loss {fall}; "
                    f"the suggested range is {suggested}, {limit}."
                )
            elif own_rate <= suggestion[1]:
                standing, sentence = "in the range", f"{own} is in the suggested range, {suggested}; {limit}."
            elif own_rate <= stable:
                standing = "above the range"
                sentence = f"{own} is above the suggested range, {suggested}, but stable; {limit}."
            else:
                standing = "unstable"
                sentence = f"{own} is too large: the loss {fall}; {limit}, the suggested range {suggested}."
        return cls(
            rates=list(rates),
            losses=list(losses),
            accuracies=list(accuracies),
            sweep=list(sweep),
            initial_loss=initial_loss,
            steps=steps,
            own_rate=own_rate,
            best_rate=rates[best] if learns else None,
            largest_stable_rate=stable,
            suggestion=suggestion,
            standing=standing,
            passed=standing not in ("unstable", "nothing learns"),
            sentence=sentence,
        )


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
    initialize: Initialize | None = None,
) -> LearningRateRange:
    """Train the same network at many learning rates side by side, each for a few steps, and compare.

    Every run starts from the trial's initial weights and sees its minibatches, with its optimizer, loss,
    regularization and clipping, but at a constant rate without the schedule. A run at rate zero on the same
    minibatches is the reference of all others, so that differences come from the rate alone.

    One more run is the test as it was published: its rate grows geometrically from the lowest to the highest.
    At each rate it starts from where the smaller ones have brought it, so large rates look better, or worse,
    than they are. The trial's own learning rate is measured too. ``tell`` is called with the fraction done;
    ``initialize`` gives the model other initial weights than its seed does.

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
    losses, accuracies = _train(trial, dataset, np.column_stack([constant, growing]), tell, initialize)
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
    initialize: Initialize | None,
) -> tuple[Float64[np.ndarray, "step run"], Float64[np.ndarray, "step run"]]:
    """Train one run per column at the given rates; return the mean loss and accuracy of every minibatch."""
    packs = []
    for first in range(0, rates.shape[1], _SIDE_BY_SIDE):
        part = rates[:, first : first + _SIDE_BY_SIDE]
        setup, state = prepare([trial] * part.shape[1], dataset, initialize)
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
