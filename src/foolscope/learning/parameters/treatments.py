"""What is done to each parameter of a trial: its group, learning rate, decay and penalties."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from foolscope.learning.optimizers import OPTIMIZERS
from foolscope.learning.parameters.groups import group_of
from foolscope.learning.settings import TrainableTrial

__all__ = ["GroupRecord", "PackGroups", "Treatment", "group_records", "treatments"]

Shapes = Mapping[str, torch.Size]


@dataclass(frozen=True)
class GroupRecord:
    """The parameters of a model that training treats alike.

    Args:
        group: in words, with the patterns of a group.
        tensors: number of parameter tensors.
        numbers: number of parameters in them.
        learning_rate: before the schedule.
        weight_decay: decoupled.
        l1: coefficient of the penalty.
        l2: coefficient of the penalty.
    """

    group: str
    tensors: int
    numbers: int
    learning_rate: float
    weight_decay: float
    l1: float
    l2: float


@dataclass(frozen=True)
class Treatment:
    """What is done to one parameter.

    Args:
        group: in words.
        factor: on the trial's learning rate.
        weight_decay: decoupled.
        l1: coefficient of the penalty.
        l2: coefficient of the penalty.
        default_decay: the trial's decay of such a parameter, without factor or group.
        default_l2: the trial's coefficient for such a parameter, without group.
    """

    group: str
    factor: float
    weight_decay: float
    l1: float
    l2: float
    default_decay: float
    default_l2: float


def treatments(trial: TrainableTrial, shapes: Shapes) -> dict[str, Treatment]:
    """Return what is done to each parameter of a trial's model, given the shapes of its parameters."""
    rates = OPTIMIZERS[trial.optimizer.name].rates(trial.optimizer, shapes)
    return {name: _treatment(trial, name, shape, rates.get(name)) for name, shape in shapes.items()}


def _treatment(trial: TrainableTrial, name: str, shape: torch.Size, rate: float | None) -> Treatment:
    """Return what is done to one parameter; ``rate`` is a factor if the optimizer's companion updates it."""
    is_weight, factor = len(shape) > 1, 1.0 if rate is None else rate
    counts = is_weight or trial.regularization.penalize == "all"
    decay, l1, l2 = (
        value if counts else 0.0
        for value in (trial.optimizer.weight_decay, trial.regularization.l1, trial.regularization.l2)
    )
    words = "weights" if is_weight else "biases and normalization layers"
    if rate is not None:
        words += ", by the companion optimizer"
    place = group_of(trial.parameter_groups, name)
    if place is None:
        return Treatment(words, factor, decay, l1, l2, decay, l2)
    group = trial.parameter_groups[place]
    if group.learning_rate is not None:
        factor = group.learning_rate / trial.optimizer.learning_rate
    return Treatment(
        group=f"{', '.join(group.names)}: {words}",
        factor=factor * group.learning_rate_factor,
        weight_decay=decay if group.weight_decay is None else group.weight_decay,
        l1=l1,
        l2=l2 if group.l2 is None else group.l2,
        default_decay=decay,
        default_l2=l2,
    )


def group_records(trial: TrainableTrial, shapes: Shapes) -> tuple[GroupRecord, ...]:
    """Sum up the parameters of a model by how training treats them, in the order of their first parameter."""
    found: dict[Treatment, list[torch.Size]] = {}
    for name, treatment in treatments(trial, shapes).items():
        found.setdefault(treatment, []).append(shapes[name])
    return tuple(
        GroupRecord(
            group=each.group,
            tensors=len(own),
            numbers=sum(shape.numel() for shape in own),
            learning_rate=each.factor * trial.optimizer.learning_rate,
            weight_decay=each.weight_decay,
            l1=each.l1,
            l2=each.l2,
        )
        for each, own in found.items()
    )


@dataclass(frozen=True)
class PackGroups:
    """What sets parameters of a pack apart from the others, along the trial axis.

    Args:
        rates: names and the factor on their learning rate, for those whose rate is not the trial's.
        weight_decay: name to decoupled decay times that factor, for those where it is not the trial's decay.
        l2: name to coefficient, for those where it is not the trial's.
    """

    rates: tuple[tuple[tuple[str, ...], Float[Tensor, " trial"]], ...]
    weight_decay: dict[str, Float[Tensor, " trial"]]
    l2: dict[str, Float[Tensor, " trial"]]

    @classmethod
    def gather(
        cls, trials: Sequence[TrainableTrial], shapes: Shapes, device: torch.device, dtype: torch.dtype
    ) -> "PackGroups":
        """Collect what the trials' groups and their optimizer set apart; each trial has its own groups."""
        by_trial = [treatments(trial, shapes) for trial in trials]

        def along(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, device=device, dtype=dtype)

        rates: dict[tuple[float, ...], list[str]] = {}
        weight_decay, l2 = {}, {}
        for name in shapes:
            each = [found[name] for found in by_trial]
            rates.setdefault(tuple(one.factor for one in each), []).append(name)
            if any(one.factor * one.weight_decay != one.default_decay for one in each):
                weight_decay[name] = along([one.factor * one.weight_decay for one in each])
            if any(one.l2 != one.default_l2 for one in each):
                l2[name] = along([one.l2 for one in each])
        own_rates = {factors: names for factors, names in rates.items() if set(factors) != {1.0}}
        return cls(
            tuple((tuple(names), along(factors)) for factors, names in own_rates.items()), weight_decay, l2
        )
