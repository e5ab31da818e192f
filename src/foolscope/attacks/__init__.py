"""Layer 3: what an attacker may do, the attacks, the runner that owns them, and robust accuracy."""

from foolscope.attacks.attack import Attack
from foolscope.attacks.evaluation import RobustAccuracyCurve, robust_accuracy_curve
from foolscope.attacks.fgsm import FGSM
from foolscope.attacks.losses import LOSSES, misclassified, target_reached
from foolscope.attacks.norms import NORMS
from foolscope.attacks.pgd import PGD
from foolscope.attacks.result import AttackResult
from foolscope.attacks.runner import run
from foolscope.attacks.targets import TARGETS
from foolscope.attacks.threat import Threat, parse_epsilon, parse_epsilons
from foolscope.core.settings import Settings

__all__ = [
    "ATTACKS",
    "FGSM",
    "LOSSES",
    "NORMS",
    "PGD",
    "TARGETS",
    "Attack",
    "AttackResult",
    "RobustAccuracyCurve",
    "Threat",
    "misclassified",
    "parse_epsilon",
    "parse_epsilons",
    "robust_accuracy_curve",
    "run",
    "target_reached",
]

ATTACKS: dict[str, type[Settings]] = {"fgsm": FGSM, "pgd": PGD}
