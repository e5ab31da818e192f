"""Taking images from attack to attack, until each has fallen to every budget or held against everything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from foolscope.attacks.losses import misclassified
from foolscope.attacks.nearest import nearest_classes
from foolscope.attacks.result import AttackResult
from foolscope.attacks.runner import run
from foolscope.attacks.stages import BLACK_BOX, BLACK_BOX_SAMPLE, TRANSFER, Stage
from foolscope.attacks.standings import Standings
from foolscope.attacks.transfer import transfer
from foolscope.core.randomness import derive_seed
from foolscope.threats.threat import Threat

__all__ = ["Campaign", "Case", "Progress", "Save"]

Save = Callable[[Mapping[str, Tensor]], None]
Progress = Callable[[str, float, int], None]

_SAMPLE = 16  # images searched without gradients, of four times as many that hold and more
_LATE = 0.75


@dataclass(frozen=True)
class Case:
    """What is attacked, and how."""

    model: nn.Module
    coarse: nn.Module | None
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

    def is_over(self) -> bool:
        """Return whether the time is up."""
        return self.deadline is not None and monotonic() >= self.deadline

    def attack(self, stage: Stage, rows: Tensor, standings: Standings, budgets: Tensor) -> AttackResult:
        """Run a stage's attack on some images."""
        targets = None
        if stage.targets is not None:
            first, last = stage.targets
            targets = self.targets(rows, standings)[:, first:last]
        chosen: dict[str, Any] = {
            "seed": derive_seed(self.seed, "evaluation", stage.name),
            "targets": targets,
            "indices": self.indices[rows],
            "clean_logits": standings.clean_logits[rows],
            "batch_size": self.batch_size,
            "epsilons": budgets,
        }
        images, labels = self.images[rows], self.labels[rows]
        if stage is TRANSFER:
            assert self.surrogate is not None
            return transfer(self.surrogate, self.model, images, labels, self.threat, stage.attack, **chosen)
        return run(
            self.model,
            images,
            labels,
            self.threat,
            stage.attack,
            success=misclassified,
            stepping_model=self.coarse if stage.coarse else None,
            levels=self.levels,
            deadline=self.deadline,
            **chosen,
        )

    def targets(self, rows: Tensor, standings: Standings) -> Tensor:
        """Return the nearest classes of some images, looked for at the first time."""
        unknown = rows[standings.targets[rows, 0] < 0]
        if len(unknown):
            count = standings.targets.shape[1]
            images, labels = self.images[unknown], self.labels[unknown]
            nearest, _ = nearest_classes(
                self.model, images, labels, self.threat.geometry, count, self.batch_size
            )
            standings.targets[unknown] = nearest
            standings.spend(len(unknown), len(unknown) * count)
        return standings.targets[rows]


@dataclass
class Campaign:
    """Takes images from stage to stage until each has fallen to every budget or held against every stage."""

    case: Case
    standings: Standings
    stages: tuple[Stage, ...]
    save: Save | None
    progress: Progress | None

    @property
    def black_box(self) -> int:
        """The place of the first stage without gradients of the model."""
        return len(self.stages) - 2

    @property
    def longest(self) -> Stage:
        """The stage that takes the most steps with gradients of the model."""
        return max(self.stages[: self.black_box], key=lambda stage: stage.attack.steps)

    def waiting(self) -> Tensor:
        """Return the budget at which each image is to be attacked; 0 where it has fallen to all."""
        return self.standings.budgets(self.standings.smallest_found.new_tensor(self.case.epsilons))

    def with_gradients(self) -> None:
        """Take every image through the stages with gradients."""
        while True:
            rows = ((self.waiting() > 0) & (self.standings.turns < self.black_box)).nonzero()[:, 0]
            if len(rows) == 0 or self.case.is_over():
                return
            turn = int(self.standings.turns[rows].min())
            self.stage(turn, rows[self.standings.turns[rows] == turn])

    def stage(self, turn: int, rows: Tensor, stage: Stage | None = None) -> int:
        """Attack some images in portions, by default with their turn's stage; return how many fell."""
        stage, standings = stage or self.stages[turn], self.standings
        near = standings.near(self.case.labels, stage.reach)[rows]
        standings.turns[rows[~near]] = turn + 1
        rows = rows[near]
        before, done = int((standings.fooled_by[rows] == turn).sum()), 0
        for part in torch.split(rows, 4 * self.case.batch_size):
            if len(part) == 0 or self.case.is_over():
                break
            everything = not stage.attack.stops_at_success
            budgets = self.waiting()[part]
            budgets = torch.full_like(budgets, self.case.threat.epsilon) if everything else budgets
            fallen = int((standings.fooled_by[part] == turn).sum())
            result = self.case.attack(stage, part, standings, budgets)
            late = _LATE * stage.attack.steps if stage is self.longest else inf
            standings.record(
                part, result, budgets, turn, int(not self.stages[0].attack.stops_at_success), late
            )
            if turn == self.black_box + 1:
                standings.searched_for(len(part), int((standings.fooled_by[part] == turn).sum()) - fallen)
            done += len(part)
            if self.save is not None:
                self.save(standings.tensors())
            if self.progress is not None:
                self.progress(stage.name, done / len(rows), int((self.waiting() > 0).sum()))
        return int((standings.fooled_by[rows] == turn).sum()) - before

    def without_gradients(self, suspicious: bool) -> tuple[int, int]:
        """Try what needs no gradients of the model: a sample, and everything if there is a reason to.

        Args:
            suspicious: whether the model seems to hide its gradients.

        Returns:
            How many fell to the search, and on how many it was tried.
        """
        standings, place = self.standings, self.black_box
        waits, passed_over = place + 1, place + 3  # what was searched is at place + 2
        while not self.case.is_over():
            holding = self.waiting() > 0
            rows = (holding & (standings.turns == place)).nonzero()[:, 0]
            if self.case.surrogate is None:
                standings.turns[rows] = waits
            elif len(rows):
                self.stage(place, rows)
            everything = suspicious or standings.found > 0
            if everything:
                standings.turns[standings.turns == passed_over] = waits
            rows = (holding & (standings.turns == waits)).nonzero()[:, 0]
            if self.case.threat.norm not in BLACK_BOX.attack.norms:
                standings.turns[rows] = passed_over
                break
            if len(rows) == 0:
                break
            if not everything and not bool((standings.turns == passed_over).any()):
                chosen = self.sample(rows)
                standings.turns[rows] = passed_over
                standings.turns[chosen] = waits
                rows = chosen
            self.stage(waits, rows, BLACK_BOX if everything else BLACK_BOX_SAMPLE)
            self.with_gradients()
        return standings.found, standings.searched

    def sample(self, rows: Tensor) -> Tensor:
        """Choose images by their names, so that the choice does not depend on their order.

        A quarter of them, but no more than sixteen; a sixteenth where that is more.
        """
        held = len(rows)
        count = max(min(_SAMPLE, -(-held // 4)), -(-held // _SAMPLE))
        names = [derive_seed(self.case.seed, "sample", index) for index in self.case.indices[rows].tolist()]
        order = sorted(range(len(rows)), key=names.__getitem__)
        return rows[sorted(order[:count])]

    def unfinished(self) -> int:
        """Return how many images were not attacked to the end."""
        open_ = (self.waiting() > 0) & (self.standings.turns < len(self.stages))
        return int(open_.sum()) if self.case.is_over() else 0
