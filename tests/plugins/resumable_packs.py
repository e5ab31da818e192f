"""Packs that hold every kind of state that training has; the values of each trial beside the defaults."""

from foolscope.augmentation.flips import AlternatingFlip
from foolscope.augmentation.mixing import Mixup
from foolscope.augmentation.noise import Noise
from foolscope.augmentation.policies import RandAugment
from foolscope.learning import OPTIMIZERS, TrainingSettings
from foolscope.learning.adversarial import PGDTraining, TRADESTraining
from foolscope.learning.losses import SquaredError
from foolscope.learning.optimizers import SGD, Adam
from foolscope.learning.parameters.averaging import EMA, SWA
from foolscope.learning.schedules import Cosine
from foolscope.models import MLP, FastCNN, LinearRegression, PrototypeTree, ResNet, SmallCNN

__all__ = ["PACKS", "SETTINGS"]

SETTINGS = TrainingSettings(batch_size=16, epochs=5)

PACKS = {
    **{
        f"optimizer {name}": [
            {"optimizer": entry.settings(name=name, learning_rate=rate, weight_decay=0.01), "seed": seed}
            for seed in (0, 1)
            for rate in (0.01, 0.1)
        ]
        for name, entry in OPTIMIZERS.items()
    },
    "momentum, dropout and a schedule": [
        {
            "optimizer": SGD(momentum=0.9, nesterov=nesterov),
            "model": MLP(hidden=(8,), dropout=0.5),
            "schedule": Cosine(),
        }
        for nesterov in (False, True)
    ],
    "early stopping": [
        {
            "optimizer": SGD(learning_rate=2.0),
            "model": MLP(hidden=(4,)),
            "training": SETTINGS.model_copy(update={"patience": patience}),
        }
        for patience in (1, 2, None)
    ],
    "different epochs": [
        {
            "training": SETTINGS.model_copy(update={"epochs": epochs}),
            "optimizer": SGD(momentum=0.9),
            "model": MLP(hidden=(4 + epochs,)),
            "seed": seed,
        }
        for seed in (0, 1)
        for epochs in (2, 5, 4)
    ],
    "batch normalization": [{"model": ResNet(channels=(2, 3)), "seed": seed} for seed in (0, 1)],
    "a diverging neighbor": [
        {"optimizer": Adam(learning_rate=rate), "model": LinearRegression(), "loss": SquaredError()}
        for rate in (0.01, 1e300, 0.1)
    ],
    "convolutions": [{"model": SmallCNN(units=(9, 8), dropout=0.3), "seed": seed} for seed in (0, 1)],
    "single precision": [
        {"model": MLP(hidden=(8,), dropout=0.3), "precision": "float32", "seed": seed} for seed in (0, 1)
    ],
    "augmentation, frozen layers and averaging": [
        {
            "model": ResNet(channels=(2, 3)),
            "augmentation": (AlternatingFlip(), RandAugment(), Noise(probability=0.5), Mixup()),
            "frozen": ("0.*", "1.*"),
            "averaging": EMA(averaging_decay=0.9),
            "seed": seed,
        }
        for seed in (0, 1)
    ],
    "whitening": [{"model": FastCNN(channels=(4,)), "seed": seed} for seed in (0, 1)],
    "brain floats": [{"model": MLP(hidden=(8,)), "precision": "bfloat16", "optimizer": Adam()}],
    "a defense": [
        {"model": ResNet(channels=(2,)), "defense": PGDTraining(epsilon=epsilon, attack_steps=1)}
        for epsilon in (0.05, 0.1)
    ],
    "trades": [
        {"model": MLP(hidden=(8,), dropout=0.3), "defense": TRADESTraining(epsilon=0.1, attack_steps=2)}
    ],
    "moving averages and early stopping": [
        {
            "averaging": EMA(averaging_decay=decay),
            "optimizer": SGD(learning_rate=2.0),
            "model": MLP(hidden=(4,)),
            "training": SETTINGS.model_copy(update={"patience": patience}),
        }
        for decay, patience in ((0.5, 1), (0.99, 1), (0.9, None))
    ],
    "averages of epochs, in parts, uphill": [
        {
            "averaging": SWA(averaging_start=start),
            "model": ResNet(channels=(2,)),
            "training": SETTINGS.model_copy(update={"sharpness_radius": 0.1, "accumulation": 2}),
        }
        for start in (0.2, 0.6)
    ],
    "growing images": [
        {
            "model": ResNet(channels=(2,)),
            "training": SETTINGS.model_copy(update={"resizing_epochs": 4, "initial_scale": 0.5}),
            "seed": seed,
        }
        for seed in (0, 1)
    ],
    "counted leaves": [
        {
            "model": PrototypeTree(
                channels=(4,), features=3, depth=2, leaves="derivative-free", normalization="half"
            ),
            "optimizer": Adam(learning_rate=0.02),
            "seed": seed,
        }
        for seed in (0, 1)
    ],
    "momentum in one of them": [
        {"optimizer": SGD(momentum=momentum), "seed": seed} for seed in (0, 1) for momentum in (0.0, 0.9)
    ],
    "no validation": [{"seed": seed} for seed in (0, 1)],
}
