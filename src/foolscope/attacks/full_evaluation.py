"""The full evaluation: cheap attacks first, expensive ones on what still holds, and a search for masking."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

import torch
from jaxtyping import Int64, Num
from torch import Tensor, nn

from foolscope.attacks.coarse import in_bfloat16
from foolscope.attacks.doubts import MaskingCheck, check, model_checks
from foolscope.attacks.evaluation import RobustAccuracyCurve
from foolscope.attacks.losses import misclassified
from foolscope.attacks.masking import budget_checks, gradient_checks, saturation_check
from foolscope.attacks.nearest import nearest_classes
from foolscope.attacks.oracle import frozen
from foolscope.attacks.result import AttackResult
from foolscope.attacks.runner import automatic_batch_size, check_logits, predict, run
from foolscope.attacks.stages import (
    BLACK_BOX,
    BLACK_BOX_SAMPLE,
    TARGETS_TRIED,
    TRANSFER,
    Stage,
    evaluation_stages,
)
from foolscope.attacks.standings import Standings
from foolscope.attacks.threat import Threat, check_images
from foolscope.attacks.transfer import transfer
from foolscope.core.errors import ThreatError
from foolscope.core.randomness import derive_seed

__all__ = ["evaluate"]

Save = Callable[[Mapping[str, Tensor]], None]
Progress = Callable[[str, float, int], None]

_CHECKED = 64  # images on which gradients are looked at
_TRIED = 32  # images that are attacked with growing budgets
_SAMPLE = 16  # images searched without gradients at the least; or a sixteenth of those that hold
_LATE = 0.75
_CLEARLY, _FEW = 2, 0.01  # what a search without gradients may find by chance


def evaluate(
    model: nn.Module,
    images: Num[Tensor, "batch channel height width"],
    labels: Int64[Tensor, " batch"],
    norm: str,
    epsilons: Sequence[str | float | int],
    *,
    seed: int,
    surrogate: nn.Module | None = None,
    indices: Int64[Tensor, " batch"] | None = None,
    levels: int | None = None,
    batch_size: int | None = None,
    time_budget_seconds: float | None = None,
    saved: Mapping[str, Tensor] | None = None,
    save: Save | None = None,
    progress: Progress | None = None,
) -> RobustAccuracyCurve:
    """Find what robustness a model has: everything tried, in the order that costs least.

    A few steps fell most images; those that hold are attacked towards their nearest classes, the nearest
    first; those that hold by little are attacked for long. A search without gradients looks at a sample of
    what is left, and at all of it if it finds anything or if the model seems to hide its gradients. With
    several budgets an image is attacked at the largest that it has not fallen to: what holds there holds at
    all smaller ones.

    Args:
        model: from images to logits; attacked in evaluation mode, and left as it was.
        images: shape (batch, channel, height, width), in [0, 1], in the model's data type and on its device.
        labels: their classes.
        norm: a name from ``NORMS``.
        epsilons: the budgets in pixel units, numbers or text such as ``"8/255"``.
        seed: where the attacks' randomness comes from.
        surrogate: another model with the same classes; images that fool it are tried, too.
        indices: the images' indices in their data set; 0, 1, ... without it.
        levels: fooling images are rounded to so many levels of gray above 0 before they count, such as 255.
        batch_size: rows in flight at most; chosen by image size without it.
        time_budget_seconds: stop after this long; what was not attacked to the end counts as robust, and a
            doubt says so.
        saved: what an earlier call with the same arguments saved, to be taken up.
        save: called now and then with what is known so far.
        progress: called with (stage, fraction of its images done, images that still hold).

    Raises:
        ThreatError: no budget, or anything that :func:`foolscope.attacks.run` refuses.

    Example:
        >>> linear = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
        >>> _ = linear[1].weight.data.copy_(torch.eye(2))
        >>> images = torch.tensor([[[[0.6, 0.4]]], [[[0.9, 0.1]]]])
        >>> curve = evaluate(linear, images, torch.tensor([0, 0]), "linf", [0.2], seed=0)
        >>> curve.robust_accuracies, [each.name for each in curve.checks if each.fired]
        ((0.5,), [])

    Source:
        An ensemble as in Croce and Hein (2020, arXiv:2003.01690), without FAB-T, and with its steps spent
        where they decide something. Starting with the margin and ordering targets by their linearized
        distance is ours; measured against AutoAttack in ``benchmarks/attack.py``.
    """
    threats = sorted({Threat(norm, epsilon) for epsilon in epsilons}, key=lambda threat: threat.epsilon)
    if not threats:
        raise ThreatError("an evaluation needs a budget; got none")
    check_images(images, labels, threats[-1])
    size = batch_size or automatic_batch_size(images)
    labels = labels.to(images.device)
    positions = torch.arange(len(labels), device=images.device)
    indices = positions if indices is None else indices.to(images.device)
    deadline = None if time_budget_seconds is None else monotonic() + time_budget_seconds
    checks: tuple[MaskingCheck, ...] = ()
    with frozen(model):
        clean_logits = predict(model, images, size)
    check_logits(clean_logits, labels)
    checks += model_checks(model, clean_logits)
    classes = clean_logits.shape[1] if len(labels) else 2
    standings = Standings.of(images, labels, clean_logits, min(TARGETS_TRIED, classes - 1))
    right = (standings.smallest_found > 0).nonzero()[:, 0]
    few, fewer = right[:_CHECKED], right[:_TRIED]
    checks += gradient_checks(model, images[few], labels[few])
    positive = [threat.epsilon for threat in threats if threat.epsilon > 0]
    coarse = in_bfloat16(model, images[few], clean_logits[few])
    case = _Case(
        model,
        coarse,
        surrogate,
        images,
        labels,
        indices,
        threats[-1],
        tuple(positive),
        seed,
        size,
        levels,
        deadline,
    )
    if positive:
        found, results = budget_checks(model, images[fewer], labels[fewer], norm, positive[-1], seed=seed)
        checks += found
        standings.count(*results)
    if saved is not None:
        standings = Standings(**{name: value.to(images.device) for name, value in saved.items()})
    stages = (*evaluation_stages(norm, positive, classes - 1), TRANSFER, BLACK_BOX)
    search = _Search(case, standings, stages, save, progress)
    search.with_gradients()
    checks += search.without_gradients(any(each.fired and each.is_serious for each in checks))
    checks += (saturation_check(int(standings.counts[2]), len(labels)),)
    doubts = [each.sentence for each in checks if each.fired and each.is_serious] + search.doubts()
    return RobustAccuracyCurve(
        norm=norm,
        epsilons=tuple(threat.epsilon for threat in threats),
        attacks=tuple(stage.name for stage in stages),
        labels=labels,
        smallest_found=standings.smallest_found,
        fooled_by=standings.fooled_by,
        adversarial_inputs=standings.adversarial_inputs,
        adversarial_logits=standings.adversarial_logits,
        clean_logits=clean_logits,
        forward_count=int(standings.counts[0]),
        backward_count=int(standings.counts[1]),
        checks=checks,
        doubts=tuple(dict.fromkeys(doubts)),
        unfinished=search.unfinished(),
    )


@dataclass(frozen=True)
class _Case:
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
            standings.counts[0] += len(unknown)
            standings.counts[1] += len(unknown) * count
        return standings.targets[rows]


@dataclass
class _Search:
    """Takes images from stage to stage until each has fallen to every budget or held against every stage."""

    case: _Case
    standings: Standings
    stages: tuple[Stage, ...]
    save: Save | None
    progress: Progress | None

    @property
    def black_box(self) -> int:
        """The place of the first stage without gradients of the model."""
        return len(self.stages) - 2

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
            result = self.case.attack(stage, part, standings, budgets)
            late = _LATE * stage.attack.steps if turn == self.black_box - 1 else inf
            standings.record(
                part, result, budgets, turn, int(not self.stages[0].attack.stops_at_success), late
            )
            done += len(part)
            if self.save is not None:
                self.save(standings.tensors())
            if self.progress is not None:
                self.progress(stage.name, done / len(rows), int((self.waiting() > 0).sum()))
        return int((standings.fooled_by[rows] == turn).sum()) - before

    def without_gradients(self, suspicious: bool) -> tuple[MaskingCheck, ...]:
        """Try what needs no gradients of the model: a sample, and everything if there is a reason to.

        Args:
            suspicious: whether the model seems to hide its gradients.
        """
        standings, tried, place = self.standings, 0, self.black_box
        while not self.case.is_over():
            holding = self.waiting() > 0
            rows = (holding & (standings.turns == place)).nonzero()[:, 0]
            if self.case.surrogate is None:
                standings.turns[rows] = place + 1
            elif len(rows):
                self.stage(place, rows)
            rows = (holding & (standings.turns == place + 1)).nonzero()[:, 0]
            if len(rows) == 0 or self.case.threat.norm not in BLACK_BOX.attack.norms:
                break
            everything = suspicious or int(standings.counts[3]) > 0
            chosen = rows if everything else self.sample(rows)
            tried += len(chosen)
            standings.counts[3] += self.stage(
                place + 1, chosen, BLACK_BOX if everything else BLACK_BOX_SAMPLE
            )
            if not everything and int(standings.counts[3]) == 0:
                standings.turns[rows] = place + 2
            self.with_gradients()
        return (_black_box_check(int(standings.counts[3]), tried, self.case.threat.norm),)

    def sample(self, rows: Tensor) -> Tensor:
        """Choose images by their names, so that the choice does not depend on their order."""
        count = max(_SAMPLE, -(-len(rows) // _SAMPLE))
        names = [derive_seed(self.case.seed, "sample", index) for index in self.case.indices[rows].tolist()]
        order = sorted(range(len(rows)), key=names.__getitem__)
        return rows[sorted(order[:count])]

    def unfinished(self) -> int:
        """Return how many images were not attacked to the end."""
        open_ = (self.waiting() > 0) & (self.standings.turns < len(self.stages))
        return int(open_.sum()) if self.case.is_over() else 0

    def doubts(self) -> list[str]:
        """Say what was left undone."""
        left = self.unfinished()
        if not left:
            return []
        return [
            f"The time was up before {left} images were attacked to the end; they count as robust. Give more "
            "time, or none: a stored evaluation goes on where it stopped."
        ]


def _black_box_check(found: int, tried: int, norm: str) -> MaskingCheck:
    name = "black box beats white box"
    if norm not in BLACK_BOX.attack.norms:
        return check(name, 0.0, False, "", f"No search without gradients was made: there is none for {norm}.")
    part = found / max(1, tried)
    return check(
        name,
        part,
        found >= _CLEARLY and part > _FEW,
        f"A search without gradients fooled {found} of {tried} images that had withstood every attack with "
        "gradients. The gradients do not show the way, so what is left is too high as well: look for "
        "rounding, randomness or saturation in the model, and attack it without them.",
        f"A search without gradients fooled {found} of {tried} images that had withstood those with them.",
    )
