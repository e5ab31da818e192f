"""One or several models as one function of the rows of a run, each row evaluated by its own model."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from foolscope.attacks.runner.packs import Packs
from foolscope.threats.prediction import Images, Integers, Logits

__all__ = ["Network", "SeveralModels", "one_model", "predicted"]


Network = Callable[[Tensor, Tensor], Tensor]
"""From points and the positions of their images in the run to logits."""


def one_model(model: nn.Module) -> Network:
    """Return the network of a run with a single model.

    Example:
        >>> one_model(nn.Flatten())(torch.zeros(2, 1, 1, 3), torch.arange(2)).shape
        torch.Size([2, 3])
    """

    def network(points: Tensor, positions: Tensor) -> Tensor:
        logits: Tensor = model(points)
        return logits

    return network


def predicted(network: Network, points: Images, positions: Integers) -> Logits:
    """Return logits without gradients."""
    with torch.no_grad():
        return network(points, positions)


class SeveralModels:
    """The network of a run with several models.

    Rows are grouped by model. A pass of all models is one packed program where that pays, else one model
    after another; both give what each model gives alone, up to rounding.

    Args:
        models: the models.
        owners: for each position of the run the number of its model.
        packs: packed programs made so far; says where they pay.
    """

    def __init__(self, models: Sequence[nn.Module], owners: Integers, packs: Packs) -> None:
        self._models, self._owners, self._packs = tuple(models), owners, packs
        self._positions: Tensor | None = None
        self._counts: list[int] = []
        self._order: Tensor | None = None

    def __call__(self, points: Tensor, positions: Tensor) -> Tensor:
        """Return each row's logits by its own model."""
        if positions is not self._positions:  # they stay the same from step to step while no row leaves
            self._arrange(positions)
        if self._order is None:
            return self._evaluate(points)
        return self._evaluate(points.index_select(0, self._order)).index_select(0, self._order.argsort())

    def _arrange(self, positions: Tensor) -> None:
        owners = self._owners[positions]
        self._counts = torch.bincount(owners, minlength=len(self._models)).tolist()
        mixed = len(owners) > 1 and bool((owners[1:] < owners[:-1]).any())
        self._order = owners.argsort(stable=True) if mixed else None
        self._positions = positions

    def _evaluate(self, points: Tensor) -> Tensor:
        live = [(model, count) for model, count in zip(self._models, self._counts, strict=True) if count]
        if len(live) < 2:
            logits: Tensor = (live[0][0] if live else self._models[0])(points)
            return logits
        models, counts = zip(*live, strict=True)
        packed = self._packs.where_it_pays(models, max(counts), points)
        if packed is not None:
            return packed(points, counts)
        parts = torch.split(points, list(counts))
        return torch.cat([model(part) for model, part in zip(models, parts, strict=True)])
