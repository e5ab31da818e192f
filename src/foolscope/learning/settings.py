"""What training needs to know about a trial, as a protocol that a recipe satisfies."""

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from pydantic import Field

from foolscope.augmentation import AugmentationSettings
from foolscope.core.precision import Precision
from foolscope.core.settings import Settings
from foolscope.learning.adversarial import DefenseSettings
from foolscope.learning.losses import LossSettings
from foolscope.learning.optimizers import OptimizerSettings
from foolscope.learning.parameters.averaging import AveragingSettings
from foolscope.learning.parameters.groups import ParameterGroupSettings
from foolscope.learning.parameters.regularizers import RegularizationSettings
from foolscope.learning.sampling import Sampling
from foolscope.learning.schedules import ScheduleSettings
from foolscope.models import ModelSettings

__all__ = ["TrainableTrial", "TrainingSettings"]


class TrainingSettings(Settings):
    """Epochs, minibatches, clipping, sharpness, resizing, early stopping, which checkpoint is kept."""

    batch_size: int = Field(
        128, ge=1, description="images in a minibatch; the last of an epoch may be smaller"
    )
    epochs: int = Field(20, ge=1, description="passes over the training set")
    clipping: float | None = Field(
        None, gt=0.0, description="largest L2 norm of the gradient; larger ones are scaled down"
    )
    sharpness_radius: float | None = Field(
        None,
        gt=0.0,
        description="sharpness-aware minimization: the gradient is taken at this L2 distance uphill",
    )
    accumulation: int = Field(
        1,
        ge=1,
        description="parts in which a minibatch is processed, for less memory; the gradient is the same",
    )
    resizing_epochs: int = Field(
        0,
        ge=0,
        description="progressive resizing: epochs in which the training images grow from initial_scale to "
        "full size",
    )
    initial_scale: float = Field(
        0.5, gt=0.0, le=1.0, description="scale of the training images in the first of the resizing epochs"
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="stop after this many epochs without a better checkpoint, by the measure of select_by",
    )
    keep: Literal["best", "last"] = Field(
        "best",
        description="test the checkpoint that is best on validation images by select_by, or the last one",
    )
    select_by: Literal["accuracy", "balanced_accuracy", "f1", "auc", "loss", "brier"] = Field(
        "accuracy",
        description="what is best on the validation images, for keep and patience; f1 and auc are means over "
        "the classes. With a defense, robust accuracy decides instead",
    )
    sampling: Sampling = Field(
        "uniform",
        description="uniform visits every image once an epoch; balanced draws as many with replacement, "
        "every class equally often",
    )
    threshold: Literal["half", "validation"] = Field(
        "half",
        description="with two classes, decide at probability one half, or where select_by is highest on the "
        "validation images, which shifts the bias of the output layer",
    )


@runtime_checkable
class TrainableTrial(Protocol):
    """The settings of one trial that training reads."""

    @property
    def model(self) -> ModelSettings:
        """Which model."""

    @property
    def loss(self) -> LossSettings:
        """Which loss."""

    @property
    def optimizer(self) -> OptimizerSettings:
        """Which optimizer."""

    @property
    def schedule(self) -> ScheduleSettings:
        """Which learning-rate schedule."""

    @property
    def averaging(self) -> AveragingSettings:
        """Which average of the weights is evaluated."""

    @property
    def parameter_groups(self) -> Sequence[ParameterGroupSettings]:
        """Which parameters have settings of their own."""

    @property
    def regularization(self) -> RegularizationSettings:
        """Which penalties."""

    @property
    def defense(self) -> DefenseSettings:
        """Which adversarial training."""

    @property
    def augmentation(self) -> tuple[AugmentationSettings, ...]:
        """Which random changes of the training images."""

    @property
    def frozen(self) -> tuple[str, ...]:
        """Which parameters are not trained, as patterns of their names."""

    @property
    def training(self) -> TrainingSettings:
        """Epochs, minibatches and checkpoints."""

    @property
    def precision(self) -> Precision:
        """Data type of the products."""

    @property
    def seed(self) -> int:
        """Root of the trial's randomness."""
