"""Reasons to doubt an attack's numbers, in plain words, each with what to do about it."""

import torch
from pydantic import Field
from torch import nn

from foolscope.attacks.runner.best_so_far import BestSoFar
from foolscope.core.settings import FiniteFloat, Settings
from foolscope.threats.prediction import Logits

__all__ = ["MaskingCheck", "check", "doubts_about_run", "model_checks"]

_MANY_ZEROS = 0.01


class MaskingCheck(Settings):
    """One sign of masked gradients, and whether a model shows it."""

    name: str = Field(description="the sign, in a few words")
    fired: bool = Field(description="whether the model shows the sign")
    sentence: str = Field(description="what was measured; if it fired, also what that means and what to do")
    value: FiniteFloat = Field(description="the number that decided; None if it is not finite")
    is_serious: bool = Field(
        True, description="whether the sign casts doubt on this evaluation, and not only on those of others"
    )


def model_checks(model: nn.Module, clean_logits: Logits) -> tuple[MaskingCheck, ...]:
    """Check, before the model is frozen, that it is what attacks expect.

    The output on the clean images shows whether it ends in a softmax and whether it is finite.
    """
    training = sum(module.training for module in model.modules())
    sums = clean_logits.sum(1)
    probable = (
        len(sums) > 0
        and bool((clean_logits >= 0).all())
        and torch.allclose(sums, torch.ones_like(sums), atol=1e-3)
    )
    broken = int((~clean_logits.isfinite().all(1)).sum())
    return (
        check(
            "train mode",
            training,
            training > 0,
            "The model was in train mode; it was attacked in evaluation mode. Call model.eval() first.",
            "The model was in evaluation mode.",
        ),
        check(
            "probability outputs",
            float(probable),
            probable,
            "The outputs look like probabilities: none is negative and each row sums to one. A softmax makes "
            "gradients vanish; attack the logits instead.",
            "The outputs do not look like probabilities.",
        ),
        check(
            "output not finite",
            broken,
            broken > 0,
            f"The output on {broken} clean images is not finite; check the weights and the input range.",
            "Every output on the clean images is finite.",
        ),
    )


def check(
    name: str, value: float, fired: bool, seen: str, unseen: str, *, is_serious: bool = True
) -> MaskingCheck:
    """Return a check with the sentence that applies."""
    return MaskingCheck(
        name=name,
        fired=fired,
        sentence=seen if fired else unseen,
        value=float(value),
        is_serious=is_serious,
    )


def doubts_about_run(best_so_far: BestSoFar, images: slice, unconfirmed: int) -> tuple[str, ...]:
    """Return the signs that the attack on one model was weaker than it seems.

    The model's images are at these positions of the run; ``unconfirmed`` of them fooled the model in the loop
    but not when it was evaluated again.
    """
    doubts = []
    backwards = max(1, int(best_so_far.backwards[images].sum()))
    zeros, broken = (
        int(each[images].sum()) for each in (best_so_far.zero_gradients, best_so_far.broken_gradients)
    )
    if zeros >= _MANY_ZEROS * backwards and zeros:
        doubts.append(
            f"{100 * zeros / backwards:.0f} % of the input gradients were exactly zero, so the attack could "
            "not move; try loss = 'margin', float64, or an attack without gradients."
        )
    if broken:
        doubts.append(
            f"{100 * broken / backwards:.0f} % of the input gradients were not finite and were replaced by "
            "zero; look for a division, logarithm or root in the model, or try an attack without gradients."
        )
    if unconfirmed:
        doubts.append(
            f"{unconfirmed} images fooled the model during the attack but not when it was evaluated again, "
            "and count as not fooled; the model's output changes from call to call: fix its randomness or "
            "average over it."
        )
    if outside := int(best_so_far.outside[images].sum()):
        doubts.append(
            f"{outside} candidates left the ball or the bounds and were not counted; fix the attack."
        )
    return tuple(doubts)
