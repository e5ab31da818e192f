"""Turns the settings of a pack's trials into what the training loop needs: program, tensors and state."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from foolscope.augmentation import AugmentationSettings
from foolscope.core.errors import RecipeError
from foolscope.core.precision import resolve_precision
from foolscope.data.dataset import Dataset
from foolscope.learning.adversarial import PackDefense, check_defense
from foolscope.learning.augmenting import check_augmentation
from foolscope.learning.initial_models import initial_models
from foolscope.learning.losses import PackLoss, evaluation_loss, smoothing_per_trial, training_loss
from foolscope.learning.measuring.thresholds import check_selection, output_bias
from foolscope.learning.optimizers import OPTIMIZERS, hyperparameters
from foolscope.learning.optimizers.muon import Muon, muon_matrices
from foolscope.learning.packs.packing import Program, pack_program
from foolscope.learning.packs.stacking import stacked_constants, stacked_parameters
from foolscope.learning.parameters.averaging import AVERAGING
from foolscope.learning.parameters.freezing import freeze, frozen_layers
from foolscope.learning.parameters.groups import check_parameter_groups
from foolscope.learning.parameters.regularizers import PackRegularizers
from foolscope.learning.parameters.treatments import PackGroups
from foolscope.learning.resizing import check_resizing
from foolscope.learning.settings import TrainableTrial
from foolscope.learning.state import PackState

__all__ = ["Setup", "parameter_shapes", "prepare"]


@dataclass(frozen=True)
class Setup:
    """Everything that stays the same from step to step, for the trials that are trained.

    Args:
        trials: trials of one seed next to each other.
        models: one per trial; their structure is used and their values are not.
        master: data type of parameters, losses and updates.
        dtype: data type of the products.
        frozen_layers: layers with parameters of which none is trained; they stay in evaluation mode.
        sharpness: the radius of sharpness-aware minimization per trial; None where no trial has one.
        parameter_groups: parameters with a learning rate, decay or penalty of their own.
        loss: what training minimizes, with class weights.
        evaluation_loss: what evaluation measures, without them.
        groups: the number of minibatches at a time: one per seed if all seeds have equally many trials, else
            one per trial.
    """

    trials: Sequence[TrainableTrial]
    dataset: Dataset
    models: Sequence[nn.Module]
    program: Program
    loss: PackLoss
    evaluation_loss: PackLoss
    master: torch.dtype
    dtype: torch.dtype
    smoothing: Tensor | None
    clipping: Tensor | None
    sharpness: Tensor | None
    parameter_groups: PackGroups
    regularizers: PackRegularizers
    defense: PackDefense | None
    optimizer_hyperparameters: dict[str, Tensor]
    frozen_layers: frozenset[str]
    groups: int

    @classmethod
    def gather(
        cls, trials: Sequence[TrainableTrial], dataset: Dataset, models: Sequence[nn.Module]
    ) -> "Setup":
        """Derive the packed program and collect the settings along the trial axis."""
        device = dataset.train.images.device
        master, dtype = _data_types(trials[0], device)
        losses = [trial.loss for trial in trials]
        thresholds = [trial.training.clipping or math.inf for trial in trials]
        radii = [trial.training.sharpness_radius or 0.0 for trial in trials]
        parameter_groups = PackGroups.gather(trials, parameter_shapes(models[0]), device, master)
        return cls(
            trials=trials,
            dataset=dataset,
            models=models,
            program=pack_program(models),
            loss=training_loss(losses, _drawn_counts(trials[0], dataset), master),
            evaluation_loss=evaluation_loss(losses, device, master),
            master=master,
            dtype=dtype,
            smoothing=smoothing_per_trial(losses, device, master),
            clipping=(
                torch.tensor(thresholds, device=device, dtype=master) if min(thresholds) < math.inf else None
            ),
            sharpness=torch.tensor(radii, device=device, dtype=master) if any(radii) else None,
            parameter_groups=parameter_groups,
            regularizers=PackRegularizers.gather(
                [trial.regularization for trial in trials],
                [trial.optimizer.weight_decay for trial in trials],
                device,
                master,
                own_l2=parameter_groups.l2,
                own_weight_decay=parameter_groups.weight_decay,
            ),
            defense=PackDefense.gather([trial.defense for trial in trials], device, master),
            optimizer_hyperparameters=hyperparameters([trial.optimizer for trial in trials], device, master),
            frozen_layers=frozen_layers(models[0]),
            groups=_group_count([trial.seed for trial in trials]),
        )

    @property
    def group_seeds(self) -> list[int]:
        """The seed of every group's minibatches."""
        return [trial.seed for trial in self.trials[:: len(self.trials) // self.groups]]

    @property
    def batch_size(self) -> int:
        """The number of images in a minibatch."""
        return self.trials[0].training.batch_size

    @property
    def augmentation(self) -> tuple[AugmentationSettings, ...]:
        """The random changes of the training images, in their order."""
        return self.trials[0].augmentation

    @property
    def epochs(self) -> int:
        """The number of epochs of the trial that has most."""
        return max(trial.training.epochs for trial in self.trials)

    @property
    def steps_per_epoch(self) -> int:
        """Gradient steps in an epoch; the last minibatch may be smaller."""
        return math.ceil(len(self.dataset.train) / self.batch_size)

    def narrowed(self, kept: Sequence[int]) -> "Setup":
        """Return the setup of some of the trials, given by position."""
        if len(kept) == len(self.trials):
            return self
        return Setup.gather(
            [self.trials[position] for position in kept],
            self.dataset,
            [self.models[position] for position in kept],
        )


def prepare(
    trials: Sequence[TrainableTrial],
    dataset: Dataset,
    initialize: Callable[[nn.Module], None] | None = None,
) -> tuple[Setup, PackState]:
    """Build the models of a pack, stack their parameters, and gather their settings along the trial axis.

    Args:
        trials: of one shape, those of one seed next to each other.
        dataset: on the device to train on.
        initialize: gives a model other initial weights than its seed does, in place.

    Raises:
        RecipeError: the model does not fit the images, the loss the defense or the augmentation, a parameter
            group the model, or no parameter matches a pattern of frozen ones; or the validation images cannot
            choose a checkpoint or a threshold as asked.
    """
    check_defense(trials[0].defense, trials[0].loss)
    check_augmentation(
        trials[0].augmentation,
        dataset.image_shape,
        loss=trials[0].loss.name,
        defense=trials[0].defense.name,
        batch_size=trials[0].training.batch_size,
    )
    for trial in trials:
        check_selection(trial.training, dataset)
    device = dataset.train.images.device
    master, _ = _data_types(trials[0], device)
    models = [model.to(device, master) for model in initial_models(trials, dataset)]
    for trial, model in zip(trials, models, strict=True):
        if initialize is not None:
            initialize(model)
        freeze(model, trial.frozen)
        check_resizing(trial.training, model, dataset.image_shape)
    _check_groups(trials, models)
    if any(trial.training.threshold == "validation" for trial in trials):
        output_bias(models[0], dataset)  # refuses a model that has none before it is trained
    setup = Setup.gather(trials, dataset, models)
    parameters, statistics = stacked_parameters(models), stacked_constants(models)
    optimizer = OPTIMIZERS[trials[0].optimizer.name].init(parameters, setup.optimizer_hyperparameters)
    averages = AVERAGING[trials[0].averaging.name].shares is not None
    return setup, PackState.start(parameters, statistics, optimizer, len(trials), averages=averages)


def _drawn_counts(trial: TrainableTrial, dataset: Dataset) -> Int64[Tensor, " classes"]:
    """Return how often training draws each class, up to a factor: with balanced sampling equally often."""
    counts = dataset.train.labels.bincount(minlength=len(dataset.classes))
    return counts.clamp_max(1) if trial.training.sampling == "balanced" else counts


def parameter_shapes(model: nn.Module) -> dict[str, torch.Size]:
    """Return the shape of every parameter of a model that is trained, by name."""
    return {name: value.shape for name, value in model.named_parameters() if value.requires_grad}


def _check_groups(trials: Sequence[TrainableTrial], models: Sequence[nn.Module]) -> None:
    """Refuse groups that do not fit the model, and Muon for no matrix or for padded ones."""
    shapes = parameter_shapes(models[0])
    for trial in trials:
        check_parameter_groups(trial.parameter_groups, shapes)
        if isinstance(trial.optimizer, Muon):
            _check_muon(trial.optimizer, models[0])
    if trials[0].optimizer.name == "muon" and any(parameter_shapes(each) != shapes for each in models):
        raise RecipeError(
            "optimizer muon scales its steps by the shapes of matrices, so trials of different widths cannot "
            "share a pack; train them one after another"
        )


def _check_muon(settings: Muon, model: nn.Module) -> None:
    """Refuse Muon without a matrix, and frozen layers in the places that it leaves to its companion."""
    matrices = [value for value in model.parameters() if value.dim() > 1]
    if settings.matrices != "all" and not matrices[-1].requires_grad:
        raise RecipeError(
            "optimizer muon leaves the output layer to its companion, but the output layer is frozen; use "
            'matrices = "all" for the layers that are trained'
        )
    if settings.matrices == "hidden" and not matrices[0].requires_grad:
        raise RecipeError(
            'matrices = "hidden" leaves the first layer to the companion, but the first layer is frozen; use '
            'matrices = "all-but-output"'
        )
    if not muon_matrices(parameter_shapes(model), settings.matrices):
        raise RecipeError(
            f"optimizer muon has no matrix to update with matrices = {settings.matrices!r}: its companion "
            "would train the whole model; use matrices = 'all', or the companion as optimizer"
        )


def _data_types(trial: TrainableTrial, device: torch.device) -> tuple[torch.dtype, torch.dtype]:
    """Return the data types of parameters and of products."""
    precision = resolve_precision(trial.precision, device)
    master = torch.float64 if precision == "float64" else torch.float32
    return master, torch.bfloat16 if precision == "bfloat16" else master


def _group_count(seeds: Sequence[int]) -> int:
    """Count the groups of trials that share minibatches: one per seed if these are equal, else one per trial.

    Example:
        >>> _group_count([0, 0, 1, 1]), _group_count([0, 0, 1])
        (2, 3)
    """
    distinct = list(dict.fromkeys(seeds))
    size, rest = divmod(len(seeds), len(distinct))
    contiguous = [seed for seed in distinct for _ in range(size)]
    return len(distinct) if rest == 0 and contiguous == list(seeds) else len(seeds)
