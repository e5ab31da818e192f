"""The books of one run: for each image the best fooling image so far and the passes it cost."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from foolscope.attacks.losses import cross_entropy, margin, misclassified
from foolscope.attacks.problem import Problem
from foolscope.threats.norms import rounding_slack

__all__ = ["FIRST", "FIRST_BUT_GO_ON", "SMALLEST", "Judge", "Keep", "Ledger", "Success"]

Success = Callable[[Tensor, Tensor, Tensor | None], Tensor]

Judge = Callable[[Problem, Tensor], tuple[Tensor, Tensor]]
"""From rows and their points to the points that would be stored and the model's output on those."""

_NEARLY = 0.02


class Keep(NamedTuple):
    """Which of an image's fooling images is kept, and when the image is done.

    Args:
        rank: from (work items, sizes) to a number per row; the lowest wins, at a tie the lower work item.
        done: from (best rank, work items) to whether a row need not go on.
        roams: whether an attack may look beyond the ball; what fools there never counts, but is no mistake.
    """

    rank: Callable[[Tensor, Tensor], Tensor]
    done: Callable[[Tensor, Tensor], Tensor]
    roams: bool = False


# The lowest work item wins, not the quickest: which one is quickest would depend on the batch size.
FIRST = Keep(lambda items, sizes: items.float(), lambda best, items: best <= items)
FIRST_BUT_GO_ON = Keep(
    lambda items, sizes: items.float(), lambda best, items: torch.zeros_like(items, dtype=torch.bool)
)
SMALLEST = Keep(
    lambda items, sizes: sizes.float(),
    lambda best, items: torch.zeros_like(items, dtype=torch.bool),
    roams=True,
)


class Ledger:
    """The books of one run, one row per image.

    Args:
        images: the clean images.
        clean_logits: the model's output on them.
        fooled: which images need no attack.
        success: what counts as fooled.
        keep: which fooling image is kept.
        traced_steps: how many steps to keep the loss of; 0 keeps none.
    """

    def __init__(
        self,
        images: Tensor,
        clean_logits: Tensor,
        fooled: Tensor,
        success: Success,
        keep: Keep,
        traced_steps: int,
    ) -> None:
        count = images.shape[0]
        self.success, self.keep = success, keep
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
        self.zero_gradients = torch.zeros((), dtype=torch.int64, device=images.device)
        self.broken_gradients = torch.zeros_like(self.zero_gradients)
        self.outside = torch.zeros_like(self.zero_gradients)
        self.slack: float | None = None

    def count_forwards(self, positions: Tensor) -> None:
        """Count one forward pass for each of these images; an image may be there twice."""
        self.forwards.index_add_(0, positions, torch.ones_like(positions))

    def is_done(self, positions: Tensor, items: Tensor) -> Tensor:
        """Return which work items need not go on."""
        return self.keep.done(self.rank[positions], items)

    def saw(self, problem: Problem, points: Tensor, logits: Tensor, judge: Judge | None = None) -> None:
        """Count a forward pass, and keep the allowed points that fool and rank best.

        Args:
            problem: the rows.
            points: what the model was asked about.
            logits: its answer.
            judge: has the last word on what seems to fool, where a coarser model was asked or where the
                stored image is not the one that was asked about. It costs one more forward pass a time.
        """
        self.count_forwards(problem.positions)
        if self.losses.shape[1]:
            self._trace(problem, logits)
        margins = (-margin(logits, problem.labels)).float().nan_to_num(torch.inf)
        self.margins.scatter_reduce_(0, problem.positions, margins, "amin")
        rows = self._seem_to_fool(problem, logits, margins, judge).nonzero()[:, 0]
        if len(rows) == 0:
            return
        hits, points, logits = problem.select(rows), points[rows], logits[rows]
        if judge is not None:
            self.count_forwards(hits.positions)
            points, logits = judge(hits, points)
            rows = self.fools(hits, logits).nonzero()[:, 0]
            if len(rows) == 0:
                return
            hits, points, logits = hits.select(rows), points[rows], logits[rows]
        sizes = problem.norm.size(points - hits.inputs)
        allowed = self.allows(hits, points, sizes)
        self.outside += (~(self._bounded(hits, points) if self.keep.roams else allowed)).sum()
        rank = torch.where(allowed, self.keep.rank(hits.items, sizes), torch.inf)
        best = _first_of_each(hits.positions, rank)
        known = self.rank[hits.positions[best]]
        # At a tie the lower work item wins: which one came first would depend on the batch size.
        lower = hits.items[best] < self.items[hits.positions[best]]
        best = best[(rank[best] < known) | ((rank[best] == known) & lower)]
        self._store(hits.select(best), points[best], logits[best], rank[best])

    def fools(self, problem: Problem, logits: Tensor) -> Tensor:
        """Return which rows count as fooled; an output that is not finite fools nobody."""
        return self.success(logits, problem.labels, problem.targets) & logits.isfinite().all(1)

    def allows(self, problem: Problem, points: Tensor, sizes: Tensor) -> Tensor:
        """Return which points are in the bounds and, but for rounding, in the ball."""
        if self.slack is None:
            self.slack = rounding_slack(problem.norm, problem.inputs)
        return (sizes <= problem.epsilon * (1 + 1e-6) + self.slack) & self._bounded(problem, points)

    def differentiated(self, problem: Problem, gradient: Tensor) -> Tensor:
        """Count a backward pass and return the gradient, with zeros in place of infinities and NaN."""
        self.backwards.index_add_(0, problem.positions, torch.ones_like(problem.positions))
        peaks = gradient.flatten(1).abs().amax(1)
        broken = (~peaks.isfinite()).sum()
        self.zero_gradients += (peaks == 0).sum()
        self.broken_gradients += broken
        return gradient.nan_to_num(0.0, 0.0, 0.0) if bool(broken) else gradient

    def held(self, problem: Problem, points: Tensor, logits: Tensor) -> None:
        """Keep the last candidates of first work items for images that nothing has fooled."""
        rows = (problem.items == 0) & self.rank[problem.positions].isinf()
        if bool(rows.any()):
            nothing = self.rank.new_full((int(rows.sum()),), torch.inf)
            self._store(problem.select(rows), points[rows], logits[rows], nothing)

    def _seem_to_fool(self, problem: Problem, logits: Tensor, margins: Tensor, judge: Judge | None) -> Tensor:
        """Return which rows fool, or may fool in the eyes of the judge."""
        fooled = self.fools(problem, logits)
        if judge is None or self.success is not misclassified:
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
