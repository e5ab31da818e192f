"""The stages of a full evaluation: which attack, with which targets, on which images that still hold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from foolscope.attacks.apgd import APGD
from foolscope.attacks.fgsm import FGSM
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
    attack: FGSM | APGD | FMN | Square | MIFGSM
    targets: tuple[int, int] | None = None
    reach: float = inf
    coarse: bool = True


_ONE_STEP = Stage("fgsm", FGSM(loss="margin"))
_FEW_STEPS = Stage("apgd", APGD(steps=10, loss="margin"))
_NEAREST = Stage("apgd-nearest", APGD(steps=20, loss="margin"), (0, 1))
_NEXT = Stage("apgd-next", APGD(steps=20, loss="margin"), (1, 3), reach=2.0)
_OTHERS = Stage("apgd-others", APGD(steps=20, loss="margin"), (3, TARGETS_TRIED), reach=0.4)
_LONG = Stage("apgd-long", APGD(steps=100, restarts=3, loss="margin"), reach=0.25, coarse=False)
_RESTARTS = Stage("apgd-restarts", APGD(steps=50, restarts=3, loss="margin"), (0, 2), reach=0.1, coarse=False)
_MINIMUM_NORM = Stage("fmn", FMN(steps=20))

_PATIENCE = {"linf": 1, "l2": 1, "l1": 3}

TRANSFER = Stage("transfer", MIFGSM(steps=20), coarse=False)
BLACK_BOX_SAMPLE = Stage("square", Square(steps=500))
BLACK_BOX = Stage("square", Square(steps=5000))


def evaluation_stages(norm: str, epsilons: Sequence[float], others: int) -> tuple[Stage, ...]:
    """Return the attacks with gradients, the cheapest first.

    How near the boundary an image must be for the later stages was measured with every reach infinite, on
    networks defended and not: no image that fell to "apgd-next", "apgd-others" and what follows came from
    further than 1.1, 0.36 and 0.19. What falls last falls by luck of the start: of the images near the
    boundary of ten networks, 100 steps towards each of three classes fooled less than the same number of
    steps from three starts, and both fooled what the other did not.

    Args:
        norm: a name from ``NORMS``; in L1, where steps are sparse, each attack of many steps takes three
            times as many.
        epsilons: the budgets. Where there are several, a minimum-norm attack says near which of them each
            image falls; and since each is attacked at the budget where it just holds, far more of them come
            to the last stages, which are shorter for that.
        others: how many other classes there are; a stage for classes beyond them is left out.
    """
    one = (_ONE_STEP, _FEW_STEPS, _NEAREST, _NEXT, _OTHERS, _LONG, _RESTARTS)
    several = (
        _MINIMUM_NORM,
        _FEW_STEPS,
        _NEAREST,
        _NEXT,
        _OTHERS,
        replace(_LONG, attack=_LONG.attack.model_copy(update={"restarts": 1}), reach=0.15),
    )
    return tuple(
        _patient(stage, _PATIENCE[norm])
        for stage in (one if len(epsilons) < 2 else several)
        if stage.targets is None or stage.targets[0] < others
    )


def _patient(stage: Stage, factor: int) -> Stage:
    """Return the stage with more steps, if it takes several."""
    if isinstance(stage.attack, FGSM):
        return stage
    return replace(stage, attack=stage.attack.model_copy(update={"steps": factor * stage.attack.steps}))
