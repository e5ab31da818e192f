"""The learning-rate range test: which rates lower the loss, from which on they no longer do."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from foolscope.core.randomness import torch_generator
from foolscope.data.dataset import Dataset
from foolscope.learning import TrainableTrial
from foolscope.learning.packing import Context
from foolscope.learning.preparation import Setup, prepare
from foolscope.learning.training import train_step

__all__ = [
    "DEFAULT_RATES",
    "DEFAULT_STEPS",
    "LearningRateRange",
    "Standing",
    "learning_rate_range",
    "log_spaced",
    "minibatches",
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
_TENTH = 0.1  # of the greatest fall of the loss: less is not noticeable
_FINAL = 0.2  # of the steps
_SIDE_BY_SIDE = 9  # runs in a pack; wider ones leave the cache

Standing = Literal["too small", "in the range", "above the range", "unstable", "nothing learns"]
"""Where a rate stands: see :attr:`LearningRateRange.standing`."""


@dataclass(frozen=True)
class LearningRateRange:
    """What the range test measured; every sequence has one value per rate, ``None`` where a run diverged.

    Args:
        rates: ascending; the trial's own is one of them.
        losses: training loss at the end of the run at that rate, the mean over its last minibatches.
        accuracies: training accuracy on the same minibatches, in [0, 1].
        sweep: training loss of the one run whose rate grows from the first to the last, while it was nearest
            to that rate; ``None`` also where it has taken no step near it.
        initial_loss: of the initial weights on the minibatches that ``losses`` are about.
        own_rate: the trial's own.
        steps: length of each run.
    """

    rates: tuple[float, ...]
    losses: tuple[float | None, ...]
    accuracies: tuple[float | None, ...]
    sweep: tuple[float | None, ...]
    initial_loss: float
    own_rate: float
    steps: int

    @property
    def best_rate(self) -> float | None:
        """The rate of the lowest loss; ``None`` if no rate lowers it."""
        measured = [
            (loss, rate) for loss, rate in zip(self.losses, self.rates, strict=True) if loss is not None
        ]
        lowest, rate = min(measured, default=(math.inf, None))
        return rate if lowest < self.initial_loss else None

    @property
    def largest_stable_rate(self) -> float | None:
        """The last rate before the loss diverges or no longer falls noticeably; ``None`` if none lowers it.

        Noticeably means by a tenth of the greatest fall. A network that too large a step has killed guesses,
        and the loss of guessing may be just below the initial one.
        """
        around = self._where_it_falls_by(_TENTH)
        return around[-1] if around else None

    @property
    def suggestion(self) -> tuple[float, float] | None:
        """The range for a cyclical schedule; ``None`` if no rate lowers the loss.

        From the first rate at which the loss falls by a tenth of the greatest fall, to the last at which it
        falls by nine tenths of it. In Smith's words: from where the accuracy starts to rise to where it
        slows, becomes ragged or starts to fall.
        """
        if self.best_rate is None:
            return None
        return self._where_it_falls_by(_TENTH)[0], self._where_it_falls_by(1.0 - _TENTH)[-1]

    def _where_it_falls_by(self, share: float) -> list[float]:
        """Return the unbroken run of rates around the best at which the loss falls by a share of its fall."""
        if self.best_rate is None:
            return []
        reached = [math.inf if loss is None else loss for loss in self.losses]
        best = self.rates.index(self.best_rate)
        enough = self.initial_loss - share * (self.initial_loss - reached[best])
        falls = [loss <= enough for loss in reached]
        first = max((place + 1 for place in range(best) if not falls[place]), default=0)
        end = next((place for place in range(best + 1, len(falls)) if not falls[place]), len(falls))
        return list(self.rates[first:end])

    @property
    def standing(self) -> Standing:
        """Where the trial's own rate stands.

        Below the suggested range it is "too small", in it "in the range"; above it, but not above the largest
        stable rate, "above the range"; "unstable" beyond; "nothing learns" if no rate lowers the loss.
        """
        if self.suggestion is None or self.largest_stable_rate is None:
            return "nothing learns"
        low, high = self.suggestion
        if self.own_rate < low:
            return "too small"
        if self.own_rate <= high:
            return "in the range"
        return "above the range" if self.own_rate <= self.largest_stable_rate else "unstable"

    @property
    def passed(self) -> bool:
        """Whether training at the trial's own rate is stable; one that is too small only takes longer."""
        return self.standing not in ("unstable", "nothing learns")

    @property
    def sentence(self) -> str:
        """The answer in words."""
        if self.suggestion is None:
            return (
                f"No learning rate from {self.rates[0]:.3g} to {self.rates[-1]:.3g} lowers the loss within "
                f"{self.steps} steps; look at the model, the loss and the data."
            )
        low, high = self.suggestion
        suggested, own = f"{low:.3g} to {high:.3g}", f"Learning rate {self.own_rate:.3g}"
        at_least = "at least " if self.largest_stable_rate == self.rates[-1] else ""
        stable = f"the largest stable rate is {at_least}{self.largest_stable_rate:.3g}"
        loss = self.losses[self.rates.index(self.own_rate)]
        fall = "diverges" if loss is None else f"goes from {self.initial_loss:.3g} to {loss:.3g}"
        match self.standing:
            case "too small":
                return (
                    f"{own} is too small: in {self.steps} steps the loss {fall}; "
                    f"the suggested range is {suggested}, {stable}."
                )
            case "in the range":
                return f"{own} is in the suggested range, {suggested}; {stable}."
            case "above the range":
                return f"{own} is above the suggested range, {suggested}, but stable; {stable}."
            case _:
                return f"{own} is too large: the loss {fall}; {stable}, the suggested range {suggested}."


def learning_rate_range(
    trial: TrainableTrial,
    dataset: Dataset,
    rates: Sequence[float] = DEFAULT_RATES,
    steps: int = DEFAULT_STEPS,
    tell: Callable[[float], None] | None = None,
) -> LearningRateRange:
    """Train the same network at many learning rates side by side, each for a few steps, and compare.

    Every run starts from the trial's initial weights and sees its minibatches, with its optimizer, loss,
    regularization and clipping; only the schedule is left out: the rate is constant. A run at rate zero, on
    the same minibatches, is what the others are compared with, so that the difference is the rate's alone.

    Beside them goes the test as it was published: one run whose rate grows geometrically from the lowest to
    the highest. It needs no pack, but at each rate it starts from where the smaller ones have brought it, so
    large rates look better, or worse, than they are.

    Args:
        trial: what to train; its own learning rate is measured too.
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
    return LearningRateRange(
        rates=tuple(tested.tolist()),
        losses=_finite(final_losses),
        accuracies=_finite(final_accuracies),
        sweep=_finite([float(each.mean()) if each.size else math.nan for each in passing]),
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


def minibatches(setup: Setup, seed: int) -> Iterator[tuple[Tensor, Context]]:
    """Yield the minibatches of a training with this seed, epoch after epoch, with what their steps need."""
    train = setup.dataset.train
    device = train.images.device
    for epoch in itertools.count():
        order = torch.randperm(len(train), generator=torch_generator(seed, "batches", epoch)).to(device)
        dropout = tuple(torch_generator(seed, "dropout", epoch, device=device) for _ in setup.trials)
        context = Context(training=True, dtype=setup.dtype, generators=dropout)
        for batch in torch.split(order[None], setup.batch_size, dim=1):
            yield batch, context


def _finite(values: Sequence[float]) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in values)
