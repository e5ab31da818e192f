"""The fast adaptive boundary attack: steps to the linearized boundary, biased towards the clean image."""

from typing import ClassVar, Literal

import pydantic
import torch
from jaxtyping import Float
from torch import Tensor

from foolscope.attacks.hyperplane import distance, smallest_step
from foolscope.attacks.losses import LOSSES
from foolscope.attacks.runner.attack import State
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem, over_pixels
from foolscope.attacks.runner.randomness import Noise, numbered_uniform
from foolscope.core.settings import Settings
from foolscope.threats.norms import NORMS

__all__ = ["FAB"]

_BEHIND = 0.1  # of the rest of the line: where two classes meet, a third may have the largest logit


class FAB(Settings):
    """Steps ``x_i ← (1 − α)(x_i + η d_i) + α (x + η d)`` beyond the nearest linearized boundary.

    ``d_i`` and ``d`` are the smallest changes of the iterate and of the clean image that reach the boundary
    and stay in the box; ``α = min(‖d_i‖ / (‖d_i‖ + ‖d‖), bias)``. An iterate that fools goes back to
    ``x + β (x_i − x)``. At the end the line from the clean image to the best one is searched.

    With targets, each is a search of its own for the boundary between label and target: with
    ``targets="every"`` and success at any misclassification this is the targeted attack FAB-T of AutoAttack,
    one backward pass a step. Without, the search considers the boundaries to all classes in every step, one
    backward pass for each, and on small networks for digits its perturbations were on average 1 to 9 %
    larger. The threat's budget is the largest perturbation of interest; the search may go beyond it.

    Args:
        iterations: steps of each search.
        starts: number of searches, each for every target: the first from the clean image, the
            others from a uniform point within half of the smallest perturbation found or of the budget.
        bias: the largest α.
        overshoot: η − 1.
        backward_step: β.
        final_steps: number of cuts of the last line where the two classes at its ends seem to meet.

    Example:
        >>> FAB(starts=5).steps
        500

    Source:
        Croce and Hein (2020, arXiv:1907.02044), algorithm 1, with its final search, which AutoAttack's
        program leaves out; the targeted form as in AutoAttack (Croce and Hein 2020, arXiv:2003.01690).
        Deviations: random starts are uniform in the ball, where the programs take its surface; the last line
        is cut a little beyond the point where the classes seem to meet; where the target is ahead of the
        label, but another class ahead of both, and only the target counts, the boundary is that between the
        two.
    """

    name: Literal["fab-t"] = "fab-t"
    iterations: int = pydantic.Field(100, ge=1)
    starts: int = pydantic.Field(1, ge=1)
    bias: float = pydantic.Field(0.1, ge=0, le=1)
    overshoot: float = pydantic.Field(0.05, ge=0)
    backward_step: float = pydantic.Field(0.9, gt=0, lt=1)
    final_steps: int = pydantic.Field(3, ge=0)

    norms: ClassVar[tuple[str, ...]] = tuple(NORMS)
    restarts: ClassVar[int] = 1
    stops_at_success: ClassVar[bool] = False

    @property
    def steps(self) -> int:
        """The steps of all searches together."""
        return self.starts * self.iterations

    def start(self, problem: Problem, noise: Noise) -> State:
        """Start at the clean image, with a stream of random numbers for each row."""
        return {
            "inputs": problem.inputs,
            "point": problem.inputs,
            "best": problem.inputs,
            "smallest": torch.full_like(problem.epsilon, torch.inf),
            "keys": noise.keys(problem.indices, problem.items),
        }

    def step(self, problem: Problem, state: State, oracle: Oracle) -> State:
        """Step to the boundary, go back where that fools; in the last step search the final line."""
        moved = self._moved(problem, self._begun(problem, state), oracle)
        fooled = oracle.fools(oracle.logits(moved))
        sizes = problem.norm.size(moved - problem.inputs)
        better = fooled & (sizes < state["smallest"])
        best = torch.where(over_pixels(better), moved, state["best"])
        smallest = torch.where(better, sizes, state["smallest"])
        back = problem.inputs.lerp(moved, self.backward_step)
        point = torch.where(over_pixels(fooled), back, moved)
        inputs = state["inputs"].clone()
        ending = problem.steps == self.steps - 1
        found = (ending & smallest.isfinite()).nonzero()[:, 0]
        inputs[ending] = problem.select(ending).project(point[ending])
        if len(found):
            closer = self._closer(problem.select(found), best[found], oracle.select(found))
            inputs[found] = problem.select(found).project(closer)
        return {"inputs": inputs, "point": point, "best": best, "smallest": smallest, "keys": state["keys"]}

    def _begun(self, problem: Problem, state: State) -> Tensor:
        """Return the iterates, with random points where a search other than the first begins."""
        begins = (problem.steps > 0) & (problem.steps % self.iterations == 0)
        if not bool(begins.any()):
            return state["point"]
        rows, point = problem.select(begins), state["point"].clone()
        pixels = problem.inputs[:1].numel()
        numbers = numbered_uniform(state["keys"][begins], rows.steps // self.iterations, pixels + 1)
        radius = rows.epsilon.minimum(state["smallest"][begins]) / 2
        shift = problem.norm.random_start(numbers.to(radius.dtype), radius)
        point[begins] = (rows.inputs + shift.view_as(rows.inputs)).clamp(*problem.bounds)
        return point

    def _moved(self, problem: Problem, point: Tensor, oracle: Oracle) -> Tensor:
        """Return the images after one biased step onto the nearest linearized boundary."""
        boundaries = oracle.losses_and_gradients(point, lambda logits: _differences(problem, logits, oracle))
        gaps = [(-each.losses).nan_to_num(0.0, 0.0, 0.0) for each in boundaries]
        distances = [
            distance(problem.norm, each.gradient, gap) for each, gap in zip(boundaries, gaps, strict=True)
        ]
        nearest = torch.stack(distances, 1).argmin(1)
        rows = torch.arange(len(nearest), device=nearest.device)
        normal = torch.stack([each.gradient for each in boundaries], 1)[rows, nearest]
        gap = torch.stack(gaps, 1)[rows, nearest]
        clean_gap = gap + (normal * (point - problem.inputs)).flatten(1).sum(1)
        here, home = (
            smallest_step(problem.norm, normal, missing, problem.bounds[0] - start, problem.bounds[1] - start)
            for start, missing in ((point, gap), (problem.inputs, clean_gap))
        )
        near, far = problem.norm.size(here), problem.norm.size(home)
        alpha = near / (near + far).clamp(min=torch.finfo(near.dtype).tiny)
        beyond = 1 + self.overshoot
        moved = (point + beyond * here).lerp(
            problem.inputs + beyond * home, over_pixels(alpha.clamp(max=self.bias))
        )
        return moved.clamp(*problem.bounds)

    def _closer(self, problem: Problem, points: Tensor, oracle: Oracle) -> Tensor:
        """Cut the line between the clean and the fooling image where the classes at its ends seem to meet."""
        low, high = torch.zeros_like(problem.epsilon), torch.ones_like(problem.epsilon)
        inner, outer = oracle.logits(problem.inputs), oracle.logits(points)
        for _ in range(self.final_steps):
            classes = torch.stack([inner.argmax(1), outer.argmax(1)], 1)
            before, behind = (logits.gather(1, classes).diff(dim=1)[:, 0] for logits in (inner, outer))
            meet = before / (before - behind).clamp(max=-torch.finfo(before.dtype).tiny)
            middle = low + (high - low) * (meet + _BEHIND * (1 - meet))
            between = problem.inputs.lerp(points, over_pixels(middle))
            logits = oracle.logits(between)
            fooled = oracle.fools(logits)
            low, high = torch.where(fooled, low, middle), torch.where(fooled, middle, high)
            inner = torch.where(fooled[:, None], inner, logits)
            outer = torch.where(fooled[:, None], logits, outer)
        return problem.inputs.lerp(points, over_pixels(high))


def _differences(problem: Problem, logits: Tensor, oracle: Oracle) -> Float[Tensor, "batch boundaries"]:
    """Return the target's logit, or that of each other class, minus the label's."""
    own = logits.gather(1, problem.labels[:, None])
    if problem.targets is None:
        classes = logits.shape[1]
        others = (problem.labels[:, None] + torch.arange(1, classes, device=logits.device)) % classes
        return logits.gather(1, others) - own
    ahead = logits.gather(1, problem.targets[:, None]) - own
    beaten = (ahead[:, 0] > 0) & ~oracle.fools(logits)
    behind_all = LOSSES["margin"].targeted(logits, problem.labels, problem.targets)
    return torch.where(beaten, behind_all, ahead[:, 0])[:, None]
