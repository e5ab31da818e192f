"""The rounds of a run: work items start, take their steps, are checked and leave the batch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic

import torch
from torch import Tensor

from foolscope.attacks.runner.attack import Attack
from foolscope.attacks.runner.best_so_far import BestSoFar, Verify
from foolscope.attacks.runner.networks import Network, predicted
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem
from foolscope.attacks.runner.randomness import Noise
from foolscope.attacks.runner.worklist import Batch, Worklists

__all__ = ["Oracles", "confirmed_again", "pass_through", "verifier"]


@dataclass(frozen=True)
class Oracles:
    """The model under attack and the one on which steps are taken, as attacks may evaluate them."""

    model: Network
    stepping: Network
    best_so_far: BestSoFar
    verify: Verify
    rounds: bool

    @property
    def verified(self) -> bool:
        """Whether every success is verified when it is found; else all are evaluated again at the end."""
        return self.model is not self.stepping or self.rounds

    def for_steps(self, problem: Problem) -> Oracle:
        """Return what steps may ask."""
        return Oracle(self.stepping, problem, self.best_so_far, self.verify if self.verified else None)

    def for_last_candidates(self, problem: Problem) -> Oracle:
        """Return what checks the candidates after the last step."""
        return Oracle(self.model, problem, self.best_so_far, self.verify if self.rounds else None)


def pass_through(
    oracles: Oracles,
    attack: Attack,
    worklists: Worklists,
    noise: Noise,
    deadline: float | None,
    progress: Callable[[int, int], None] | None,
) -> Tensor:
    """Pass all work items through the batch; return which images were not attacked to the end."""
    batch = worklists.empty_batch()
    while len(batch := worklists.refill(batch, attack, noise)):
        if deadline is not None and monotonic() >= deadline:
            return worklists.unfinished(batch.problem)
        batch = _finish(oracles, batch, attack)
        batch = _advance(oracles, batch, attack)
        if progress is not None:
            progress(worklists.taken - len(batch), worklists.total)
    return torch.zeros_like(oracles.best_so_far.items, dtype=torch.bool)


def _finish(oracles: Oracles, batch: Batch, attack: Attack) -> Batch:
    """Check the last candidates of work items that have taken all their steps, and drop these items."""
    last = batch.problem.steps >= attack.steps
    if not bool(last.any()):
        return batch
    ending = batch.select(last)
    candidates = ending.state["inputs"]
    logits = oracles.for_last_candidates(ending.problem).logits(candidates)
    oracles.best_so_far.keep_last_candidates(ending.problem, candidates, logits)
    return _without_done(batch.select(~last), oracles.best_so_far)


def _advance(oracles: Oracles, batch: Batch, attack: Attack) -> Batch:
    """Take one step with every row, and drop the rows whose image is done."""
    if len(batch) == 0:
        return batch
    state = attack.step(batch.problem, batch.state, oracles.for_steps(batch.problem))
    return _without_done(
        Batch(replace(batch.problem, steps=batch.problem.steps + 1), state), oracles.best_so_far
    )


def _without_done(batch: Batch, best_so_far: BestSoFar) -> Batch:
    return batch.select(~best_so_far.is_done(batch.problem.positions, batch.problem.items))


def confirmed_again(
    oracles: Oracles, problem_of: Callable[[Tensor, Tensor], Problem], batch_size: int
) -> Tensor:
    """Evaluate every stored image that fooled its model again; return which fool it again."""
    best_so_far = oracles.best_so_far
    found = best_so_far.items >= 0
    confirmed = best_so_far.rank.isfinite()
    for part in torch.split((found & confirmed).nonzero()[:, 0], batch_size):
        if len(part) == 0:
            break
        problem = problem_of(part, best_so_far.items[part])
        points = best_so_far.adversarial_inputs[part]
        logits = predicted(oracles.model, points, part)
        best_so_far.count_forwards(part)
        best_so_far.adversarial_logits[part] = logits
        allowed = best_so_far.allows(problem, points, problem.norm.size(points - problem.inputs))
        confirmed[part] = best_so_far.fools(problem, logits) & allowed
    return confirmed


def verifier(model: Network, levels: int | None) -> Verify:
    """Return what evaluates an image on the model under attack, rounded as it is stored."""

    def verify(problem: Problem, points: Tensor) -> tuple[Tensor, Tensor]:
        stored = points if levels is None else _rounded(problem, points, levels)
        return stored, predicted(model, stored, problem.positions)

    return verify


def _rounded(problem: Problem, points: Tensor, levels: int) -> Tensor:
    """Round each pixel to a level of gray, towards the clean image, so that the ball is not left."""
    scaled, almost = points * levels, 1e-4  # a pixel that is on a level up to rounding error stays
    brighter = points >= problem.inputs
    whole = torch.where(brighter, (scaled + almost).floor(), (scaled - almost).ceil())
    return (whole / levels).clamp(*problem.bounds)
