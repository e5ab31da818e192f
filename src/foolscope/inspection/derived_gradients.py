"""Gradients of a mirrored model by layers derived by hand, and the layer at fault where they disagree."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from foolscope.inspection.gradient_errors import BY_HAND, GOALS, THE_LOSS, THE_PENALTIES, distance
from foolscope.inspection.mirroring import state_of
from foolscope.inspection.objective import IMAGES, LOGITS, Automatic, Objective, inputs_of
from foolscope.learning.regularizers import RegularizationSettings
from foolscope.reference import L1, L2, Loss, Network, loss_gradients
from foolscope.reference.layer import Array, Parameters, scoped

__all__ = ["Derived"]


@dataclass(frozen=True)
class Derived:
    """Gradients by hand, and what it takes to find the layer at fault."""

    network: Network
    loss: Loss
    parameters: Parameters
    images: Array
    labels: Int64[np.ndarray, " image"]
    gradients: Mapping[str, Array]
    penalties: Mapping[str, Array]

    @classmethod
    def of(
        cls, network: Network, loss: Loss, objective: Objective, settings: RegularizationSettings
    ) -> "Derived":
        """Differentiate by hand what an objective computes.

        Args:
            network: that mirrors its model.
            loss: that mirrors its loss.
            objective: with the weights, the images and the labels.
            settings: of the penalties.
        """
        parameters = state_of(objective.model)
        images, labels = objective.images.numpy(), objective.labels.numpy()
        found = loss_gradients(network, loss, parameters, images, labels)
        learned = {name: parameters[name] for name in objective.parameters}
        return cls(
            network,
            loss,
            parameters,
            images,
            labels,
            {**found.parameters, IMAGES: found.inputs},
            _penalty_gradients(settings, learned),
        )

    def total(self, name: str) -> Array:
        """Return the gradient with that of the penalties."""
        gradient = self.gradients[name]
        return gradient + self.penalties[name] if name in self.penalties else gradient

    def culprit(self, automatic: Automatic, floor: float) -> str:
        """Name the first part, from the end, whose gradients disagree though those that come to it agree."""
        goal = GOALS[BY_HAND]
        for name in dict.fromkeys([*self.penalties, *automatic.penalties]):
            zero = np.zeros_like(self.parameters[name])
            if distance(self.penalties.get(name, zero), automatic.penalties.get(name, zero), floor) > goal:
                return f"{THE_PENALTIES}, in {name}"
        outputs: Array = self.images
        layers = self.network.layers
        for position, (name, layer) in enumerate(layers):
            outputs, _ = layer.forward(scoped(self.parameters, name), outputs)
            after = inputs_of(layers[position + 1][0]) if position + 1 < len(layers) else LOGITS
            if distance(outputs, automatic.values[after]) > goal:
                return f"{name}, whose outputs differ already"
        _, cache = self.network.forward(self.parameters, self.images)
        value, loss_cache = self.loss.forward(outputs, self.labels)
        gradient = self.loss.backward(loss_cache)
        if distance(gradient, automatic.gradients[LOGITS]) > goal or not math.isclose(
            value, automatic.loss, rel_tol=goal, abs_tol=goal
        ):
            return THE_LOSS
        for found in self.network.backwards(self.parameters, cache, gradient):
            own = {inputs_of(found.name): found.inputs, **found.parameters}
            wrong = [name for name in own if distance(own[name], automatic.gradients[name], floor) > goal]
            if wrong:
                return f"{found.name}, in {', '.join(wrong)}"
        return "no layer by itself"


def _penalty_gradients(settings: RegularizationSettings, learned: Parameters) -> dict[str, Array]:
    """Return the gradients of the penalties, whose layers act on matrices: each tensor is one of one row."""
    chosen = {
        name: value.reshape(1, -1)
        for name, value in learned.items()
        if value.ndim > 1 or settings.penalize == "all"
    }
    penalties = [penalty for penalty in (L1(settings.l1), L2(settings.l2)) if penalty.coefficient]
    found = [penalty.backward(chosen) for penalty in penalties]
    return {
        name: np.sum([gradients[name] for gradients in found], axis=0).reshape(learned[name].shape)
        for name in (chosen if found else ())
    }
