"""One attack on one or several models: what the models are asked, joined to the rows of a single run.

Each row is evaluated by its own model. What is found for an image does not depend on the other rows, and each
model has its own queue and its own room in the batch: its result is that of a run of its own, up to rounding,
with the same passes. What an attack costs besides passes is paid once for all models.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
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
)
from foolscope.attacks.runner.doubts import doubts_about_run, model_checks
from foolscope.attacks.runner.loop import Oracles, confirmed_again, pass_through, verifier
from foolscope.attacks.runner.networks import Network, SeveralModels, one_model
from foolscope.attacks.runner.packs import Packs
from foolscope.attacks.runner.problem import Problem
from foolscope.attacks.runner.randomness import Noise
from foolscope.attacks.runner.request import Request
from foolscope.attacks.runner.result import AttackResult
from foolscope.attacks.runner.targets import choose_targets
from foolscope.attacks.runner.worklist import Worklist, Worklists
from foolscope.core.modes import frozen
from foolscope.threats.prediction import automatic_batch_size, check_logits, predict
from foolscope.threats.threat import Threat, check_images

__all__ = ["run_together"]


def run_together(requests: Sequence[Request], packs: Packs) -> list[AttackResult]:
    """Run one attack on several models, or on a single one; see :func:`foolscope.attacks.run`.

    Args:
        requests: alike in attack, threat, success, levels, trace, deadline, in the number of targets and in
            whether steps are taken on another model; images of one shape and type on one device.
        packs: programs for passes of several models.

    Returns:
        One result for each request.

    Raises:
        ThreatError: a request is invalid.
    """
    first = requests[0]
    with ExitStack() as models:
        for request in requests:
            check_norm(request.attack, request.threat.norm)
            check_images(request.images, request.labels, request.threat)
            models.enter_context(frozen(request.model))
            models.enter_context(frozen(request.stepping_model or request.model))
        parts = [_part(request) for request in requests]
        ends = accumulate((len(part.labels) for part in parts), initial=0)
        places = [slice(begin, end) for begin, end in pairwise(ends)]
        attacked = _Attacked.of(parts, first.threat)
        best_so_far = BestSoFar(
            attacked.images,
            _joined([part.logits for part in parts]),
            _joined([part.fooled for part in parts]),
            parts[0].success,
            _selection(first.attack, first.trace),
            first.attack.steps if first.trace else 0,
        )
        rows = torch.arange(len(attacked.labels), device=attacked.images.device)
        owners = torch.cat([torch.full_like(part.labels, number) for number, part in enumerate(parts)])
        queues = [
            _worklist(part, rows[place], best_so_far, attacked)
            for part, place in zip(parts, places, strict=True)
        ]
        oracles = _oracles(requests, owners, packs, best_so_far)
        unfinished = pass_through(
            oracles, first.attack, Worklists(queues, owners), _noise(parts), first.deadline, first.progress
        )
        claimed = best_so_far.rank.isfinite()
        confirmed = claimed if oracles.verified else confirmed_again(oracles, attacked.problem, parts[0].size)
    return [
        _result(part, place, best_so_far, unconfirmed=claimed & ~confirmed, unfinished=unfinished)
        for part, place in zip(parts, places, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Part:
    """A request with everything settled, one row per image."""

    request: Request
    images: Tensor
    labels: Tensor
    indices: Tensor
    budgets: Tensor
    logits: Tensor
    targets: Tensor | None
    success: Success
    fooled: Tensor
    size: int


def _part(request: Request) -> _Part:
    images = request.images.detach()
    size = request.batch_size or automatic_batch_size(images, request.model)
    labels = request.labels.to(images.device)
    rows = torch.arange(len(labels), device=images.device)
    indices = rows if request.indices is None else request.indices.to(images.device)
    budgets = images.new_full((len(labels),), request.threat.epsilon)
    if request.epsilons is not None:
        budgets = request.epsilons.to(images)
    known = request.clean_logits
    logits = predict(request.model, images, size) if known is None else known.detach()
    check_logits(logits, labels)
    targets = None
    if request.targets is not None:
        noise = Noise(request.seed, request.attack.name)
        targets = choose_targets(request.targets, logits, labels, indices, noise)
    success = request.success or (misclassified if targets is None else target_reached)
    fooled = _fooled_clean(logits, labels, targets, success)
    return _Part(request, images, labels, indices, budgets, logits, targets, success, fooled, size)


def _worklist(part: _Part, rows: Tensor, best_so_far: BestSoFar, attacked: "_Attacked") -> Worklist:
    """Return the queue of a part's images, which are at these rows of the run."""
    if part.request.clean_logits is None:
        best_so_far.count_forwards(rows)
    waiting = (~part.fooled | part.request.trace) & (part.budgets > 0)
    items = part.request.attack.restarts * (1 if part.targets is None else part.targets.shape[1])
    return Worklist(rows[waiting], items, part.size, best_so_far, attacked.problem)


@dataclass(frozen=True)
class _Attacked:
    """Everything about the attacked images, one row per image."""

    images: Tensor
    labels: Tensor
    targets: Tensor | None
    indices: Tensor
    budgets: Tensor
    threat: Threat

    @classmethod
    def of(cls, parts: "Sequence[_Part]", threat: Threat) -> "_Attacked":
        several = len(parts) > 1
        targets = [part.targets for part in parts if part.targets is not None]
        labels = _joined([part.labels for part in parts])
        return cls(
            images=_joined([part.images for part in parts]),
            labels=labels,
            targets=_joined(targets) if targets else None,
            indices=torch.arange(len(labels), device=labels.device) if several else parts[0].indices,
            budgets=_joined([part.budgets for part in parts]),
            threat=threat,
        )

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


def _oracles(requests: Sequence[Request], owners: Tensor, packs: Packs, best_so_far: BestSoFar) -> Oracles:
    levels = requests[0].levels
    model = stepping = _network([request.model for request in requests], owners, packs)
    if requests[0].stepping_model is not None:
        stepping = _network([request.stepping_model or request.model for request in requests], owners, packs)
    return Oracles(model, stepping, best_so_far, verifier(model, levels), levels is not None)


def _network(models: Sequence[nn.Module], owners: Tensor, packs: Packs) -> Network:
    return one_model(models[0]) if len(models) == 1 else SeveralModels(models, owners, packs)


def _noise(parts: Sequence[_Part]) -> Noise:
    """Return what each model's run of its own would draw."""
    name = parts[0].request.attack.name
    if len(parts) == 1:
        return Noise(parts[0].request.seed, name)
    return Noise(0, name, [(part.request.seed, index) for part in parts for index in part.indices.tolist()])


def _result(
    part: _Part, place: slice, best_so_far: BestSoFar, *, unconfirmed: Tensor, unfinished: Tensor
) -> AttackResult:
    threat, inputs = part.request.threat, best_so_far.adversarial_inputs[place]
    success = best_so_far.rank[place].isfinite() & ~unconfirmed[place]
    return AttackResult(
        threat=threat,
        attack=part.request.attack.name,
        labels=part.labels,
        adversarial_inputs=inputs,
        success=success,
        perturbation_sizes=threat.geometry.size(inputs - part.images),
        steps=best_so_far.steps[place],
        items=best_so_far.items[place],
        clean_logits=part.logits,
        adversarial_logits=best_so_far.adversarial_logits[place],
        forwards=best_so_far.forwards[place],
        backwards=best_so_far.backwards[place],
        losses_by_step=best_so_far.losses[place],
        smallest_margins=best_so_far.margins[place],
        finished=~unfinished[place] | success,
        doubts=(
            *(each.sentence for each in model_checks(part.request.model, part.logits) if each.fired),
            *doubts_about_run(best_so_far, place, int(unconfirmed[place].sum())),
        ),
    )


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))


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
