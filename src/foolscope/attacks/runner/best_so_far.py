"""What a run has so far for each image: the best image that fools, and the passes spent on it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from foolscope.attacks.losses import cross_entropy, margin, misclassified
from foolscope.attacks.runner.problem import Problem
from foolscope.threats.norms import rounding_slack

__all__ = [
    "FIRST_SUCCESS",
    "FIRST_SUCCESS_BUT_CONTINUE",
    "SMALLEST",
    "BestSoFar",
    "Selection",
    "Success",
    "Verify",
]

Success = Callable[[Tensor, Tensor, Tensor | None], Tensor]

Verify = Callable[[Problem, Tensor], tuple[Tensor, Tensor]]
"""From rows and their points to the points as they are stored and the attacked model's output on those."""

_NEARLY = 0.02  # of the largest logit: within that, a copy in low precision may miss that an image fools


class Selection(NamedTuple):
    """Which of the images that fool is kept for an image, and when the image is done.

    Args:
        rank: from (work items, sizes) to a number per row; the lowest is kept, at a tie the lower work item.
        done: from (best rank so far, work items) to whether a row may stop.
        may_leave_ball: whether attacks may search outside of the ball: what fools there never counts, but is
            not reported as a defect either.
    """

    rank: Callable[[Tensor, Tensor], Tensor]
    done: Callable[[Tensor, Tensor], Tensor]
    may_leave_ball: bool = False


# The lowest work item is kept, not the quickest: which one is quickest depends on the batch size.
FIRST_SUCCESS = Selection(lambda items, sizes: items.float(), lambda best, items: best <= items)
FIRST_SUCCESS_BUT_CONTINUE = Selection(
    lambda items, sizes: items.float(), lambda best, items: torch.zeros_like(items, dtype=torch.bool)
)
SMALLEST = Selection(
    lambda items, sizes: sizes.float(),
    lambda best, items: torch.zeros_like(items, dtype=torch.bool),
    may_leave_ball=True,
)


class BestSoFar:
    """The best image that fools and the counts of passes, one row per image; changes during the run.

    Args:
        images: the clean images.
        clean_logits: the model's output on them.
        fooled: which images need no attack.
        success: what counts as fooled.
        selection: which of several images that fool is kept.
        traced_steps: the number of steps whose losses are kept; 0 keeps none.
    """

    def __init__(
        self,
        images: Tensor,
        clean_logits: Tensor,
        fooled: Tensor,
        success: Success,
        selection: Selection,
        traced_steps: int,
    ) -> None:
        count = images.shape[0]
        self.success, self.selection = success, selection
        self.adversarial_inputs = images.clone()
        self.adversarial_logits = clean_logits.clone()
        self.rank = torch.full((count,), torch.inf, dtype=torch.float32, device=images.device)
        self.rank[fooled] = -1.0
        self.steps = torch.zeros(count, dtype=torch.int64, device=images.device)
        self.items = torch.full_like(self.steps, -1)
        self.forwards = torch.zeros_like(self.steps)
        self.backwards = torch.zeros_like(self.steps)
        self.margins = torch.full_like(self.rank, torch.inf)
        self.losses = images.new_full((count, traced_steps + 1 if traced_steps else 0), torch.nan)
        self.zero_gradients = torch.zeros_like(self.steps)
        self.broken_gradients = torch.zeros_like(self.steps)
        self.outside = torch.zeros_like(self.steps)
        self.slack: float | None = None

    def count_forwards(self, positions: Tensor) -> None:
        """Count one forward pass for each of these images; an image may be there twice."""
        self.forwards.index_add_(0, positions, torch.ones_like(positions))

    def is_done(self, positions: Tensor, items: Tensor) -> Tensor:
        """Return which work items may stop."""
        return self.selection.done(self.rank[positions], items)

    def record(self, problem: Problem, points: Tensor, logits: Tensor, verify: Verify | None = None) -> None:
        """Count a forward pass, and keep the allowed points that fool and rank best.

        ``verify`` decides on points that seem to fool, where these logits are of a copy in low precision or
        where images are rounded before they are stored; it costs one more forward pass for each.
        """
        self.count_forwards(problem.positions)
        if self.losses.shape[1]:
            self._trace(problem, logits)
        margins = (-margin(logits, problem.labels)).float().nan_to_num(torch.inf)
        self.margins.scatter_reduce_(0, problem.positions, margins, "amin")
        rows = self._seem_to_fool(problem, logits, margins, verify).nonzero()[:, 0]
        if len(rows) == 0:
            return
        hits, points, logits = problem.select(rows), points[rows], logits[rows]
        if verify is not None:
            self.count_forwards(hits.positions)
            points, logits = verify(hits, points)
            rows = self.fools(hits, logits).nonzero()[:, 0]
            if len(rows) == 0:
                return
            hits, points, logits = hits.select(rows), points[rows], logits[rows]
        sizes = problem.norm.size(points - hits.inputs)
        allowed = self.allows(hits, points, sizes)
        inside = self._bounded(hits, points) if self.selection.may_leave_ball else allowed
        self.outside.index_add_(0, hits.positions, (~inside).long())
        rank = torch.where(allowed, self.selection.rank(hits.items, sizes), torch.inf)
        best = _first_of_each(hits.positions, rank)
        known = self.rank[hits.positions[best]]
        # At a tie the lower work item is kept: which one came first depends on the batch size.
        lower = hits.items[best] < self.items[hits.positions[best]]
        best = best[(rank[best] < known) | ((rank[best] == known) & lower)]
        self._store(hits.select(best), points[best], logits[best], rank[best])

    def fools(self, problem: Problem, logits: Tensor) -> Tensor:
        """Return which rows count as fooled; an output that is not finite never does."""
        return self.success(logits, problem.labels, problem.targets) & logits.isfinite().all(1)

    def allows(self, problem: Problem, points: Tensor, sizes: Tensor) -> Tensor:
        """Return which points are within the bounds and, up to rounding, within the ball."""
        if self.slack is None:
            self.slack = rounding_slack(problem.norm, problem.inputs)
        return (sizes <= problem.epsilon * (1 + 1e-6) + self.slack) & self._bounded(problem, points)

    def count_backward(self, problem: Problem, gradient: Tensor) -> Tensor:
        """Count a backward pass and return the gradient, with zeros in place of infinities and NaN."""
        self.backwards.index_add_(0, problem.positions, torch.ones_like(problem.positions))
        peaks = gradient.flatten(1).abs().amax(1)
        broken = ~peaks.isfinite()
        self.zero_gradients.index_add_(0, problem.positions, (peaks == 0).long())
        self.broken_gradients.index_add_(0, problem.positions, broken.long())
        return gradient.nan_to_num(0.0, 0.0, 0.0) if bool(broken.any()) else gradient

    def keep_last_candidates(self, problem: Problem, points: Tensor, logits: Tensor) -> None:
        """Keep the last candidate of the first work item of each image that nothing has fooled."""
        rows = (problem.items == 0) & self.rank[problem.positions].isinf()
        if bool(rows.any()):
            nothing = self.rank.new_full((int(rows.sum()),), torch.inf)
            self._store(problem.select(rows), points[rows], logits[rows], nothing)

    def _seem_to_fool(
        self, problem: Problem, logits: Tensor, margins: Tensor, verify: Verify | None
    ) -> Tensor:
        """Return which rows fool, or come so near that they are worth verifying."""
        fooled = self.fools(problem, logits)
        if verify is None or self.success is not misclassified:
            return fooled
        return fooled | (margins < _NEARLY * logits.abs().amax(1))

    def _bounded(self, problem: Problem, points: Tensor) -> Tensor:
        lower, upper = problem.bounds
        smallest, largest = points.flatten(1).aminmax(dim=1)
        return (smallest >= lower) & (largest <= upper)

    def _store(self, problem: Problem, points: Tensor, logits: Tensor, rank: Tensor) -> None:
        self.adversarial_inputs[problem.positions] = points
        self.adversarial_logits[problem.positions] = logits
        self.rank[problem.positions] = rank
        self.items[problem.positions] = problem.items
        self.steps[problem.positions] = problem.steps

    def _trace(self, problem: Problem, logits: Tensor) -> None:
        first = problem.items == 0
        losses = cross_entropy(logits[first], problem.labels[first])
        self.losses[problem.positions[first], problem.steps[first]] = losses.to(self.losses.dtype)


def _first_of_each(groups: Tensor, rank: Tensor) -> Tensor:
    """Return, for each group, the row with the lowest rank."""
    order = rank.argsort(stable=True)
    order = order[groups[order].argsort(stable=True)]
    sorted_groups = groups[order]
    return order[
        torch.cat([sorted_groups.new_ones(1, dtype=torch.bool), sorted_groups[1:] != sorted_groups[:-1]])
    ]
