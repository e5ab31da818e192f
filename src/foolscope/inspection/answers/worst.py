"""The misclassified images with the least probability of their label."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foolscope.data.dataset import LabeledImages
from foolscope.learning.measuring.evaluation import to_pixels
from foolscope.threats.prediction import automatic_batch_size

__all__ = ["WorstImages", "worst_classified"]

_SAMPLE = 4  # images that tell the size of their activations


@dataclass(frozen=True)
class WorstImages:
    """Misclassified images, the least probability of the label first.

    Args:
        indices: positions in the split.
        predictions: predicted class.
        predicted_probabilities: probability of that class.
        label_probabilities: probability of the label.
    """

    indices: Int64[Tensor, " image"]
    predictions: Int64[Tensor, " image"]
    predicted_probabilities: Float[Tensor, " image"]
    label_probabilities: Float[Tensor, " image"]


@torch.no_grad()
def worst_classified(model: nn.Module, split: LabeledImages, count: int) -> WorstImages:
    """Find the misclassified images whose label gets the least probability.

    The model is in evaluation mode, from images in [0, 1] to logits.
    """
    dtype = next((value.dtype for value in model.parameters()), torch.float32)
    size = automatic_batch_size(to_pixels(split.images[:_SAMPLE], dtype), model)
    probabilities = torch.cat(
        [model(to_pixels(images, dtype)).softmax(dim=-1) for images in torch.split(split.images, size)]
    )
    confidence, predictions = probabilities.max(dim=-1)
    of_label = probabilities.gather(1, split.labels[:, None])[:, 0]
    order = of_label.argsort(stable=True)
    order = order[predictions[order] != split.labels[order]][:count]
    return WorstImages(order, predictions[order], confidence[order], of_label[order])
