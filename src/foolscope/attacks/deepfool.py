"""DeepFool: steps onto the nearest boundary of the linearized model until the image is misclassified."""

from typing import ClassVar, Literal

import pydantic
import torch
from jaxtyping import Float
from torch import Tensor

from foolscope.attacks.losses import LOSSES
from foolscope.attacks.runner.attack import State
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem, over_pixels
from foolscope.attacks.runner.randomness import Noise
from foolscope.core.settings import Settings

__all__ = ["DeepFool"]

_BEYOND = 1e-4  # in pixel units: a step that ends on the boundary may never cross it


class DeepFool(Settings):
    """Steps ``r ← r + |f_l| / ‖∇f_l‖_dual · s(∇f_l)`` with ``f_k = z_k − z_y`` and l the nearest boundary.

    ``s`` is the norm's steepest direction, so that the step ends on the boundary of the linearized model. The
    model is evaluated at ``x + (1 + η) r``, a little beyond it. With targets only the target's boundary
    counts. The threat's budget is the largest perturbation of interest: what leaves the ball is projected
    onto it.

    Args:
        steps: largest number of steps.
        overshoot: η.
        rivals: number of other classes that are considered, those with the largest logits; each costs a
            backward pass.
        halvings: number of bisections of the line from the clean to the fooling image.

    Source:
        Moosavi-Dezfooli, Fawzi and Frossard (2016, arXiv:1511.04599), algorithm 2, and section 3.3 for other
        norms; η, 50 steps, nine rivals, the linearization at the evaluated image, and steps
        longer by 0.0001 as in the authors' code. Deviations: images stay in the box; rivals are chosen
        anew at each step; the fooling image is moved back along its line, since η alone makes it 2 % larger;
        targets.
    """

    name: Literal["deepfool"] = "deepfool"
    steps: int = pydantic.Field(50, ge=1)
    overshoot: float = pydantic.Field(0.02, ge=0)
    rivals: int = pydantic.Field(9, ge=1)
    halvings: int = pydantic.Field(10, ge=0)

    norms: ClassVar[tuple[str, ...]] = ("linf", "l2")
    restarts: ClassVar[int] = 1
    stops_at_success: ClassVar[bool] = False

    def start(self, problem: Problem, noise: Noise) -> State:
        """Start at the clean image."""
        return {
            "inputs": problem.inputs,
            "perturbation": torch.zeros_like(problem.inputs),
            "found": torch.zeros_like(problem.labels, dtype=torch.bool),
        }

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Move images that do not fool yet to the nearest linearized boundary."""
        inputs, perturbation, found = (state[name].clone() for name in ("inputs", "perturbation", "found"))
        rows = (~found).nonzero()[:, 0]
        if len(rows) == 0:
            return state
        seeking, asking = problem.select(rows), oracle.select(rows)
        boundaries = asking.losses_and_gradients(
            inputs[rows], lambda logits: self._differences(seeking, logits)
        )
        fooled = asking.fools(boundaries[0].logits)
        distances = torch.stack(
            [seeking.linear_distance(inputs[rows], each.losses, each.gradient) for each in boundaries], 1
        )
        distance, nearest = distances.min(1)
        gradients = torch.stack([each.gradient for each in boundaries], 1)
        gradient = gradients[torch.arange(len(rows), device=rows.device), nearest]
        reached = seeking.ascend(
            problem.inputs[rows] + perturbation[rows], gradient, (distance + _BEYOND).minimum(seeking.epsilon)
        )
        behind = problem.inputs[rows] + (1 + self.overshoot) * (reached - problem.inputs[rows])
        on = rows[~fooled]
        perturbation[on] = (reached - problem.inputs[rows])[~fooled]
        inputs[on] = seeking.project(behind)[~fooled]
        done = rows[fooled]
        found[done] = True
        if len(done):
            inputs[done] = self._closer(problem.select(done), inputs[done], oracle.select(done))
        return {"inputs": inputs, "perturbation": perturbation, "found": found}

    def _differences(self, problem: Problem, logits: Tensor) -> Float[Tensor, "batch rivals"]:
        """Return the rivals' logits minus the label's, or the target's logit minus the largest other one."""
        if problem.targets is not None:
            return LOSSES["margin"].targeted(logits, problem.labels, problem.targets)[:, None]
        own = problem.labels[:, None]
        others = logits.scatter(1, own, -torch.inf)
        return others.topk(min(self.rivals, logits.shape[1] - 1), dim=1).values - logits.gather(1, own)

    def _closer(self, problem: Problem, points: Tensor, oracle: Oracle) -> Tensor:
        """Bisect the line between the clean and the fooling image, keeping the end that fools."""
        low, high = torch.zeros_like(problem.epsilon), torch.ones_like(problem.epsilon)
        for _ in range(self.halvings):
            middle = (low + high) / 2
            fooled = oracle.fools(oracle.logits(_between(problem.inputs, points, middle)))
            low, high = torch.where(fooled, low, middle), torch.where(fooled, middle, high)
        return _between(problem.inputs, points, high)


def _between(start: Tensor, end: Tensor, fraction: Tensor) -> Tensor:
    return start.lerp(end, over_pixels(fraction))
