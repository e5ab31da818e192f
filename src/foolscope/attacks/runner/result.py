"""The result of a run: evidence for each image, and accuracies, counts of passes and doubts for all."""

from dataclasses import dataclass

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from foolscope.threats.threat import Threat

__all__ = ["AttackResult"]


@dataclass(frozen=True)
class AttackResult:
    """The outcome of one attack on one model; every tensor has one row per image, in the order given.

    Args:
        threat: what the attacker may do.
        attack: the attack's name.
        labels: the images' classes.
        adversarial_inputs: the image that fools, where one was found; the clean image, where it is
            misclassified already; else the last candidate of the first work item. What fools was checked to
            lie within the ball and the bounds.
        success: whether the stored image fooled the model when it was evaluated again.
        perturbation_sizes: the norm of what was added, in pixel units.
        steps: the number of steps that led to the stored image.
        items: the work item (restart × targets + target) that the stored image came from; -1 where it
            is the clean image.
        clean_logits: the model's output on the clean images.
        adversarial_logits: the model's output on the stored images.
        forwards: forward passes spent on each image, the clean one and the last check included.
        backwards: backward passes spent on each image.
        losses_by_step: cross-entropy of the label in nats before each step and after the last, in the first
            work item; no columns unless traced.
        smallest_margins: the smallest lead of the label's logit over the largest other one, at any image that
            the attack evaluated; infinity where it evaluated none.
        finished: which images are fooled or were attacked to the end; all of them without a deadline.
        doubts: reasons to doubt the numbers, each with what to do about it; empty if there are none.
    """

    threat: Threat
    attack: str
    labels: Int64[Tensor, " batch"]
    adversarial_inputs: Float[Tensor, "batch channel height width"]
    success: Bool[Tensor, " batch"]
    perturbation_sizes: Float[Tensor, " batch"]
    steps: Int64[Tensor, " batch"]
    items: Int64[Tensor, " batch"]
    clean_logits: Float[Tensor, "batch classes"]
    adversarial_logits: Float[Tensor, "batch classes"]
    forwards: Int64[Tensor, " batch"]
    backwards: Int64[Tensor, " batch"]
    losses_by_step: Float[Tensor, "batch steps"]
    smallest_margins: Float[Tensor, " batch"]
    finished: Bool[Tensor, " batch"]
    doubts: tuple[str, ...]

    @property
    def clean_predictions(self) -> Int64[Tensor, " batch"]:
        """The predicted classes of the clean images."""
        return _predictions(self.clean_logits)

    @property
    def adversarial_predictions(self) -> Int64[Tensor, " batch"]:
        """The predicted classes of the stored images."""
        return _predictions(self.adversarial_logits)

    @property
    def adversarial_probabilities(self) -> Float[Tensor, "batch classes"]:
        """The predicted distributions of the stored images."""
        return self.adversarial_logits.softmax(1)

    @property
    def clean_correct(self) -> Bool[Tensor, " batch"]:
        """Which clean images are classified correctly."""
        return self.clean_predictions == self.labels

    @property
    def robust(self) -> Bool[Tensor, " batch"]:
        """Which images are classified correctly both clean and as stored."""
        return self.clean_correct & (self.adversarial_predictions == self.labels)

    @property
    def clean_accuracy(self) -> float:
        """The fraction of clean images classified correctly; NaN without images."""
        return _fraction(self.clean_correct)

    @property
    def robust_accuracy(self) -> float:
        """The fraction of images still correct: an upper bound on robust accuracy; NaN without images."""
        return _fraction(self.robust)

    @property
    def success_rate(self) -> float:
        """The fraction of images that fool by the run's criterion of success; NaN without images."""
        return _fraction(self.success)

    @property
    def forward_count(self) -> int:
        """The forward passes over all images, counted in images."""
        return int(self.forwards.sum())

    @property
    def backward_count(self) -> int:
        """The backward passes over all images, counted in images."""
        return int(self.backwards.sum())


def _predictions(logits: Tensor) -> Tensor:
    return logits.argmax(1) if len(logits) else logits.new_zeros(0).long()


def _fraction(mask: Tensor) -> float:
    return mask.double().mean().item()
