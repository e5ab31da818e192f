from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from foolscope.augmentation import AugmentationSettings
from foolscope.core.precision import Precision
from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.learning import TrainingSettings
from foolscope.learning.adversarial import DefenseSettings, NoDefense
from foolscope.learning.losses import CrossEntropy, LossSettings
from foolscope.learning.optimizers import SGD, OptimizerSettings
from foolscope.learning.parameters.averaging import AveragingSettings, NoAveraging
from foolscope.learning.parameters.groups import ParameterGroupSettings
from foolscope.learning.parameters.regularizers import RegularizationSettings
from foolscope.learning.schedules import Constant, ScheduleSettings
from foolscope.models import MLP, ModelSettings


@dataclass(frozen=True)
class Trial:
    """A trial without a recipe: what the protocol asks for and nothing else."""

    model: ModelSettings = field(default_factory=lambda: MLP(hidden=(8,)))
    loss: LossSettings = field(default_factory=CrossEntropy)
    optimizer: OptimizerSettings = field(default_factory=SGD)
    schedule: ScheduleSettings = field(default_factory=Constant)
    defense: DefenseSettings = field(default_factory=NoDefense)
    averaging: AveragingSettings = field(default_factory=NoAveraging)
    parameter_groups: tuple[ParameterGroupSettings, ...] = ()
    regularization: RegularizationSettings = field(default_factory=RegularizationSettings)
    augmentation: tuple[AugmentationSettings, ...] = ()
    frozen: tuple[str, ...] = ()
    training: TrainingSettings = field(default_factory=lambda: TrainingSettings(batch_size=16, epochs=3))
    precision: Precision = "float64"
    seed: int = 0


def blobs(count: int, classes: int, shape: tuple[int, int, int], seed: int) -> LabeledImages:
    """Noisy images around one pattern per class."""
    patterns = torch.rand(classes, *shape, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=generator)
    noise = 0.35 * torch.randn(count, *shape, generator=generator)
    return LabeledImages(((patterns[labels] + noise).clamp(0, 1) * 255).to(torch.uint8), labels)


def small_dataset(
    train: int = 70, classes: int = 3, shape: tuple[int, int, int] = (1, 6, 5), validation: int | None = 40
) -> Dataset:
    return Dataset.build(
        "blobs",
        tuple(f"class {index}" for index in range(classes)),
        blobs(train, classes, shape, 1),
        None if validation is None else blobs(validation, classes, shape, 2),
        blobs(50, classes, shape, 3),
    )


@pytest.fixture(scope="session")
def make_dataset() -> Callable[..., Dataset]:
    return small_dataset


@pytest.fixture(scope="session")
def make_trial() -> Callable[..., Any]:
    return Trial
