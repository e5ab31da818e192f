"""The constructions as networks: a staircase on the line, corner units in the plane, published towers."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from foolscope.constructive.functions import Function, values_at
from foolscope.constructive.partition import borders, centers
from foolscope.constructive.pieces import steps, with_weights

__all__ = ["CornerNetwork", "TowerNetwork", "cell_values", "staircase", "sum_of_towers"]


def cell_values(function: Function, cells: int, dimension: int) -> Float64[Tensor, "*cells"]:
    """Return the function at the center of each cell, (cells,) or (cells, cells)."""
    grid = torch.cartesian_prod(*[centers(cells)] * dimension).reshape(-1, dimension)
    return values_at(function, grid).reshape([cells] * dimension)


def staircase(values: Float64[Tensor, " cells"], steepness: float, dtype: torch.dtype) -> nn.Sequential:
    """Return one hidden layer of sigmoids: a step on each border, as high as the values there differ.

    Args:
        values: in each cell.
        steepness: of every step.
        dtype: of the weights.

    Returns:
        A module from (batch, 1) to (batch, 1) with one hidden unit fewer than cells.
    """
    output = with_weights(values.diff()[None], values[:1], dtype)
    return nn.Sequential(steps(borders(len(values)), steepness, dtype), nn.Sigmoid(), output)


class CornerNetwork(nn.Module):
    """Two hidden layers: steps s_i, r_j in each coordinate, and corner units max(0, s_i + r_j − 1).

    The output is base + Σ a_i s_i + Σ b_j r_j + Σ d_ij max(0, s_i + r_j − 1), where a and b are the first
    differences of the values along two sides of the square and d their second differences: the mean of the
    values under towers that add up to one (:mod:`foolscope.constructive.partition`). Steps are shared by all
    towers, so a tower costs one unit of its own: n² − 1 units in all for n × n cells.

    Args:
        values: in each cell; the first index belongs to the first coordinate.
        steepness: of every step.
        dtype: of the weights.
    """

    def __init__(self, values: Float64[Tensor, "cells cells"], steepness: float, dtype: torch.dtype) -> None:
        super().__init__()
        places = borders(len(values))
        self.across, self.up = steps(places, steepness, dtype), steps(places, steepness, dtype)
        self.base = nn.Parameter(values[0, 0].to(dtype))
        self.across_heights = nn.Parameter(values[:, 0].diff().to(dtype))
        self.up_heights = nn.Parameter(values[0].diff().to(dtype))
        self.corner_heights = nn.Parameter(values.diff(dim=0).diff(dim=1).to(dtype))

    def forward(self, inputs: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 1"]:
        """Return the value at each point."""
        across = torch.sigmoid(self.across(inputs[:, :1]))  # (batch, cells - 1)
        up = torch.sigmoid(self.up(inputs[:, 1:]))
        corners = torch.relu(across[:, :, None] + up[:, None, :] - 1.0)
        # row by row: a rounding error grows with the length of a sum
        inside = (corners * self.corner_heights).sum(dim=2).sum(dim=1)
        return (self.base + across @ self.across_heights + up @ self.up_heights + inside)[:, None]


class TowerNetwork(nn.Module):
    """The published construction: towers of four hidden units and one output unit side by side, added up.

    Args:
        values: the height of each tower; the first index belongs to the first coordinate.
        steepness: of the four hidden units of each tower.
        output_steepness: of the output unit of each tower.
    """

    def __init__(
        self, values: Float64[Tensor, "cells cells"], steepness: float, output_steepness: float
    ) -> None:
        super().__init__()
        # the outermost towers go on beyond the square: at a border they are at half of their height
        places = torch.cat(
            [torch.tensor([-1.0]).double(), borders(len(values)), torch.tensor([2.0]).double()]
        )
        self.across = steps(places, steepness, values.dtype)
        self.up = steps(places, steepness, values.dtype)
        self.heights = nn.Parameter(values.clone())
        self.output_steepness = output_steepness

    def forward(self, inputs: Float[Tensor, "batch 2"]) -> Float[Tensor, "batch 1"]:
        """Return the value at each point."""
        across = -torch.sigmoid(self.across(inputs[:, :1])).diff(dim=1)  # bumps: (batch, cells)
        up = -torch.sigmoid(self.up(inputs[:, 1:])).diff(dim=1)
        towers = torch.sigmoid(self.output_steepness * (across[:, :, None] + up[:, None, :] - 1.5))
        return (towers * self.heights).sum(dim=2).sum(dim=1)[:, None]


def sum_of_towers(
    function: Function, cells: int, sharpness: float = 100.0, output_steepness: float = 40.0
) -> TowerNetwork:
    """Add up published towers, one in each cell, as high as the function at its center.

    That is the construction in the words of the write-up, and it does **not** approximate in the sup norm:
    where four cells meet, two of the hidden units of each tower are at ½, the sum of its four is 3, below the
    threshold of 3.5, and all four towers vanish. The error there is |f| whatever the number of cells and the
    steepness; these only shrink the holes. No other output unit helps: the sum is 3 also all along the strips
    beside a tower, where the tower must vanish. :func:`approximate` therefore takes second differences of
    corner units for towers.

    Args:
        function: from two coordinates, each (points,), to values, (points,).
        cells: along each side.
        sharpness: steepness of the hidden units times cell width; 100 is the published bump's.
        output_steepness: of the output units.
    """
    return TowerNetwork(cell_values(function, cells, 2), sharpness * cells, output_steepness)
