"""The stages of a full evaluation: which attack, with which targets, on which images that still hold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from foolscope.attacks.apgd import APGD
from foolscope.attacks.fmn import FMN
from foolscope.attacks.pgd import MIFGSM
from foolscope.attacks.square import Square

__all__ = ["BLACK_BOX", "BLACK_BOX_SAMPLE", "TARGETS_TRIED", "TRANSFER", "Stage", "evaluation_stages"]

TARGETS_TRIED = 9
"""How many of the other classes are compared and may be aimed at, as in AutoAttack."""


@dataclass(frozen=True)
class Stage:
    """One attack of an evaluation.

    Args:
        name: what the result calls it.
        attack: its settings.
        targets: which of an image's nearest classes it aims at, from the first (included) to the last
            (excluded); none for an untargeted attack. It takes any misclassification.
        reach: only images near the boundary: where what is left of the margin is at most this part of what
            the attacks so far have taken away.
        coarse: whether its steps may be taken in bfloat16.
    """

    name: str
    attack: APGD | FMN | Square | MIFGSM
    targets: tuple[int, int] | None = None
    reach: float = inf
    coarse: bool = True


_FEW_STEPS = Stage("apgd", APGD(steps=10, loss="margin"))
_NEAREST = Stage("apgd-nearest", APGD(steps=20, loss="margin"), (0, 3))
_OTHERS = Stage("apgd-others", APGD(steps=20, loss="margin"), (3, TARGETS_TRIED), reach=0.5)
_LONG = Stage("apgd-long", APGD(steps=100, loss="margin"), (0, 3), reach=0.2, coarse=False)
_MINIMUM_NORM = Stage("fmn", FMN(steps=20))

_PATIENCE = {"linf": 1, "l2": 1, "l1": 3}

TRANSFER = Stage("transfer", MIFGSM(steps=20), coarse=False)
BLACK_BOX_SAMPLE = Stage("square", Square(steps=1000))
BLACK_BOX = Stage("square", Square(steps=5000))


def evaluation_stages(norm: str, epsilons: Sequence[float], others: int) -> tuple[Stage, ...]:
    """Return the attacks with gradients, the cheapest first.

    In evaluations of defended networks with a reach of 1, no image that fell to the last two stages came from
    further than 0.36 and 0.1.

    Args:
        norm: a name from ``NORMS``; in L1, where steps are sparse, each attack takes three times as many.
        epsilons: the budgets. Where there are several, a minimum-norm attack says near which of them each
            image falls; and since each is attacked at the budget where it just holds, far more of them come
            to the last stages, which are shorter for that.
        others: how many other classes there are; a stage for classes beyond them is left out.
    """
    one = (_FEW_STEPS, _NEAREST, _OTHERS, _LONG)
    several = (
        _MINIMUM_NORM,
        _FEW_STEPS,
        _NEAREST,
        replace(_OTHERS, reach=0.4),
        replace(_LONG, targets=(0, 1), reach=0.15),
    )
    return tuple(
        replace(stage, attack=stage.attack.model_copy(update={"steps": _PATIENCE[norm] * stage.attack.steps}))
        for stage in (one if len(epsilons) < 2 else several)
        if stage.targets is None or stage.targets[0] < others
    )
