"""The models of trials before training: initial weights, and what they take from the training images."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foolscope.core.randomness import torch_generator
from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.learning.measuring.evaluation import channel_statistics, to_pixels
from foolscope.learning.settings import TrainableTrial
from foolscope.models import MODELS, build_model

__all__ = ["Initialize", "initial_models"]

Initialize = Callable[[nn.Module], None]
"""Gives a model other initial weights than its seed does, in place."""

_FITTED_IMAGES = 5000


def initial_models(trials: Sequence[TrainableTrial], dataset: Dataset) -> list[nn.Module]:
    """Return each trial's model before training, on the CPU and in float32.

    The statistics of the training images normalize the inputs. A model that takes something from training
    images gets up to 5,000 of them, drawn by the trial's seed.

    Raises:
        RecipeError: a model does not fit the images.
    """
    mean, deviation = channel_statistics(dataset.train)
    return [
        build_model(
            trial.model,
            dataset.image_shape,
            len(dataset.classes),
            seed=trial.seed,
            mean=mean,
            deviation=deviation,
            images=_sample(dataset.train, trial.seed) if MODELS[trial.model.name].fit is not None else None,
        )
        for trial in trials
    ]


def _sample(train: LabeledImages, seed: int) -> Float[Tensor, "image channel height width"]:
    order = torch.randperm(len(train), generator=torch_generator(seed, "initialization", "images"))
    chosen = order[:_FITTED_IMAGES].to(train.images.device)
    return to_pixels(train.images.index_select(0, chosen), torch.float32).cpu()
