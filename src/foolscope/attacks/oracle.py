"""An attack's only way to the model, so that every pass is counted and every image is seen."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foolscope.attacks.ledger import Judge, Ledger
from foolscope.attacks.losses import Loss
from foolscope.attacks.problem import Problem

__all__ = ["Evaluation", "Oracle"]


@dataclass(frozen=True)
class Evaluation:
    """What one forward and one backward pass say about a batch of images.

    Args:
        logits: the model's output.
        losses: the loss of each image.
        gradient: its derivative by the pixels; 0 where the model's was not finite.
    """

    logits: Float[Tensor, "batch classes"]
    losses: Float[Tensor, " batch"]
    gradient: Float[Tensor, "batch channel height width"]


@dataclass(frozen=True)
class Oracle:
    """Answers questions about the rows of one problem.

    Args:
        model: the frozen model.
        problem: the rows that the points belong to.
        ledger: where passes are counted and successes kept.
        judge: has the last word on what seems to fool this model, where it is not the one that counts.
    """

    model: nn.Module
    problem: Problem
    ledger: Ledger
    judge: Judge | None = None

    def logits(self, points: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch classes"]:
        """Return the model's output: one forward pass."""
        with torch.no_grad():
            logits: Tensor = self.model(points)
        self.ledger.saw(self.problem, points, logits, self.judge)
        return logits

    def losses(
        self, points: Float[Tensor, "batch channel height width"], loss: Loss
    ) -> Float[Tensor, " batch"]:
        """Return the loss of each image: one forward pass.

        Args:
            points: the images to ask about.
            loss: taken towards the problem's targets where it has targets, else away from its labels.
        """
        return self._losses(loss, self.logits(points))

    def ascent(self, points: Float[Tensor, "batch channel height width"], loss: Loss) -> Evaluation:
        """Return loss and gradient: one forward and one backward pass.

        Args:
            points: the images to ask about.
            loss: taken towards the problem's targets where it has targets, else away from its labels.
        """
        with torch.enable_grad():
            variables = points.detach().requires_grad_()
            logits = self.model(variables)
            losses = self._losses(loss, logits)
            gradient = _input_gradient(losses, variables)
        self.ledger.saw(self.problem, points, logits.detach(), self.judge)
        checked = self.ledger.differentiated(self.problem, gradient)
        return Evaluation(logits.detach(), losses.detach(), checked)

    def ascents(
        self,
        points: Float[Tensor, "batch channel height width"],
        columns: Callable[[Tensor], Tensor],
    ) -> list[Evaluation]:
        """Return several losses and their gradients: one forward pass, and one backward pass for each.

        Args:
            points: the images to ask about.
            columns: from logits to the losses, one column for each.
        """
        with torch.enable_grad():
            variables = points.detach().requires_grad_()
            logits = self.model(variables)
            losses = columns(logits).unbind(1)
            gradients = [_input_gradient(each, variables, each is not losses[-1]) for each in losses]
        self.ledger.saw(self.problem, points, logits.detach(), self.judge)
        return [
            Evaluation(logits.detach(), each.detach(), self.ledger.differentiated(self.problem, gradient))
            for each, gradient in zip(losses, gradients, strict=True)
        ]

    def select(self, rows: Tensor) -> "Oracle":
        """Return the oracle for the rows that a mask or an index tensor names."""
        return replace(self, problem=self.problem.select(rows))

    def _losses(self, loss: Loss, logits: Tensor) -> Tensor:
        labels, targets = self.problem.labels, self.problem.targets
        return loss.untargeted(logits, labels) if targets is None else loss.targeted(logits, labels, targets)


def _input_gradient(losses: Tensor, variables: Tensor, again: bool = False) -> Tensor:
    if not losses.requires_grad:  # a model that detaches its input says nothing about it
        return torch.zeros_like(variables)
    (gradient,) = torch.autograd.grad(losses.sum(), variables, allow_unused=True, retain_graph=again)
    return torch.zeros_like(variables) if gradient is None else gradient
