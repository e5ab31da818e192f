"""Layer 3: what an attacker may do, the attacks, the runner that owns them, and robust accuracy."""

from foolscope.attacks.apgd import APGD
from foolscope.attacks.attack import Attack
from foolscope.attacks.carlini_wagner import CarliniWagner
from foolscope.attacks.ddn import DDN
from foolscope.attacks.deepfool import DeepFool
from foolscope.attacks.doubts import MaskingCheck
from foolscope.attacks.evaluation import RobustAccuracyCurve, robust_accuracy_curve
from foolscope.attacks.fab import FAB
from foolscope.attacks.fgsm import FGSM, FGSMRS
from foolscope.attacks.fmn import FMN
from foolscope.attacks.full_evaluation import evaluate
from foolscope.attacks.losses import LOSSES, misclassified, target_reached
from foolscope.attacks.noise import GaussianNoise, UniformNoise
from foolscope.attacks.pgd import BIM, MIFGSM, PGD
from foolscope.attacks.result import AttackResult
from foolscope.attacks.runner import run
from foolscope.attacks.square import Square
from foolscope.attacks.targets import TARGETS
from foolscope.attacks.transfer import black_box_beats_white_box, transfer
from foolscope.core.settings import Settings
from foolscope.threats.norms import NORMS
from foolscope.threats.threat import Threat, parse_epsilon, parse_epsilons

__all__ = [
    "APGD",
    "ATTACKS",
    "BIM",
    "DDN",
    "FAB",
    "FGSM",
    "FGSMRS",
    "FMN",
    "LOSSES",
    "MIFGSM",
    "NORMS",
    "PGD",
    "TARGETS",
    "Attack",
    "AttackResult",
    "CarliniWagner",
    "DeepFool",
    "GaussianNoise",
    "MaskingCheck",
    "RobustAccuracyCurve",
    "Square",
    "Threat",
    "UniformNoise",
    "black_box_beats_white_box",
    "evaluate",
    "misclassified",
    "parse_epsilon",
    "parse_epsilons",
    "robust_accuracy_curve",
    "run",
    "target_reached",
    "transfer",
]

ATTACKS: dict[str, type[Settings]] = {
    "fgsm": FGSM,
    "pgd": PGD,
    "apgd": APGD,
    "ddn": DDN,
    "deepfool": DeepFool,
    "fab-t": FAB,
    "carlini-wagner": CarliniWagner,
    "fmn": FMN,
    "fgsm-rs": FGSMRS,
    "bim": BIM,
    "mi-fgsm": MIFGSM,
    "square": Square,
    "uniform-noise": UniformNoise,
    "gaussian-noise": GaussianNoise,
}
