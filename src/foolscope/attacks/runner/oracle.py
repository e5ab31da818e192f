"""An attack's only access to the model: every pass is counted and every image is checked for success."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from foolscope.attacks.losses import Loss
from foolscope.attacks.runner.best_so_far import BestSoFar, Verify
from foolscope.attacks.runner.networks import Network
from foolscope.attacks.runner.problem import Problem
from foolscope.threats.prediction import Images, Logits, PerImage

__all__ = ["LossAndGradient", "Oracle", "input_gradient"]


@dataclass(frozen=True)
class LossAndGradient:
    """The result of one forward and one backward pass for a batch of images.

    Args:
        logits: the model's output.
        losses: the loss of each image.
        gradient: the loss's gradient with respect to the pixels; 0 where the model's was not finite.
    """

    logits: Logits
    losses: PerImage
    gradient: Images


@dataclass(frozen=True)
class Oracle:
    """Evaluates a model at points that belong to the rows of one problem.

    A loss is taken towards the problem's targets where it has targets, else away from its labels.

    Args:
        network: evaluates points on the frozen model of their row.
        problem: the rows that the points belong to.
        best_so_far: counts the passes and keeps the images that fool.
        verify: checks an image that seems to fool ``network`` on the model under attack, where that is
            another.
    """

    network: Network
    problem: Problem
    best_so_far: BestSoFar
    verify: Verify | None = None

    def logits(self, points: Images) -> Logits:
        """Return the model's output: one forward pass."""
        with torch.no_grad():
            logits = self.network(points, self.problem.positions)
        self.best_so_far.record(self.problem, points, logits, self.verify)
        return logits

    def losses(self, points: Images, loss: Loss) -> PerImage:
        """Return the loss of each image: one forward pass."""
        return self._losses(loss, self.logits(points))

    def loss_and_gradient(self, points: Images, loss: Loss) -> LossAndGradient:
        """Return loss and gradient: one forward and one backward pass."""
        (result,) = self.losses_and_gradients(points, lambda logits: self._losses(loss, logits)[:, None])
        return result

    def losses_and_gradients(
        self, points: Images, columns: Callable[[Tensor], Tensor]
    ) -> list[LossAndGradient]:
        """Return several losses, columns made of logits, and their gradients: one backward pass for each."""
        with torch.enable_grad():
            variables = points.detach().requires_grad_()
            logits = self.network(variables, self.problem.positions)
            losses = columns(logits).unbind(1)
            gradients = [input_gradient(each, variables, again=each is not losses[-1]) for each in losses]
        self.best_so_far.record(self.problem, points, logits.detach(), self.verify)
        return [
            LossAndGradient(
                logits.detach(), each.detach(), self.best_so_far.count_backward(self.problem, gradient)
            )
            for each, gradient in zip(losses, gradients, strict=True)
        ]

    def fools(self, logits: Logits) -> Bool[Tensor, " batch"]:
        """Return which rows count as fooled by this output; costs nothing."""
        return self.best_so_far.fools(self.problem, logits)

    def select(self, rows: Tensor) -> "Oracle":
        """Return the oracle for the rows given by a mask or an index tensor."""
        return replace(self, problem=self.problem.select(rows))

    def _losses(self, loss: Loss, logits: Tensor) -> Tensor:
        labels, targets = self.problem.labels, self.problem.targets
        return loss.untargeted(logits, labels) if targets is None else loss.targeted(logits, labels, targets)


def input_gradient(losses: PerImage, variables: Images, *, again: bool = False) -> Images:
    """Return the gradient of each image's loss with respect to its pixels; 0 where they do not matter."""
    if not losses.requires_grad:  # the model detaches its input
        return torch.zeros_like(variables)
    (gradient,) = torch.autograd.grad(losses.sum(), variables, allow_unused=True, retain_graph=again)
    return torch.zeros_like(variables) if gradient is None else gradient
