"""What an evaluation knows about each image so far; saved now and then, so that it can be resumed."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from foolscope.attacks.losses import margin
from foolscope.attacks.runner.result import AttackResult

__all__ = ["EvaluationState"]


@dataclass
class EvaluationState:
    """One row per image, and counts; the only thing that changes during an evaluation.

    Args:
        clean_logits: the model's output on the clean images.
        smallest_found: the smallest size of a perturbation that fools: 0 where none is needed, infinity where
            none was found.
        fooled_by: the position of the stage that found it; -1 where none was needed or none did.
        adversarial_inputs: the image found; else the clean one, or the last candidate that did not fool.
        adversarial_logits: the model's output on it.
        smallest_margins: the smallest lead of the label seen within the budget at which the image is attacked
            now.
        next_stage: the position of the stage that comes next.
        class_order: the nearest other classes, the nearest first; -1 before they are computed.
        forward_count: forward passes, in images.
        backward_count: backward passes, in images.
        late_count: images that fell in the last steps of the longest attack.
        black_box_found: images that fell to the search without gradients.
        black_box_searched: images searched without gradients; one counts each time it is searched.
    """

    clean_logits: Float[Tensor, "batch classes"]
    smallest_found: Float[Tensor, " batch"]
    fooled_by: Int64[Tensor, " batch"]
    adversarial_inputs: Float[Tensor, "batch channel height width"]
    adversarial_logits: Float[Tensor, "batch classes"]
    smallest_margins: Float[Tensor, " batch"]
    next_stage: Int64[Tensor, " batch"]
    class_order: Int64[Tensor, "batch targets"]
    forward_count: int
    backward_count: int = 0
    late_count: int = 0
    black_box_found: int = 0
    black_box_searched: int = 0

    @classmethod
    def start(
        cls, images: Tensor, labels: Tensor, clean_logits: Tensor, ordered_classes: int
    ) -> "EvaluationState":
        """Return the state before any attack."""
        correct = clean_logits.argmax(1) == labels if len(labels) else labels.bool()
        nothing = images.new_full((len(labels),), inf)
        return cls(
            clean_logits=clean_logits,
            smallest_found=torch.where(correct, nothing, torch.zeros_like(nothing)),
            fooled_by=torch.full_like(labels, -1),
            adversarial_inputs=images.detach().clone(),
            adversarial_logits=clean_logits.clone(),
            smallest_margins=nothing.clone(),
            next_stage=torch.zeros_like(labels),
            class_order=labels.new_full((len(labels), ordered_classes), -1),
            forward_count=len(labels),
        )

    @classmethod
    def resumed(cls, saved: Mapping[str, Tensor], device: torch.device) -> "EvaluationState":
        """Return the state that :meth:`tensors` saved."""
        return cls(
            **{name: value.to(device) if value.dim() else int(value) for name, value in saved.items()}  # type: ignore[arg-type]  # what has no axis is a count
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return everything by name, counts as tensors without axes."""
        return {each.name: torch.as_tensor(getattr(self, each.name)) for each in fields(self)}

    def budgets(self, epsilons: Float[Tensor, " budgets"]) -> Float[Tensor, " batch"]:
        """Return for each image the largest budget that it has not fallen to; 0 where it fell to all.

        What holds within a ball holds within every smaller one, so an image need be attacked at no other.
        """
        positions = torch.searchsorted(epsilons, self.smallest_found)
        return torch.cat([epsilons.new_zeros(1), epsilons])[positions]

    def near_boundary(self, labels: Int64[Tensor, " batch"], max_margin_ratio: float) -> Tensor:
        """Return where the margin that is left is at most this many times the margin that attacks took."""
        if max_margin_ratio == inf:
            return torch.ones_like(labels, dtype=torch.bool)
        before = -margin(self.clean_logits, labels).to(self.smallest_margins)
        return self.smallest_margins <= max_margin_ratio * (before - self.smallest_margins)

    def record(
        self,
        rows: Tensor,
        result: AttackResult,
        budgets: Tensor,
        stage: int,
        *,
        after_a_fall: int,
        late_from: float,
    ) -> None:
        """Enter the result of a stage on some images.

        A fallen image goes on at its next budget from the stage ``after_a_fall``; one that fell after more
        than ``late_from`` steps fell late.
        """
        self.count_passes(result.forward_count, result.backward_count)
        sizes = result.perturbation_sizes.minimum(budgets)
        better = result.success & (sizes < self.smallest_found[rows])
        kept = better | (~result.success & self.smallest_found[rows].isinf())
        self.adversarial_inputs[rows[kept]] = result.adversarial_inputs[kept]
        self.adversarial_logits[rows[kept]] = result.adversarial_logits[kept]
        fallen = rows[better]
        self.smallest_found[fallen] = sizes[better]
        self.fooled_by[fallen] = stage
        self.late_count += int((result.steps[better] > late_from).sum())
        margins = result.smallest_margins.to(self.smallest_margins)
        self.smallest_margins[rows] = self.smallest_margins[rows].minimum(margins)
        self.smallest_margins[fallen] = inf
        self.next_stage[rows[result.finished]] = stage + 1
        self.next_stage[fallen] = after_a_fall

    def count_passes(self, forwards: int, backwards: int) -> None:
        """Add passes, counted in images."""
        self.forward_count += forwards
        self.backward_count += backwards
