"""A decision threshold chosen on validation images, stored as part of the output layer's bias."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.func import functional_call

from foolscope.core.errors import RecipeError
from foolscope.core.modes import frozen
from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.learning.measuring.evaluation import to_pixels
from foolscope.learning.optimizers import PackTensors
from foolscope.learning.settings import TrainingSettings
from foolscope.statistics.classification import COUNTED
from foolscope.statistics.thresholds import best_offset

__all__ = ["check_selection", "output_bias", "validation_offset", "with_offsets"]


def check_selection(settings: TrainingSettings, dataset: Dataset) -> None:
    """Refuse a choice of checkpoint or threshold that the validation images cannot make.

    Raises:
        RecipeError: with what to choose instead.
    """
    validation = dataset.validation
    if settings.select_by != TrainingSettings.model_fields["select_by"].default and validation is None:
        raise RecipeError(
            f"select_by = {settings.select_by!r} needs validation images; {dataset.name} has none here. Use "
            "validation = 'stratified', or omit select_by"
        )
    if settings.select_by == "auc" and validation is not None and _is_of_one_class(validation):
        raise RecipeError(
            "select_by = 'auc' needs validation images of two classes or more; got one. Use "
            "validation = 'stratified', or select by accuracy"
        )
    if settings.threshold == "half":
        return
    if len(dataset.classes) != 2:
        raise RecipeError(
            f"threshold = 'validation' is for two classes; {dataset.name} has {len(dataset.classes)}. Use "
            "threshold = 'half'"
        )
    if validation is None or _is_of_one_class(validation):
        raise RecipeError(
            "threshold = 'validation' needs validation images of both classes. Use "
            "validation = 'stratified', or threshold = 'half'"
        )
    if settings.select_by not in COUNTED:
        raise RecipeError(
            f"threshold = 'validation' maximizes the score of select_by, which must be one of "
            f"{', '.join(COUNTED)}; got {settings.select_by}"
        )


def _is_of_one_class(split: LabeledImages) -> bool:
    return bool((split.labels == split.labels[0]).all())


def output_bias(model: nn.Module, dataset: Dataset) -> str:
    """Return the name of the parameter that is added to the logits.

    Raises:
        RecipeError: the model has none.
    """
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    dtype = next(iter(parameters.values())).dtype
    images = to_pixels(dataset.train.images[:2], dtype)
    with frozen(model), torch.no_grad():
        logits = model(images)
        for name, value in reversed(parameters.items()):
            if value.shape != logits.shape[1:]:
                continue
            change = torch.arange(1.0, 1.0 + len(value), dtype=dtype, device=value.device)
            moved = functional_call(model, {name: value + change}, (images,))
            if torch.allclose(moved - logits, change.expand_as(logits), rtol=1e-3, atol=1e-3):
                return name
    raise RecipeError(
        "threshold = 'validation' is stored in the bias of the output layer, and this model has none. Use "
        "threshold = 'half', or a model whose last layer has a bias"
    )


def validation_offset(logits: Float[Tensor, "image 2"], labels: Int64[Tensor, " image"], score: str) -> float:
    """Return what to add to the second logit for the highest score, one of ``COUNTED``."""
    margins = (logits[:, 1] - logits[:, 0]).double().cpu().numpy()
    return best_offset(margins, labels.cpu().numpy(), COUNTED[score])


def with_offsets(kept: PackTensors, bias: str, offsets: Mapping[int, float]) -> PackTensors:
    """Return checkpoints with a number added to the second entry of the output bias of some trials.

    Args:
        kept: parameters and statistics of every trial.
        bias: name of the output layer's bias.
        offsets: trial to what is added.
    """
    shifted = kept[bias].clone()
    for trial, offset in offsets.items():
        shifted[trial, 1] += offset
    return {**kept, bias: shifted}
