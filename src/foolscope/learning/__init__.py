"""Layer 3: losses, optimizers, schedules, penalties and defenses of a pack; training loop and evaluation."""

from foolscope.learning.adversarial import DEFENSES
from foolscope.learning.losses import LOSSES
from foolscope.learning.optimizers import OPTIMIZERS
from foolscope.learning.outcome import EpochRecord, TrialOutcome
from foolscope.learning.parameters.averaging import AVERAGING
from foolscope.learning.schedules import SCHEDULES
from foolscope.learning.settings import TrainableTrial, TrainingSettings
from foolscope.learning.training import EpochReport, train_pack

__all__ = [
    "AVERAGING",
    "DEFENSES",
    "LOSSES",
    "OPTIMIZERS",
    "SCHEDULES",
    "EpochRecord",
    "EpochReport",
    "TrainableTrial",
    "TrainingSettings",
    "TrialOutcome",
    "train_pack",
]
