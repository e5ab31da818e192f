"""Runs any attack on any model: owns the active set, counts the passes, and checks what the attack claims."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic

import torch
from jaxtyping import Float, Int64, Num
from torch import Tensor, nn

from foolscope.attacks.attack import Attack, check_norm
from foolscope.attacks.doubts import doubts_about_model, doubts_about_run
from foolscope.attacks.ledger import FIRST, FIRST_BUT_GO_ON, SMALLEST, Judge, Keep, Ledger, Success
from foolscope.attacks.losses import misclassified, target_reached
from foolscope.attacks.oracle import Oracle
from foolscope.attacks.problem import Problem
from foolscope.attacks.randomness import Noise
from foolscope.attacks.result import AttackResult
from foolscope.attacks.targets import choose_targets
from foolscope.attacks.worklist import Batch, Worklist, refill
from foolscope.core.errors import ThreatError
from foolscope.core.modes import frozen
from foolscope.threats.threat import Threat, check_images

__all__ = ["automatic_batch_size", "check_logits", "predict", "run"]

Progress = Callable[[int, int], None]
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
    progress: Progress | None = None,
) -> AttackResult:
    """Look, for each image, for an allowed image that fools the model.

    An image that fools without any attack is done at once; a fooled image leaves the batch inside the loop
    and waiting images take its place. Every image the attack evaluates counts. What is found for an image
    depends neither on the batch size nor on the other images.

    Args:
        model: from images to logits, any module with two or more outputs. Attacked in evaluation mode without
            parameter gradients; both are restored.
        images: shape (batch, channel, height, width), in [0, 1], in the model's data type and on its device.
        labels: their classes.
        threat: norm, budget in pixel units, bounds.
        attack: settings from the table ``ATTACKS``.
        seed: where the attack's randomness comes from.
        targets: aim at these classes: a name from ``TARGETS``, one class per image, or a row of classes per
            image, each a work item of its own. Without it the attack is untargeted.
        success: what counts as fooled, from (logits, labels, targets) to a mask. Without it: the target is
            reached where there are targets, else any misclassification. Pass ``misclassified`` to aim and
            take any.
        indices: the images' indices in their data set, which name their randomness; 0, 1, ... without it.
        clean_logits: the model's output on the images, where known already: saves a forward pass each.
        epsilons: a budget for each image, at most the threat's; that for all without it.
        batch_size: rows in flight at most; chosen by image size without it.
        stepping_model: where the steps are taken, such as the same model in bfloat16. What seems to fool it,
            or nearly, is shown to ``model``, whose word counts.
        levels: fooling images are rounded to so many steps of gray from 0 to 1, towards the clean image,
            before they are judged and kept: 255 for files of 8 bits.
        trace: go on with fooled images, so that the loss by step is that of all images; the verdict is the
            same.
        deadline: on the clock of ``time.monotonic``; work items that have not come to their end by then are
            dropped.
        progress: called with (work items done, all work items) after every round.

    Raises:
        ThreatError: images, labels, targets or budget make no sense, the attack does not know the norm, or
            the output is not a row of logits per image.

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
    size = batch_size or automatic_batch_size(images)
    labels = labels.to(images.device)
    rows = torch.arange(len(labels), device=images.device)
    indices = rows if indices is None else indices.to(images.device)
    budgets = images.new_full((len(labels),), threat.epsilon) if epsilons is None else epsilons.to(images)
    noise = Noise(seed, attack.name)
    unknown = clean_logits is None
    steps_on = stepping_model or model
    with frozen(model), frozen(steps_on):
        clean_logits = predict(model, images, size) if clean_logits is None else clean_logits.detach()
        check_logits(clean_logits, labels)
        aims = None if targets is None else choose_targets(targets, clean_logits, labels, indices, noise)
        success = success or (misclassified if aims is None else target_reached)
        fooled = _fooled_clean(clean_logits, labels, aims, success)
        ledger = Ledger(
            images,
            clean_logits,
            fooled,
            success,
            _keep(attack, trace),
            attack.steps if trace else 0,
        )
        if unknown:
            ledger.count_forwards(rows)
        case = _Case(images, labels, aims, indices, budgets, threat)
        waiting = (~fooled | trace) & (budgets > 0)
        worklist = Worklist(
            waiting.nonzero()[:, 0],
            attack.restarts * (1 if aims is None else aims.shape[1]),
            ledger,
            case.pose,
        )
        asked = _Asked(model, steps_on, ledger, _judge(model, levels), levels is not None)
        unfinished = _attack(asked, attack, worklist, noise, size, deadline, progress)
        confirmed, unconfirmed = _confirm(model, case, ledger, size) if asked.unjudged else _found(ledger)
    return AttackResult(
        threat=threat,
        attack=attack.name,
        labels=labels,
        adversarial_inputs=ledger.adversarial_inputs,
        success=confirmed,
        perturbation_sizes=threat.geometry.size(ledger.adversarial_inputs - images),
        steps=ledger.steps,
        items=ledger.items,
        clean_logits=clean_logits,
        adversarial_logits=ledger.adversarial_logits,
        forwards=ledger.forwards,
        backwards=ledger.backwards,
        losses_by_step=ledger.losses,
        smallest_margins=ledger.margins,
        finished=~unfinished | confirmed,
        doubts=doubts_about_model(model, clean_logits) + doubts_about_run(ledger, unconfirmed),
    )


@dataclass(frozen=True)
class _Asked:
    """The model whose word counts and the one on which steps are taken, as attacks may ask them."""

    exact: nn.Module
    stepping: nn.Module
    ledger: Ledger
    judge: Judge
    rounds: bool

    @property
    def unjudged(self) -> bool:
        """Whether every answer is of the model whose word counts, on what is stored; it is asked twice."""
        return self.exact is self.stepping and not self.rounds

    def in_steps(self, problem: Problem) -> Oracle:
        """Return the oracle that steps follow."""
        return Oracle(self.stepping, problem, self.ledger, None if self.unjudged else self.judge)

    def at_the_end(self, problem: Problem) -> Oracle:
        """Return the oracle for last candidates."""
        return Oracle(self.exact, problem, self.ledger, self.judge if self.rounds else None)


@dataclass(frozen=True)
class _Case:
    """What is attacked; one row per image."""

    images: Tensor
    labels: Tensor
    aims: Tensor | None
    indices: Tensor
    budgets: Tensor
    threat: Threat

    def pose(self, positions: Tensor, items: Tensor) -> Problem:
        """Return the problem that these work items of these images stand for."""
        return Problem(
            inputs=self.images[positions],
            labels=self.labels[positions],
            targets=None if self.aims is None else self.aims[positions, items % self.aims.shape[1]],
            epsilon=self.budgets[positions],
            positions=positions,
            indices=self.indices[positions],
            items=items,
            steps=torch.zeros_like(items),
            norm=self.threat.geometry,
            bounds=self.threat.bounds,
        )


def predict(
    model: nn.Module, images: Float[Tensor, "batch channel height width"], batch_size: int
) -> Float[Tensor, "batch classes"]:
    """Return the model's output, batch by batch, without gradients; no columns for no images."""
    if len(images) == 0:
        return images.new_zeros(0, 0)
    with torch.no_grad():
        return torch.cat([model(part) for part in torch.split(images, batch_size)])


def automatic_batch_size(images: Float[Tensor, "batch channel height width"]) -> int:
    """Choose how many images to have in flight: 2¹⁹ pixels on a CPU, 2²² on an accelerator, 1024 at most."""
    pixels = 1 << (19 if images.device.type == "cpu" else 22)
    return min(1024, max(1, pixels // max(1, images.shape[1:].numel())))


def _attack(
    asked: _Asked,
    attack: Attack,
    worklist: Worklist,
    noise: Noise,
    batch_size: int,
    deadline: float | None,
    progress: Progress | None,
) -> Tensor:
    """Pass all work items through the batch; return which images were not attacked to the end."""
    batch = Batch(worklist.take(0), {})
    while len(batch := refill(batch, worklist, attack, noise, batch_size)):
        if deadline is not None and monotonic() >= deadline:
            return worklist.unfinished(batch.problem)
        batch = _finish(asked, batch, attack)
        batch = _advance(asked, batch, attack)
        if progress is not None:
            progress(worklist.taken - len(batch), worklist.total)
    return torch.zeros_like(asked.ledger.items, dtype=torch.bool)


def _finish(asked: _Asked, batch: Batch, attack: Attack) -> Batch:
    """Check the last candidates of work items that have taken all their steps, and let these go."""
    last = batch.problem.steps >= attack.steps
    if not bool(last.any()):
        return batch
    ending = batch.select(last)
    candidates = ending.state["inputs"]
    logits = asked.at_the_end(ending.problem).logits(candidates)
    asked.ledger.held(ending.problem, candidates, logits)
    return _without_done(batch.select(~last), asked.ledger)


def _advance(asked: _Asked, batch: Batch, attack: Attack) -> Batch:
    """Take one step with every row, and let go the rows whose image is done."""
    if len(batch) == 0:
        return batch
    state = attack.step(batch.problem, batch.state, asked.in_steps(batch.problem))
    return _without_done(Batch(replace(batch.problem, steps=batch.problem.steps + 1), state), asked.ledger)


def _without_done(batch: Batch, ledger: Ledger) -> Batch:
    return batch.select(~ledger.is_done(batch.problem.positions, batch.problem.items))


def _confirm(model: nn.Module, case: _Case, ledger: Ledger, batch_size: int) -> tuple[Tensor, int]:
    """Ask the model again about every stored fooling image; return which fool, and how many do no more."""
    found = ledger.items >= 0
    claimed = ledger.rank.isfinite()
    confirmed = claimed.clone()
    for part in torch.split((found & claimed).nonzero()[:, 0], batch_size):
        if len(part) == 0:
            break
        problem = case.pose(part, ledger.items[part])
        points = ledger.adversarial_inputs[part]
        logits = predict(model, points, batch_size)
        ledger.count_forwards(part)
        ledger.adversarial_logits[part] = logits
        allowed = ledger.allows(problem, points, problem.norm.size(points - problem.inputs))
        confirmed[part] = ledger.fools(problem, logits) & allowed
    return confirmed, int((claimed & ~confirmed).sum())


def _found(ledger: Ledger) -> tuple[Tensor, int]:
    """Return which images fool, where the judge has seen each as it is stored."""
    return ledger.rank.isfinite(), 0


def _judge(model: nn.Module, levels: int | None) -> Judge:
    """Return who has the last word on a fooling image as it is stored."""

    def judge(problem: Problem, points: Tensor) -> tuple[Tensor, Tensor]:
        stored = points if levels is None else _rounded(problem, points, levels)
        return stored, predict(model, stored, len(stored))

    return judge


def _rounded(problem: Problem, points: Tensor, levels: int) -> Tensor:
    """Round to whole levels of gray, each pixel towards the clean image, so that the ball is not left."""
    scaled, almost = points * levels, 1e-4  # a pixel that is whole but for rounding stays
    brighter = points >= problem.inputs
    whole = torch.where(brighter, (scaled + almost).floor(), (scaled - almost).ceil())
    return (whole / levels).clamp(*problem.bounds)


def _fooled_clean(logits: Tensor, labels: Tensor, aims: Tensor | None, success: Success) -> Tensor:
    """Return which images fool as they are, for any of their targets."""
    if len(labels) == 0:
        return torch.zeros_like(labels, dtype=torch.bool)
    columns = [None] if aims is None else aims.unbind(1)
    return torch.stack([success(logits, labels, column) for column in columns]).any(0)


def _keep(attack: Attack, trace: bool) -> Keep:
    if not attack.stops_at_success:
        return SMALLEST
    return FIRST_BUT_GO_ON if trace else FIRST


def check_logits(logits: Tensor, labels: Tensor) -> None:
    """Refuse an output that is not a row of logits per image, or has no place for a label.

    Raises:
        ThreatError: says which.
    """
    if len(labels) == 0:
        return
    if logits.dim() != 2 or logits.shape[0] != len(labels) or logits.shape[1] < 2:
        raise ThreatError(
            f"the model must return logits of shape ({len(labels)}, classes) with two classes or more; "
            f"got {tuple(logits.shape)}"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        raise ThreatError(
            f"labels must be below {logits.shape[1]}, the model's outputs; "
            f"got labels from {int(labels.min())} to {int(labels.max())}"
        )
