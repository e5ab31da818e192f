"""Layer 4: the attacks, the runner that owns their active set, and the evaluation of robust accuracy."""

from foolscope.attacks.apgd import APGD
from foolscope.attacks.carlini_wagner import CarliniWagner
from foolscope.attacks.ddn import DDN
from foolscope.attacks.deepfool import DeepFool
from foolscope.attacks.evaluation.full_evaluation import evaluate_robustness
from foolscope.attacks.evaluation.robust_accuracy import RobustAccuracyCurve, robust_accuracy_curve
from foolscope.attacks.evaluation.transfer import transfer
from foolscope.attacks.fab import FAB
from foolscope.attacks.fgsm import FGSM, FGSMRS
from foolscope.attacks.fmn import FMN
from foolscope.attacks.losses import LOSSES, misclassified, target_reached
from foolscope.attacks.noise import GaussianNoise, UniformNoise
from foolscope.attacks.pgd import BIM, MIFGSM, PGD
from foolscope.attacks.runner.attack import Attack
from foolscope.attacks.runner.doubts import MaskingCheck
from foolscope.attacks.runner.result import AttackResult
from foolscope.attacks.runner.run import run
from foolscope.attacks.runner.targets import TARGETS
from foolscope.attacks.square import Square
from foolscope.core.settings import Settings

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
    "UniformNoise",
    "evaluate_robustness",
    "misclassified",
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
