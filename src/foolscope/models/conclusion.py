"""What a model does with itself after training, before it is tested and stored."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

__all__ = ["Conclusion"]


@dataclass(frozen=True)
class Conclusion:
    """The model that is tested and stored in place of the trained one, and what it is compared with.

    Args:
        model: of the same structure as the trained one.
        variants: name to model; the accuracy of each on the test images becomes the trial's metric
            ``test_accuracy_NAME``.
    """

    model: nn.Module
    variants: Mapping[str, nn.Module]
