"""Augments the minibatches of a pack: each seed draws for its own, and its trials share the result."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from foolscope.augmentation import AUGMENTATIONS, AugmentationSettings, Draws, Mixing
from foolscope.core.errors import RecipeError
from foolscope.core.randomness import torch_generator
from foolscope.learning.losses import LOSSES, PackLoss

__all__ = ["EpochAugmentation", "Targets", "check_augmentation"]

_Images = Float[Tensor, "group batch channel height width"]


@dataclass(frozen=True)
class Targets:
    """What the trials of a pack are to predict for a minibatch.

    Args:
        labels: of every image.
        partners: labels of the images that were mixed in; ``None`` where nothing is mixed.
        weights: the share of ``labels``, in [0, 1]; the partners have the rest.
    """

    labels: Int64[Tensor, "trial batch"]
    partners: Int64[Tensor, "trial batch"] | None = None
    weights: Float[Tensor, "trial batch"] | None = None

    def split(self, parts: int) -> list["Targets"]:
        """Cut the minibatch into parts of about equal size."""
        labels = self.labels.tensor_split(parts, dim=1)
        if self.partners is None or self.weights is None:
            return [Targets(each) for each in labels]
        mixed = zip(
            labels,
            self.partners.tensor_split(parts, dim=1),
            self.weights.tensor_split(parts, dim=1),
            strict=True,
        )
        return [Targets(*each) for each in mixed]

    def losses(
        self,
        loss: PackLoss,
        logits: Float[Tensor, "trial batch classes"],
        smoothing: Float[Tensor, " trial"] | None,
    ) -> Float[Tensor, "trial batch"]:
        """Return the loss of each image: λ L(label) + (1 − λ) L(partner's label).

        For losses that are affine in the target, as cross-entropy is, it is the loss of the mixed target; for
        squared errors it differs by a constant. Class weights act on either label. Zhang et al. 2018,
        arXiv:1710.09412, section 2.
        """
        losses = loss(logits, self.labels, smoothing)
        if self.partners is None or self.weights is None:
            return losses
        return self.weights * losses + (1.0 - self.weights) * loss(logits, self.partners, smoothing)


class EpochAugmentation:
    """The augmentation of one epoch: the operations, and a generator for each of them and each group.

    A generator is named after the seed, the operation and the epoch, so that an operation draws the same
    numbers whatever others are in the list.

    Args:
        operations: in their order.
        seeds: of every group.
        epoch: from 0.
        device: of the images.
    """

    def __init__(
        self,
        operations: Sequence[AugmentationSettings],
        seeds: Sequence[int],
        epoch: int,
        device: torch.device,
    ) -> None:
        self._operations = tuple(operations)
        self._seeds, self._epoch = tuple(seeds), epoch
        keys = _keys(operations)
        self._generators = [
            [torch_generator(seed, "augmentation", key, epoch, device=device) for key in keys]
            for seed in seeds
        ]

    def __call__(
        self, images: _Images, indices: Int64[Tensor, "group batch"], labels: Int64[Tensor, "trial batch"]
    ) -> tuple[_Images, Targets]:
        """Augment a minibatch of every group.

        Args:
            images: in [0, 1].
            indices: positions of the images in the training set.
            labels: of every trial.

        Returns:
            The augmented images in [0, 1], and the targets that go with them.
        """
        augmented, mixings = [], []
        for group, own in enumerate(images):
            pixels, mixing = self._augmented(group, own, indices[group])
            augmented.append(pixels)
            mixings += [] if mixing is None else [mixing]
        if not mixings:
            return torch.stack(augmented), Targets(labels)
        trials = len(labels) // len(images)
        partners = torch.stack([each.partners for each in mixings]).repeat_interleave(trials, dim=0)
        weights = torch.stack([each.weights for each in mixings]).repeat_interleave(trials, dim=0)
        return torch.stack(augmented), Targets(labels, labels.gather(1, partners), weights)

    def _augmented(
        self,
        group: int,
        images: Float[Tensor, "batch channel height width"],
        indices: Int64[Tensor, " batch"],
    ) -> tuple[Tensor, Mixing | None]:
        mixing = None
        for settings, generator in zip(self._operations, self._generators[group], strict=True):
            entry = AUGMENTATIONS[settings.name]
            draws = Draws(generator, indices, self._epoch, self._seeds[group])
            if entry.apply is not None:
                images = entry.apply(settings, images, draws)
            elif entry.mix is not None:
                images, mixing = entry.mix(settings, images, draws)
        return images, mixing


def _keys(operations: Sequence[AugmentationSettings]) -> list[str]:
    """Name each operation for its generator; one that comes again has its count behind its name.

    Example:
        >>> from foolscope.augmentation import AUGMENTATIONS
        >>> flip = AUGMENTATIONS["horizontal-flip"].settings()
        >>> _keys([flip, flip])
        ['horizontal-flip', 'horizontal-flip 2']
    """
    seen: Counter[str] = Counter()
    keys = []
    for each in operations:
        seen[each.name] += 1
        keys.append(each.name if seen[each.name] == 1 else f"{each.name} {seen[each.name]}")
    return keys


def check_augmentation(
    operations: Sequence[AugmentationSettings],
    image_shape: tuple[int, int, int],
    *,
    loss: str,
    defense: str,
    batch_size: int,
) -> None:
    """Refuse an augmentation that makes no sense for the images, the loss, the defense or the minibatch.

    Raises:
        RecipeError: it says what does not fit.
    """
    for settings in operations:
        AUGMENTATIONS[settings.name].check(settings, image_shape)
    mixing = [settings.name for settings in operations if AUGMENTATIONS[settings.name].mix is not None]
    if len(mixing) > 1:
        raise RecipeError(
            f"augmentation may mix images once; got {' and '.join(mixing)}. Vary augmentation to compare them"
        )
    if mixing and batch_size < 2:
        raise RecipeError(
            f"augmentation {mixing[0]} mixes the images of a minibatch; batch_size must be at least 2, "
            f"got {batch_size}"
        )
    if mixing and not LOSSES[loss].takes_probabilities:
        able = [name for name, entry in LOSSES.items() if entry.takes_probabilities]
        raise RecipeError(
            f"augmentation {mixing[0]} mixes labels, which the loss {loss} does not take; "
            f"use {' or '.join(able)}"
        )
    if mixing and defense != "none":
        raise RecipeError(
            f"augmentation {mixing[0]} mixes labels, which adversarial training ({defense}) cannot attack; "
            "use one of the two"
        )
