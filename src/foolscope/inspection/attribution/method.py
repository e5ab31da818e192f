"""What an attribution method is, and what the methods share: logits of a class and their gradients."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from foolscope.core.modes import frozen
from foolscope.core.randomness import numpy_generator
from foolscope.core.settings import Settings

__all__ = [
    "Attribution",
    "Draws",
    "Maps",
    "attribute",
    "logit_gradients",
    "mean_logit_gradients",
    "target_logits",
]

_Images = Float[Tensor, "batch channel height width"]
_Labels = Int64[Tensor, " batch"]


@dataclass(frozen=True)
class Maps:
    """What a method attributes to the pixels of each image.

    Args:
        values: with the channels of the image, or with one where the method does not tell channels apart.
        errors: relative error of completeness, image by image; None for methods that promise none.
        steps: of the integral, image by image; None where there is no integral.
    """

    values: _Images
    errors: Float64[Tensor, " batch"] | None = None
    steps: Int64[Tensor, " batch"] | None = None


@dataclass(frozen=True)
class Draws:
    """Random numbers of each image, derived by name, so that no image's map depends on its neighbors.

    Args:
        seed: the root seed.
        numbers: of the images, one for each.
    """

    seed: int
    numbers: Int64[np.ndarray, " batch"]

    def gaussian(self, images: _Images, draw: int) -> _Images:
        """Return noise with mean 0 and variance 1, shaped like the images; each ``draw`` has its own."""
        shape = images.shape[1:]
        noise = [
            numpy_generator(self.seed, "attribution", int(number), draw).standard_normal(shape, np.float32)
            for number in self.numbers
        ]
        return torch.from_numpy(np.stack(noise)).to(images)


class Attribution(Settings, ABC):
    """A method: frozen settings with a name, and maps of a batch of images.

    Args:
        name: in the table.
        title: in a sentence.
        is_overlay: whether its maps are coarse, so that they are best drawn over the image.
    """

    name: str

    title: ClassVar[str]
    is_overlay: ClassVar[bool]

    @abstractmethod
    def reading(self) -> str:
        """Say in a sentence what a map shows, with the settings that matter."""

    @abstractmethod
    def maps(
        self, model: nn.Module, images: _Images, targets: _Labels, *, draws: Draws, batch_size: int
    ) -> Maps:
        """Attribute the logit of each image's target to its pixels.

        The model is in evaluation mode without parameter gradients. ``batch_size`` is the largest number of
        images that the model gets at a time.
        """


def attribute(
    model: nn.Module,
    images: _Images,
    targets: _Labels,
    method: Attribution,
    *,
    seed: int,
    batch_size: int,
    numbers: Int64[np.ndarray, " batch"] | None = None,
) -> Maps:
    """Attribute the logit of a class to the pixels of each image.

    Args:
        model: from images in [0, 1] to logits; not changed.
        images: of the model's data type.
        targets: the class of each image whose logit is attributed.
        method: with its settings.
        seed: root of the noise, where the method has some.
        batch_size: largest number of images that the model gets at a time.
        numbers: of the images, from which their noise derives; their places in the batch by default.

    Raises:
        RecipeError: the method does not apply to the model or to images of this size.

    Example:
        >>> from foolscope.inspection.attribution.gradient import Gradient
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        >>> found = attribute(
        ...     model, torch.rand(3, 1, 2, 2), torch.ones(3).long(), Gradient(), seed=0, batch_size=8
        ... )
        >>> bool((found.values[0].flatten() == model[1].weight[1]).all())
        True
    """
    images = images.detach()
    places = np.arange(len(images)) if numbers is None else np.asarray(numbers)
    found = []
    with frozen(model):
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            draws = Draws(seed, places[part])
            found.append(method.maps(model, images[part], targets[part], draws=draws, batch_size=batch_size))
    return Maps(
        torch.cat([each.values for each in found]),
        None
        if found[0].errors is None
        else torch.cat([each.errors for each in found if each.errors is not None]),
        None
        if found[0].steps is None
        else torch.cat([each.steps for each in found if each.steps is not None]),
    )


def target_logits(model: nn.Module, inputs: _Images, targets: _Labels) -> Float[Tensor, " batch"]:
    """Return the logit of each target, without gradients."""
    with torch.no_grad():
        logits: Tensor = model(inputs.detach().clone())  # a copy, which the model may overwrite
    return logits.gather(1, targets[:, None])[:, 0]


def logit_gradients(model: nn.Module, inputs: _Images, targets: _Labels) -> _Images:
    """Return the gradient of each target's logit with respect to its input; zero if the model detaches it."""
    with torch.enable_grad():
        variables = inputs.detach().clone().requires_grad_()
        logits = model(variables * 1).gather(1, targets[:, None])
        if not logits.requires_grad:
            return torch.zeros_like(inputs)
        (found,) = torch.autograd.grad(logits.sum(), variables, materialize_grads=True)
    return found.detach()


def mean_logit_gradients(
    model: nn.Module,
    inputs: Callable[[int], _Images],
    targets: _Labels,
    *,
    count: int,
    batch_size: int,
) -> _Images:
    """Return the mean of the gradients at ``inputs(0)``, ..., ``inputs(count - 1)``, several at a time."""
    at_once = max(1, batch_size // len(targets))
    sums = []
    for start in range(0, count, at_once):
        some = torch.stack([inputs(place) for place in range(start, min(start + at_once, count))])
        repeated = targets.expand(len(some), -1).flatten()
        gradients = logit_gradients(model, some.flatten(0, 1), repeated)
        sums.append(gradients.view_as(some).sum(dim=0))
    return torch.stack(sums).sum(dim=0) / count
