"""Runs any attack on any model: owns the active set, counts the passes, and verifies every success."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor, nn

from foolscope.attacks.losses import misclassified, target_reached
from foolscope.attacks.runner.attack import Attack, check_norm
from foolscope.attacks.runner.best_so_far import (
    FIRST_SUCCESS,
    FIRST_SUCCESS_BUT_CONTINUE,
    SMALLEST,
    BestSoFar,
    Selection,
    Success,
    Verify,
)
from foolscope.attacks.runner.doubts import doubts_about_run, model_checks
from foolscope.attacks.runner.oracle import Oracle
from foolscope.attacks.runner.problem import Problem
from foolscope.attacks.runner.randomness import Noise
from foolscope.attacks.runner.result import AttackResult
from foolscope.attacks.runner.targets import choose_targets
from foolscope.attacks.runner.worklist import Batch, Worklist, refill
from foolscope.core.modes import frozen
from foolscope.threats.prediction import automatic_batch_size, check_logits, predict
from foolscope.threats.threat import Threat, check_images

__all__ = ["run"]

Targets = str | Int64[Tensor, "images ..."]


def run(
    model: nn.Module,
    images: Num[Tensor, "batch channel height width"],
    labels: Int64[Tensor, " batch"],
    threat: Threat,
    attack: Attack,
    *,
    seed: int,
    targets: Targets | None = None,
    success: Success | None = None,
    indices: Int64[Tensor, " batch"] | None = None,
    clean_logits: Float[Tensor, "batch classes"] | None = None,
    epsilons: Float[Tensor, " batch"] | None = None,
    batch_size: int | None = None,
    stepping_model: nn.Module | None = None,
    levels: int | None = None,
    trace: bool = False,
    deadline: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AttackResult:
    """Search, for each image, for an allowed image that fools the model.

    An image that is misclassified as it is needs no attack. A fooled image leaves the batch inside the loop,
    and a waiting image takes its place. Success at any image that the attack evaluates counts. What is found
    for an image depends neither on the batch size nor on the other images.

    Args:
        model: from images to logits, any module with two or more outputs. Attacked in evaluation mode and
            without parameter gradients; both settings are restored.
        images: shape (batch, channel, height, width), in [0, 1], in the model's data type and on its device.
        labels: their classes.
        threat: norm, budget in pixel units, bounds.
        attack: settings from the table ``ATTACKS``.
        seed: root of the attack's randomness.
        targets: the classes to aim at: a name from ``TARGETS``, one class per image, or a row of classes per
            image, each a work item of its own. Without it the attack is untargeted.
        success: what counts as fooled, from (logits, labels, targets) to a mask. Without it: reaching the
            target where there are targets, else any misclassification. With targets and ``misclassified``
            the attack aims at the targets and any misclassification counts.
        indices: the images' indices in their data set, from which their random numbers are derived; 0, 1, ...
            without it.
        clean_logits: the model's output on the images, where it is known: saves a forward pass for each.
        epsilons: a budget for each image, at most the threat's; the threat's for all without it.
        batch_size: the largest number of rows in flight; chosen by image size without it.
        stepping_model: the model on which steps are taken, such as the same model in bfloat16. What fools it,
            or nearly does, is verified on ``model``.
        levels: images that fool are rounded to multiples of 1 / levels, towards the clean image, before they
            are verified and kept: 255 for files of 8 bits.
        trace: go on with fooled images, so that the loss by step covers all images; success is the same.
        deadline: on the clock of ``time.monotonic``; work items that have not ended by then are dropped.
        progress: called with (work items done, all work items) after every round.

    Raises:
        ThreatError: images, labels, targets or budget are invalid, the attack does not support the norm, or
            the output is not one row of logits per image.

    Example:
        >>> from foolscope.attacks import FGSM
        >>> linear = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
        >>> _ = linear[1].weight.data.copy_(torch.eye(2))
        >>> images = torch.tensor([[[[0.6, 0.4]]], [[[0.9, 0.1]]]])
        >>> result = run(linear, images, torch.tensor([0, 0]), Threat("linf", 0.2), FGSM(), seed=0)
        >>> result.clean_accuracy, result.robust_accuracy
        (1.0, 0.5)
    """
    check_norm(attack, threat.norm)
    check_images(images, labels, threat)
    images = images.detach()
    size = batch_size or automatic_batch_size(images, model)
    labels = labels.to(images.device)
    rows = torch.arange(len(labels), device=images.device)
    indices = rows if indices is None else indices.to(images.device)
    budgets = images.new_full((len(labels),), threat.epsilon) if epsilons is None else epsilons.to(images)
    noise = Noise(seed, attack.name)
    stepping = stepping_model or model
    with frozen(model), frozen(stepping):
        logits = predict(model, images, size) if clean_logits is None else clean_logits.detach()
        check_logits(logits, labels)
        classes = None if targets is None else choose_targets(targets, logits, labels, indices, noise)
        success = success or (misclassified if classes is None else target_reached)
        fooled = _fooled_clean(logits, labels, classes, success)
        best_so_far = BestSoFar(
            images, logits, fooled, success, _selection(attack, trace), attack.steps if trace else 0
        )
        if clean_logits is None:
            best_so_far.count_forwards(rows)
        attacked = _Attacked(images, labels, classes, indices, budgets, threat)
        waiting = (~fooled | trace) & (budgets > 0)
        worklist = Worklist(
            waiting.nonzero()[:, 0],
            attack.restarts * (1 if classes is None else classes.shape[1]),
            best_so_far,
            attacked.problem,
        )
        oracles = _Oracles(model, stepping, best_so_far, _verify(model, levels), levels is not None)
        unfinished = _attack(oracles, attack, worklist, noise, size, deadline, progress)
        claimed = best_so_far.rank.isfinite()
        confirmed = claimed if oracles.verified else _confirmed(model, attacked, best_so_far, size)
        unconfirmed = int((claimed & ~confirmed).sum())
    return AttackResult(
        threat=threat,
        attack=attack.name,
        labels=labels,
        adversarial_inputs=best_so_far.adversarial_inputs,
        success=confirmed,
        perturbation_sizes=threat.geometry.size(best_so_far.adversarial_inputs - images),
        steps=best_so_far.steps,
        items=best_so_far.items,
        clean_logits=logits,
        adversarial_logits=best_so_far.adversarial_logits,
        forwards=best_so_far.forwards,
        backwards=best_so_far.backwards,
        losses_by_step=best_so_far.losses,
        smallest_margins=best_so_far.margins,
        finished=~unfinished | confirmed,
        doubts=(
            *(each.sentence for each in model_checks(model, logits) if each.fired),
            *doubts_about_run(best_so_far, unconfirmed),
        ),
    )


@dataclass(frozen=True)
class _Oracles:
    """The model under attack and the one on which steps are taken, as attacks may evaluate them."""

    model: nn.Module
    stepping: nn.Module
    best_so_far: BestSoFar
    verify: Verify
    rounds: bool

    @property
    def verified(self) -> bool:
        # else all are evaluated again at the end
        return self.model is not self.stepping or self.rounds

    def for_steps(self, problem: Problem) -> Oracle:
        return Oracle(self.stepping, problem, self.best_so_far, self.verify if self.verified else None)

    def for_last_candidates(self, problem: Problem) -> Oracle:
        return Oracle(self.model, problem, self.best_so_far, self.verify if self.rounds else None)


@dataclass(frozen=True)
class _Attacked:
    """Everything about the attacked images, one row per image."""

    images: Tensor
    labels: Tensor
    targets: Tensor | None
    indices: Tensor
    budgets: Tensor
    threat: Threat

    def problem(self, positions: Tensor, items: Tensor) -> Problem:
        return Problem(
            inputs=self.images[positions],
            labels=self.labels[positions],
            targets=None if self.targets is None else self.targets[positions, items % self.targets.shape[1]],
            epsilon=self.budgets[positions],
            positions=positions,
            indices=self.indices[positions],
            items=items,
            steps=torch.zeros_like(items),
            norm=self.threat.geometry,
            bounds=self.threat.bounds,
        )


def _attack(
    oracles: _Oracles,
    attack: Attack,
    worklist: Worklist,
    noise: Noise,
    batch_size: int,
    deadline: float | None,
    progress: Callable[[int, int], None] | None,
) -> Tensor:
    """Pass all work items through the batch; return which images were not attacked to the end."""
    batch = Batch(worklist.take(0), {})
    while len(batch := refill(batch, worklist, attack, noise, batch_size)):
        if deadline is not None and monotonic() >= deadline:
            return worklist.unfinished(batch.problem)
        batch = _finish(oracles, batch, attack)
        batch = _advance(oracles, batch, attack)
        if progress is not None:
            progress(worklist.taken - len(batch), worklist.total)
    return torch.zeros_like(oracles.best_so_far.items, dtype=torch.bool)


def _finish(oracles: _Oracles, batch: Batch, attack: Attack) -> Batch:
    """Check the last candidates of work items that have taken all their steps, and drop these items."""
    last = batch.problem.steps >= attack.steps
    if not bool(last.any()):
        return batch
    ending = batch.select(last)
    candidates = ending.state["inputs"]
    logits = oracles.for_last_candidates(ending.problem).logits(candidates)
    oracles.best_so_far.keep_last_candidates(ending.problem, candidates, logits)
    return _without_done(batch.select(~last), oracles.best_so_far)


def _advance(oracles: _Oracles, batch: Batch, attack: Attack) -> Batch:
    """Take one step with every row, and drop the rows whose image is done."""
    if len(batch) == 0:
        return batch
    state = attack.step(batch.problem, batch.state, oracles.for_steps(batch.problem))
    return _without_done(
        Batch(replace(batch.problem, steps=batch.problem.steps + 1), state), oracles.best_so_far
    )


def _without_done(batch: Batch, best_so_far: BestSoFar) -> Batch:
    return batch.select(~best_so_far.is_done(batch.problem.positions, batch.problem.items))


def _confirmed(model: nn.Module, attacked: _Attacked, best_so_far: BestSoFar, batch_size: int) -> Tensor:
    """Evaluate the model again on every stored image that fooled it; return which fool it again."""
    found = best_so_far.items >= 0
    confirmed = best_so_far.rank.isfinite()
    for part in torch.split((found & confirmed).nonzero()[:, 0], batch_size):
        if len(part) == 0:
            break
        problem = attacked.problem(part, best_so_far.items[part])
        points = best_so_far.adversarial_inputs[part]
        logits = predict(model, points, batch_size)
        best_so_far.count_forwards(part)
        best_so_far.adversarial_logits[part] = logits
        allowed = best_so_far.allows(problem, points, problem.norm.size(points - problem.inputs))
        confirmed[part] = best_so_far.fools(problem, logits) & allowed
    return confirmed


def _verify(model: nn.Module, levels: int | None) -> Verify:
    """Return what evaluates an image on the model under attack, rounded as it is stored."""

    def verify(problem: Problem, points: Tensor) -> tuple[Tensor, Tensor]:
        stored = points if levels is None else _rounded(problem, points, levels)
        return stored, predict(model, stored, len(stored))

    return verify


def _rounded(problem: Problem, points: Tensor, levels: int) -> Tensor:
    """Round each pixel to a level of gray, towards the clean image, so that the ball is not left."""
    scaled, almost = points * levels, 1e-4  # a pixel that is on a level up to rounding error stays
    brighter = points >= problem.inputs
    whole = torch.where(brighter, (scaled + almost).floor(), (scaled - almost).ceil())
    return (whole / levels).clamp(*problem.bounds)


def _fooled_clean(logits: Tensor, labels: Tensor, targets: Tensor | None, success: Success) -> Tensor:
    """Return which images fool as they are, for any of their targets."""
    if len(labels) == 0:
        return torch.zeros_like(labels, dtype=torch.bool)
    columns = [None] if targets is None else targets.unbind(1)
    return torch.stack([success(logits, labels, column) for column in columns]).any(0)


def _selection(attack: Attack, trace: bool) -> Selection:
    if not attack.stops_at_success:
        return SMALLEST
    return FIRST_SUCCESS_BUT_CONTINUE if trace else FIRST_SUCCESS
