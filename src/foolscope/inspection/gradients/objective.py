"""The loss of a model on a few images, with penalties, as a function of every parameter and pixel."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from foolscope.core.randomness import torch_generator
from foolscope.data.dataset import Dataset
from foolscope.inspection.gradients.kinks import Kinks
from foolscope.learning import TrainableTrial
from foolscope.learning.losses import smoothing_per_trial, training_loss
from foolscope.learning.measuring.evaluation import to_pixels
from foolscope.learning.parameters.regularizers import PackRegularizers
from foolscope.models.layers import Dropout

__all__ = ["IMAGES", "LOGITS", "Automatic", "Objective", "Value", "inputs_of"]

IMAGES = "images"
LOGITS = "logits"
_BATCH_IMAGES = 8


def inputs_of(layer: str) -> str:
    """Return the name of a layer's inputs among the tensors."""
    return f"{layer} inputs"


@dataclass(frozen=True)
class Value:
    """The objective at one point.

    Args:
        losses: of every image; the loss is their mean.
        penalty: added in training.
        largest_logit: largest magnitude of a logit, the scale of the rounding.
        kinks: active pieces of ReLU, max and the like.
    """

    losses: Float64[Tensor, " image"]
    penalty: Float64[Tensor, ""]
    largest_logit: float
    kinks: list[Tensor]


@dataclass(frozen=True)
class Automatic:
    """Gradients by automatic differentiation.

    Args:
        loss: the mean over the images, without penalties.
        gradients: of that loss with respect to every parameter, the images, the logits, each layer's inputs.
        penalties: gradients that training adds to those of the parameters; of penalized ones only.
        values: of the same tensors as ``gradients``.
    """

    loss: float
    gradients: dict[str, Tensor]
    penalties: dict[str, Tensor]
    values: dict[str, Tensor]

    def total(self, name: str) -> Tensor:
        """Return the gradient of loss plus penalties."""
        gradient = self.gradients[name]
        return gradient + self.penalties[name] if name in self.penalties else gradient


class Objective:
    """A model in float64 and training mode on 8 training images, with the loss and penalties of a trial.

    Dropout drops the same units at every evaluation. Decoupled weight decay, clipping and a defense act on
    the step, not on this loss, and are not included.

    Args:
        model: with the weights to check; it is not changed.
        trial: its loss, penalties and seed are used.
        dataset: the images are drawn from its training set by the trial's seed.
    """

    def __init__(self, model: nn.Module, trial: TrainableTrial, dataset: Dataset) -> None:
        train, device = dataset.train, torch.device("cpu")  # not every accelerator has float64
        generator = torch_generator(trial.seed, "gradients", "images")
        chosen = torch.randperm(len(train), generator=generator)[:_BATCH_IMAGES]
        batch = train.take(chosen.to(train.labels.device))
        self.model = copy.deepcopy(model).to(device, torch.float64).train()
        self.parameters = dict(self.model.named_parameters())
        self.images = to_pixels(batch.images.to(device), torch.float64)
        self.labels: Int64[Tensor, " image"] = batch.labels.to(device)
        self.regularizers = PackRegularizers.gather([trial.regularization], [0.0], device, torch.float64)
        counts = train.labels.bincount(minlength=len(dataset.classes)).to(device)
        self._loss = training_loss([trial.loss], counts, torch.float64)
        self._smoothing = smoothing_per_trial([trial.loss], device, torch.float64)
        self._seed = trial.seed
        self._chance = torch_generator(trial.seed, "gradients", "chance").get_state()
        self.layers = self._called_once()

    def _called_once(self) -> list[str]:
        """Return, in forward order, the leaf modules that one pass calls exactly once."""
        calls: list[str] = []

        def noting(name: str) -> Callable[[Tensor], Tensor]:
            def note(inputs: Tensor) -> Tensor:
                calls.append(name)
                return inputs

            return note

        modules = self.model.named_modules()
        leaves = [name for name, module in modules if name and not any(True for _ in module.children())]
        with self._inputs_through({name: noting(name) for name in leaves}):
            self.value()
        return [name for name in calls if calls.count(name) == 1]

    @contextmanager
    def _inputs_through(self, change: Mapping[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
        """Pass the input of some modules, where it is a single tensor, through a function first."""

        def hook(function: Callable[[Tensor], Tensor]) -> Callable[[nn.Module, Any], Any]:
            return lambda module, inputs: (
                (function(inputs[0]),) if len(inputs) == 1 and isinstance(inputs[0], Tensor) else None
            )

        hooks = [
            self.model.get_submodule(name).register_forward_pre_hook(hook(function))
            for name, function in change.items()
        ]
        try:
            yield
        finally:
            for each in hooks:
                each.remove()

    def _logits(self, images: Tensor) -> Tensor:
        for layer in self.model.modules():
            if isinstance(layer, Dropout):
                layer.generator = torch_generator(self._seed, "gradients", "dropout")
        with torch.random.fork_rng(devices=[]):  # someone's layer may draw from the global generator
            torch.set_rng_state(self._chance)
            logits: Tensor = self.model(images)
        return logits

    def _losses(self, logits: Tensor) -> Tensor:
        return self._loss(logits[None], self.labels[None], self._smoothing)[0]

    def value(self) -> Value:
        """Evaluate the objective."""
        return self._value(lambda logits: logits)

    def _value(self, change: Callable[[Tensor], Tensor]) -> Value:
        with torch.no_grad(), Kinks() as kinks:
            logits = change(self._logits(self.images))
            losses = self._losses(logits)
            stacked = {name: value[None] for name, value in self.parameters.items()}
            penalty = self.regularizers.penalty(stacked)[0]
        return Value(losses, penalty, float(logits.abs().max()), kinks.pattern)

    def value_at(self, name: str, index: tuple[int, ...], number: float) -> Value:
        """Evaluate the objective with one entry replaced.

        It is one of a parameter, of ``IMAGES``, of ``LOGITS`` or of the inputs of one of :attr:`layers`.
        """

        def replaced(tensor: Tensor) -> Tensor:
            tensor = tensor.clone()
            tensor[index] = number
            return tensor

        if name == LOGITS:
            return self._value(replaced)
        own = self.images if name == IMAGES else self.parameters.get(name)
        if own is None:
            (layer,) = [layer for layer in self.layers if inputs_of(layer) == name]
            with self._inputs_through({layer: replaced}):
                return self.value()
        data = own.detach()
        before = data[index].clone()
        data[index] = number
        try:
            return self.value()
        finally:
            data[index] = before

    def automatic(self, also: Sequence[str] = ()) -> Automatic:
        """Differentiate the objective.

        Gradients with respect to the inputs of the modules in ``also`` are found besides those of
        :attr:`layers`.
        """
        seen: dict[str, Tensor] = {}

        def watching(name: str) -> Callable[[Tensor], Tensor]:
            def watch(inputs: Tensor) -> Tensor:
                seen[name] = inputs.view_as(inputs)  # this module's own, though others may see the same
                return seen[name].clone()  # which the module may change in place

            return watch

        leaf = self.images.clone().requires_grad_()
        modules = dict.fromkeys([*self.layers, *also])
        with self._inputs_through({name: watching(inputs_of(name)) for name in modules}):
            logits = self._logits(leaf)
        loss = self._losses(logits).mean()
        tensors = {IMAGES: leaf, **self.parameters, **seen, LOGITS: logits}
        gradients = torch.autograd.grad(loss, list(tensors.values()), materialize_grads=True)
        return Automatic(
            loss.item(),
            dict(zip(tensors, gradients, strict=True)),
            self._penalty_gradients(),
            {name: value.detach() for name, value in tensors.items()},
        )

    def _penalty_gradients(self) -> dict[str, Tensor]:
        """Return the gradients of the penalties."""
        stacked = {name: value.detach()[None] for name, value in self.parameters.items()}
        names = self.regularizers.penalized(stacked) if self.regularizers.penalizes else []
        gradients = {name: torch.zeros_like(stacked[name]) for name in names}
        self.regularizers.add_gradients({name: stacked[name] for name in names}, gradients)
        return {name: gradient[0] for name, gradient in gradients.items()}
