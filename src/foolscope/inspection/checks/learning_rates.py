"""What the learning-rate range test says: suggested range, largest stable rate, and the recipe's own rate."""

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["LearningRateRange", "Standing"]

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

        Args:
            rates: ascending, with ``own_rate``.
            losses: see the fields.
            accuracies: see the fields.
            sweep: see the fields.
            initial_loss: see the fields.
            own_rate: see the fields.
            steps: see the fields.
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
