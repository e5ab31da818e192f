"""What an evaluation knows about each image so far; saved now and then, so that it can be taken up again."""

from dataclasses import dataclass, fields
from math import inf

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from foolscope.attacks.losses import margin
from foolscope.attacks.result import AttackResult

__all__ = ["Standings"]


@dataclass
class Standings:
    """One row per image; the only thing that changes during an evaluation.

    Args:
        clean_logits: the model's output on the clean images.
        smallest_found: the smallest size of a perturbation that fools: 0 where none is needed, infinity where
            none was found.
        fooled_by: which stage found it; -1 where none was needed or none did.
        adversarial_inputs: the image found; else the clean one, or the last candidate that did not fool.
        adversarial_logits: the model's output on it.
        margins: the smallest lead of the label seen within the budget at which the image stands.
        turns: which stage is next.
        targets: the nearest other classes, the nearest first; -1 where not looked for yet.
        counts: forward passes, backward passes, images that fell late, images that
            fell without gradients, images searched without them.
    """

    clean_logits: Float[Tensor, "batch classes"]
    smallest_found: Float[Tensor, " batch"]
    fooled_by: Int64[Tensor, " batch"]
    adversarial_inputs: Float[Tensor, "batch channel height width"]
    adversarial_logits: Float[Tensor, "batch classes"]
    margins: Float[Tensor, " batch"]
    turns: Int64[Tensor, " batch"]
    targets: Int64[Tensor, "batch targets"]
    counts: Int64[Tensor, " 5"]

    @classmethod
    def of(cls, images: Tensor, labels: Tensor, clean_logits: Tensor, targets: int) -> "Standings":
        """Return what is known before any attack."""
        right = clean_logits.argmax(1) == labels if len(labels) else labels.bool()
        nothing = images.new_full((len(labels),), inf)
        return cls(
            clean_logits=clean_logits,
            smallest_found=torch.where(right, nothing, torch.zeros_like(nothing)),
            fooled_by=torch.full_like(labels, -1),
            adversarial_inputs=images.detach().clone(),
            adversarial_logits=clean_logits.clone(),
            margins=nothing.clone(),
            turns=torch.zeros_like(labels),
            targets=labels.new_full((len(labels), targets), -1),
            counts=torch.tensor([len(labels), 0, 0, 0, 0], device=labels.device),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return everything by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def budgets(self, epsilons: Float[Tensor, " budgets"]) -> Float[Tensor, " batch"]:
        """Return for each image the largest budget that it has not fallen to; 0 where it fell to all.

        What holds within a ball holds within every smaller one, so an image need be attacked at no other.
        """
        places = torch.searchsorted(epsilons, self.smallest_found)
        return torch.cat([epsilons.new_zeros(1), epsilons])[places]

    def near(self, labels: Int64[Tensor, " batch"], reach: float) -> Tensor:
        """Return where what is left of the margin is at most ``reach`` times what was taken away."""
        if reach == inf:
            return torch.ones_like(labels, dtype=torch.bool)
        before = -margin(self.clean_logits, labels).to(self.margins)
        return self.margins <= reach * (before - self.margins)

    def record(
        self, rows: Tensor, result: AttackResult, budgets: Tensor, stage: int, first: int, late: float
    ) -> None:
        """Enter what a stage did to some images.

        Args:
            rows: which images, in the result's order.
            result: of the attack.
            budgets: within which each was attacked.
            stage: its place among the stages.
            first: the place of the stage at which an image that fell starts again, at its next budget.
            late: an image that fell after more steps than these fell late.
        """
        self.spend(result.forward_count, result.backward_count)
        sizes = result.perturbation_sizes.minimum(budgets)
        better = result.success & (sizes < self.smallest_found[rows])
        kept = better | (~result.success & self.smallest_found[rows].isinf())
        self.adversarial_inputs[rows[kept]] = result.adversarial_inputs[kept]
        self.adversarial_logits[rows[kept]] = result.adversarial_logits[kept]
        fallen = rows[better]
        self.smallest_found[fallen] = sizes[better]
        self.fooled_by[fallen] = stage
        self.counts[2] += (result.steps[better] > late).sum()
        self.margins[rows] = self.margins[rows].minimum(result.smallest_margins.to(self.margins))
        self.margins[fallen] = inf
        self.turns[rows[result.finished]] = stage + 1
        self.turns[fallen] = first

    def spend(self, forwards: int, backwards: int) -> None:
        """Enter passes."""
        self.counts[0] += forwards
        self.counts[1] += backwards

    @property
    def forward_count(self) -> int:
        """All forward passes, in images."""
        return int(self.counts[0])

    @property
    def backward_count(self) -> int:
        """All backward passes, in images."""
        return int(self.counts[1])

    @property
    def late(self) -> int:
        """How many images fell in the last steps of the longest attack."""
        return int(self.counts[2])

    def searched_for(self, images: int, found: int) -> None:
        """Enter a search without gradients."""
        self.counts[3] += found
        self.counts[4] += images

    @property
    def found(self) -> int:
        """How many images fell to the search without gradients."""
        return int(self.counts[3])

    @property
    def searched(self) -> int:
        """On how many images, each time counted, the search was made."""
        return int(self.counts[4])
