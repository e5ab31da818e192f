"""Reasons not to trust an attack's numbers, in plain words, each with what to do."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foolscope.attacks.ledger import Ledger

__all__ = ["doubts_about_model", "doubts_about_run"]

_MANY_ZEROS = 0.01


def doubts_about_model(model: nn.Module, clean_logits: Float[Tensor, "batch classes"]) -> tuple[str, ...]:
    """Look for a model that is not what an attack expects, before it is frozen.

    Args:
        model: the model as the person handed it over.
        clean_logits: its output on the clean images.
    """
    doubts = []
    if any(module.training for module in model.modules()):
        doubts.append(
            "The model was in train mode; it was attacked in evaluation mode. Call model.eval() first."
        )
    broken = int((~clean_logits.isfinite().all(1)).sum())
    if broken:
        doubts.append(
            f"The output on {broken} clean images is not finite; check the weights and the input range."
        )
    sums = clean_logits.sum(1)
    if (
        len(sums)
        and bool((clean_logits >= 0).all())
        and torch.allclose(sums, torch.ones_like(sums), atol=1e-3)
    ):
        doubts.append(
            "The outputs are probabilities: they are not negative and sum to one. A softmax flattens "
            "gradients; attack the logits before it."
        )
    return tuple(doubts)


def doubts_about_run(ledger: Ledger, unconfirmed: int) -> tuple[str, ...]:
    """Look for signs that the attack was weaker than it seems.

    Args:
        ledger: the books of the run.
        unconfirmed: how many images fooled inside the loop but not when asked again.
    """
    doubts = []
    backwards = max(1, int(ledger.backwards.sum()))
    zeros, broken, outside = int(ledger.zero_gradients), int(ledger.broken_gradients), int(ledger.outside)
    if zeros >= _MANY_ZEROS * backwards and zeros:
        doubts.append(
            f"{zeros / backwards:.0%} of the input gradients were exactly zero, so the attack could not "
            "move; try loss = 'margin', float64, or an attack without gradients."
        )
    if broken:
        doubts.append(
            f"{broken / backwards:.0%} of the input gradients were not finite and were taken as zero; "
            "look for a division, logarithm or root in the model, or try an attack without gradients."
        )
    if unconfirmed:
        doubts.append(
            f"{unconfirmed} images fooled during the attack but not when asked again, and count as not "
            "fooled; the model answers differently from call to call: fix its randomness or average over it."
        )
    if outside:
        doubts.append(
            f"{outside} candidates left the ball or the bounds and were not counted; mend the attack."
        )
    return tuple(doubts)
