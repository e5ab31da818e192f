"""A cascade of attacks: each image goes through stages until it falls to every budget or survives all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from foolscope.attacks.evaluation.class_order import nearest_classes
from foolscope.attacks.evaluation.masking import LATE_FRACTION
from foolscope.attacks.evaluation.stages import BLACK_BOX, BLACK_BOX_SAMPLE, TRANSFER, AttackStage
from foolscope.attacks.evaluation.state import EvaluationState
from foolscope.attacks.evaluation.transfer import transfer
from foolscope.attacks.losses import misclassified
from foolscope.attacks.runner.request import Request
from foolscope.attacks.runner.result import AttackResult
from foolscope.attacks.runner.side_by_side import Evaluation
from foolscope.core.randomness import derive_seed
from foolscope.threats.threat import Threat

__all__ = ["Cascade", "EvaluationInputs", "ReportStage", "Save"]

Save = Callable[[Mapping[str, Tensor]], None]
ReportStage = Callable[[str, float, int], None]

_SAMPLE = 16  # images


@dataclass(frozen=True)
class EvaluationInputs:
    """The model, the images and the settings of an evaluation."""

    model: nn.Module
    low_precision_model: nn.Module | None
    surrogate: nn.Module | None
    images: Tensor
    labels: Tensor
    indices: Tensor
    threat: Threat
    epsilons: tuple[float, ...]
    seed: int
    batch_size: int
    levels: int | None
    deadline: float | None

    def is_time_up(self) -> bool:
        """Return whether the deadline has passed."""
        return self.deadline is not None and monotonic() >= self.deadline

    def attack(
        self, stage: AttackStage, rows: Tensor, state: EvaluationState, budgets: Tensor, place: int
    ) -> Evaluation[AttackResult]:
        """Run a stage's attack on some images; ``place`` is the stage's position."""
        targets = None
        if stage.targets is not None:
            first, last = stage.targets
            targets = self._nearest_classes(rows, state)[:, first:last]
        chosen: dict[str, Any] = {
            "seed": derive_seed(self.seed, "evaluation", stage.name),
            "targets": targets,
            "indices": self.indices[rows],
            "clean_logits": state.clean_logits[rows],
            "batch_size": self.batch_size,
            "epsilons": budgets,
        }
        images, labels = self.images[rows], self.labels[rows]
        if stage is TRANSFER:
            assert self.surrogate is not None
            return transfer(self.surrogate, self.model, images, labels, self.threat, stage.attack, **chosen)
        request = Request(
            self.model,
            images,
            labels,
            self.threat,
            stage.attack,
            success=misclassified,
            stepping_model=self.low_precision_model if stage.low_precision else None,
            levels=self.levels,
            deadline=self.deadline,
            place=place,
            **chosen,
        )
        return (yield request)

    def _nearest_classes(self, rows: Tensor, state: EvaluationState) -> Tensor:
        """Return the nearest classes of some images, computed the first time that an image needs them."""
        unknown = rows[state.class_order[rows, 0] < 0]
        if len(unknown):
            count = state.class_order.shape[1]
            images, labels = self.images[unknown], self.labels[unknown]
            state.class_order[unknown], _ = nearest_classes(
                self.model, images, labels, self.threat.geometry, count, self.batch_size
            )
            state.count_passes(len(unknown), len(unknown) * count)
        return state.class_order[rows]


@dataclass
class Cascade:
    """Takes images through the stages.

    Args:
        inputs: what is attacked, and how.
        state: what is known about each image.
        stages: those with gradients of the model, then the transfer, then the search without gradients.
        save: called with the state after every attack.
        progress: called with (stage, fraction of its images done, images that still hold) after every attack.
    """

    inputs: EvaluationInputs
    state: EvaluationState
    stages: tuple[AttackStage, ...]
    save: Save | None
    progress: ReportStage | None

    @property
    def transfer(self) -> int:
        """The position of the transfer, the first stage without gradients of the model."""
        return len(self.stages) - 2

    @property
    def black_box(self) -> int:
        """The position of the search without gradients."""
        return len(self.stages) - 1

    @property
    def survived(self) -> int:
        """The next stage of an image that no attack is left for."""
        return len(self.stages)

    @property
    def not_sampled(self) -> int:
        """The next stage of an image that survived all but the search, for which it was not drawn."""
        return len(self.stages) + 1

    @property
    def longest(self) -> AttackStage:
        """The stage that takes the most steps with gradients of the model."""
        return max(self.stages[: self.transfer], key=lambda stage: stage.attack.steps)

    def budgets(self) -> Tensor:
        """Return the budget at which each image is to be attacked; 0 where it has fallen to all."""
        return self.state.budgets(self.state.smallest_found.new_tensor(self.inputs.epsilons))

    def with_gradients(self) -> Evaluation[None]:
        """Take every image through the stages with gradients."""
        while True:
            waiting = (self.budgets() > 0) & (self.state.next_stage < self.transfer)
            rows = waiting.nonzero()[:, 0]
            if len(rows) == 0 or self.inputs.is_time_up():
                return
            position = int(self.state.next_stage[rows].min())
            yield from self.run_stage(position, rows[self.state.next_stage[rows] == position])

    def run_stage(self, position: int, rows: Tensor, stage: AttackStage | None = None) -> Evaluation[None]:
        """Attack some images in portions.

        Images that are too far from the boundary for the stage pass it; ``stage`` takes the place of the one
        at that position.
        """
        stage, state = stage or self.stages[position], self.state
        near = state.near_boundary(self.inputs.labels, stage.max_margin_ratio)[rows]
        state.next_stage[rows[~near]] = position + 1
        rows, done = rows[near], 0
        # A minimum-norm attack has searched all budgets: who falls to it need not start again with it.
        after_a_fall = 0 if self.stages[0].attack.stops_at_success else 1
        late_from = LATE_FRACTION * stage.attack.steps if stage is self.longest else inf
        for part in torch.split(rows, 4 * self.inputs.batch_size):
            if len(part) == 0 or self.inputs.is_time_up():
                break
            budgets = self.budgets()[part]
            if not stage.attack.stops_at_success:
                budgets = torch.full_like(budgets, self.inputs.threat.epsilon)
            fallen_before = int((state.fooled_by[part] == position).sum())
            result = yield from self.inputs.attack(stage, part, state, budgets, position)
            state.record(part, result, budgets, position, after_a_fall=after_a_fall, late_from=late_from)
            if position == self.black_box:
                state.black_box_found += int((state.fooled_by[part] == position).sum()) - fallen_before
                state.black_box_searched += len(part)
            done += len(part)
            if self.save is not None:
                self.save(state.tensors())
            if self.progress is not None:
                self.progress(stage.name, done / len(rows), int((self.budgets() > 0).sum()))

    def without_gradients(self, suspicious: bool) -> Evaluation[None]:
        """Attack without gradients of the model: a sample, and all images if there is a reason to.

        The reason is that the model is ``suspicious``, as if it hid its gradients, or that the sample falls.
        An image that falls to a budget here goes through the stages with gradients again, at its next one.
        """
        state = self.state
        while not self.inputs.is_time_up():
            holding = self.budgets() > 0
            rows = (holding & (state.next_stage == self.transfer)).nonzero()[:, 0]
            if self.inputs.surrogate is None:
                state.next_stage[rows] = self.black_box
            elif len(rows):
                yield from self.run_stage(self.transfer, rows)
            search_all = suspicious or state.black_box_found > 0
            if search_all:
                state.next_stage[state.next_stage == self.not_sampled] = self.black_box
            rows = (holding & (state.next_stage == self.black_box)).nonzero()[:, 0]
            if self.inputs.threat.norm not in BLACK_BOX.attack.norms:
                state.next_stage[rows] = self.not_sampled
                break
            if len(rows) == 0:
                break
            if not search_all and not bool((state.next_stage == self.not_sampled).any()):
                sample = self.sample(rows)
                state.next_stage[rows] = self.not_sampled
                state.next_stage[sample] = self.black_box
                rows = sample
            yield from self.run_stage(self.black_box, rows, BLACK_BOX if search_all else BLACK_BOX_SAMPLE)
            yield from self.with_gradients()

    def sample(self, rows: Tensor) -> Tensor:
        """Draw a quarter of some images, but no more than 16, or a sixteenth of them where that is more.

        Images are drawn by their indices in the data set, so that the sample does not depend on their order.
        """
        quarter, sixteenth = -(-len(rows) // 4), -(-len(rows) // 16)
        count = max(min(_SAMPLE, quarter), sixteenth)
        indices = self.inputs.indices[rows].tolist()
        keys = [derive_seed(self.inputs.seed, "sample", index) for index in indices]
        order = sorted(range(len(rows)), key=keys.__getitem__)
        return rows[sorted(order[:count])]

    def unfinished(self) -> int:
        """Return how many images were not attacked to the end when the time was up."""
        waiting = (self.budgets() > 0) & (self.state.next_stage < self.survived)
        return int(waiting.sum()) if self.inputs.is_time_up() else 0
