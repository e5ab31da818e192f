"""Robust accuracy on the validation set during adversarial training, and doubts about the defense."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from foolscope.core.randomness import torch_generator
from foolscope.data.dataset import LabeledImages
from foolscope.learning.adversarial import DefenseSettings, ascend
from foolscope.learning.losses import PackLoss
from foolscope.learning.measuring.batch_sizes import gradient_batch_size
from foolscope.learning.measuring.evaluation import to_pixels
from foolscope.learning.optimizers import PackTensors
from foolscope.learning.outcome import EpochRecord
from foolscope.learning.packs.packing import Context, Program

__all__ = ["doubts_about_defense", "robust_accuracy"]

_STEPS = 10
_IMAGES = 256
_WITHSTOOD_IN_TRAINING = 0.5
_COLLAPSE = 0.25


def robust_accuracy(
    program: Program,
    tensors: PackTensors,
    split: LabeledImages,
    loss: PackLoss,
    dtype: torch.dtype,
    epsilon: Float[Tensor, " trial"],
) -> Float64[Tensor, " trial"]:
    """Return the fraction of images that are correct both clean and after ten steps of PGD.

    Ten steps of ε/4 from one random start on at most 256 images, evenly spread over the split: an upper bound
    that suffices to compare epochs and to detect a collapse, at the cost of 10 training steps on 256 images.
    Images and starts are the same in every epoch and for every trial. ``epsilon`` is in pixel units.
    """
    first = next(iter(tensors.values()))
    trials, count = len(epsilon), min(_IMAGES, len(split))
    chosen = torch.linspace(0, len(split) - 1, count).round().long().to(split.images.device)
    images, labels = to_pixels(split.images[chosen], first.dtype), split.labels[chosen]
    generator = torch_generator(0, "robust validation", device=images.device)
    noise = 2.0 * torch.rand(images.shape, generator=generator, dtype=first.dtype, device=images.device) - 1.0
    context = Context(training=False, dtype=dtype)
    size = gradient_batch_size(program, tensors, images, context)
    robust = torch.zeros(trials, dtype=torch.float64, device=images.device)
    for begin in range(0, count, size):
        part = slice(begin, begin + size)
        own_labels = labels[part].expand(trials, -1)
        own_images = images[part].expand(trials, *images[part].shape)

        def objective(inputs: Tensor, labels: Tensor = own_labels) -> Tensor:
            return loss(program(tensors, inputs, context), labels, None)

        inputs = ascend(
            objective,
            own_images,
            own_images + epsilon.view(-1, 1, 1, 1, 1) * noise[part],
            epsilon=epsilon,
            step_size=epsilon / 4,
            steps=_STEPS,
        )
        with torch.no_grad():
            withstood = [
                program(tensors, each, context).argmax(dim=-1) == own_labels for each in (own_images, inputs)
            ]
        robust += (withstood[0] & withstood[1]).sum(dim=1)
    return robust / count


def doubts_about_defense(defense: DefenseSettings, history: Sequence[EpochRecord]) -> tuple[str, ...]:
    """Return a doubt where training against a single step has collapsed.

    Catastrophic overfitting (Wong et al. 2020, arXiv:2001.03994, section 5.3): the model withstands the one
    step it is trained against and nothing else. It is reported where, in some epoch, accuracy on adversarial
    training images is at least one half and robust validation accuracy is at most a quarter of it.

    Example:
        >>> from foolscope.learning.adversarial import FGSMTraining
        >>> epoch = EpochRecord(1, 0.1, 0.2, 0.0, 0.9, 0.3, 0.9, robust_validation_accuracy=0.01)
        >>> doubts_about_defense(FGSMTraining(), [epoch])[0].partition(":")[0]
        'Catastrophic overfitting in epoch 1'
    """
    if getattr(defense, "attack_steps", 1) > 1:
        return ()
    for record in history:
        robust = record.robust_validation_accuracy
        withstood = record.running_accuracy
        if robust is None or withstood < _WITHSTOOD_IN_TRAINING or robust > _COLLAPSE * withstood:
            continue
        return (
            f"Catastrophic overfitting in epoch {record.epoch}: accuracy is {withstood:.0%} on training "
            f"images under the single step that is trained against, but {robust:.0%} on validation images "
            f"under PGD-{_STEPS}. Keep the best checkpoint, lower attack_step_size or epsilon, or train "
            "with pgd.",
        )
    return ()
