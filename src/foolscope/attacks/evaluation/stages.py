"""The stages of a full evaluation: which attack, with which targets, on which images that still hold."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from foolscope.attacks.apgd import APGD
from foolscope.attacks.fgsm import FGSM
from foolscope.attacks.fmn import FMN
from foolscope.attacks.pgd import MIFGSM
from foolscope.attacks.square import Square

__all__ = ["BLACK_BOX", "BLACK_BOX_SAMPLE", "TARGETS_TRIED", "TRANSFER", "AttackStage", "evaluation_stages"]

TARGETS_TRIED = 9
"""The number of other classes that are ordered and may be aimed at, as in AutoAttack."""


@dataclass(frozen=True)
class AttackStage:
    """One attack of an evaluation.

    Args:
        name: the stage's name in the result.
        attack: its settings.
        targets: which of an image's nearest classes it aims at, from the first (included) to the last
            (excluded); ``None`` for an untargeted attack. Any misclassification counts.
        max_margin_ratio: attack only images near the boundary, where the margin that is left is at most this
            many times the margin that the attacks so far took away.
        low_precision: whether its steps may be taken in bfloat16.
    """

    name: str
    attack: FGSM | APGD | FMN | Square | MIFGSM
    targets: tuple[int, int] | None = None
    max_margin_ratio: float = inf
    low_precision: bool = True


_ONE_STEP = AttackStage("fgsm", FGSM(loss="margin"))
_FEW_STEPS = AttackStage("apgd", APGD(steps=10, loss="margin"))
_NEAREST = AttackStage("apgd-nearest", APGD(steps=20, loss="margin"), (0, 1))
_NEXT = AttackStage("apgd-next", APGD(steps=20, loss="margin"), (1, 3), max_margin_ratio=2.0)
_OTHERS = AttackStage("apgd-others", APGD(steps=20, loss="margin"), (3, TARGETS_TRIED), max_margin_ratio=0.4)
_LONG = AttackStage(
    "apgd-long", APGD(steps=100, restarts=3, loss="margin"), max_margin_ratio=0.25, low_precision=False
)
_RESTARTS = AttackStage(
    "apgd-restarts",
    APGD(steps=50, restarts=3, loss="margin"),
    (0, 2),
    max_margin_ratio=0.1,
    low_precision=False,
)
_MINIMUM_NORM = AttackStage("fmn", FMN(steps=20))

_PATIENCE = {"linf": 1, "l2": 1, "l1": 3}

TRANSFER = AttackStage("transfer", MIFGSM(steps=20), low_precision=False)
BLACK_BOX_SAMPLE = AttackStage("square", Square(steps=500))
BLACK_BOX = AttackStage("square", Square(steps=5000))


def evaluation_stages(norm: str, epsilons: Sequence[float], others: int) -> tuple[AttackStage, ...]:
    """Return the attacks with gradients, the cheapest first.

    How near the boundary an image must be for the later stages was measured with all stages on all images, on
    networks with and without defenses: no image that fell to "apgd-next", "apgd-others" or a later stage had
    a margin ratio above 1.1, 0.36 and 0.19. Which images fall last depends on the random start: near the
    boundary of ten networks, 100 steps towards each of three classes fooled fewer images than the same number
    of steps from three starts, and each fooled images that the other did not.

    Args:
        norm: a name from ``NORMS``; in L1, where steps are sparse, each attack of many steps takes three
            times as many.
        epsilons: the budgets. Where there are several, a minimum-norm attack finds near which of them each
            image falls. Since each image is attacked at the budget that it just withstands, far more images
            reach the last stages, which are therefore shorter.
        others: the number of other classes; stages for classes beyond them are skipped.
    """
    one = (_ONE_STEP, _FEW_STEPS, _NEAREST, _NEXT, _OTHERS, _LONG, _RESTARTS)
    several = (
        _MINIMUM_NORM,
        _FEW_STEPS,
        _NEAREST,
        _NEXT,
        _OTHERS,
        replace(_LONG, attack=_LONG.attack.model_copy(update={"restarts": 1}), max_margin_ratio=0.15),
    )
    return tuple(
        _patient(stage, _PATIENCE[norm])
        for stage in (one if len(epsilons) < 2 else several)
        if stage.targets is None or stage.targets[0] < others
    )


def _patient(stage: AttackStage, factor: int) -> AttackStage:
    """Return the stage with this many times its steps; one that takes a single step as it is."""
    if isinstance(stage.attack, FGSM):
        return stage
    return replace(stage, attack=stage.attack.model_copy(update={"steps": factor * stage.attack.steps}))
