"""Gradients from hand-derived backward passes, and the layer at fault where they disagree with autograd."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from foolscope.inspection.check import BY_HAND
from foolscope.inspection.gradients.gradient_errors import GOALS, THE_LOSS, THE_PENALTIES, distance
from foolscope.inspection.gradients.mirroring import state_of
from foolscope.inspection.gradients.objective import IMAGES, LOGITS, Automatic, Objective, inputs_of
from foolscope.learning.parameters.regularizers import RegularizationSettings
from foolscope.reference import L1, L2, Loss, Network, loss_gradients
from foolscope.reference.layer import Array, Parameters, scoped

__all__ = ["Derived"]


@dataclass(frozen=True)
class Derived:
    """Hand-derived gradients, with the state that is needed to find the layer at fault."""

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
        """Run the hand-derived backward passes for an objective.

        Network and loss mirror those of the objective.
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
        """Return the gradient of loss plus penalties."""
        gradient = self.gradients[name]
        return gradient + self.penalties[name] if name in self.penalties else gradient

    def culprit(self, automatic: Automatic, floor: float) -> str:
        """Return the last part of the network whose gradients disagree while its incoming ones agree."""
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
                return f"{name}, whose outputs already differ in the forward pass"
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
        return "no single layer"


def _penalty_gradients(settings: RegularizationSettings, learned: Parameters) -> dict[str, Array]:
    """Return the gradients of the penalties; their layers take matrices, so each tensor becomes one row."""
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
