"""The constructions as networks: a staircase on the line, corner units in the plane."""

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from foolscope.constructive.functions import Function, values_at
from foolscope.constructive.partition import borders, centers
from foolscope.constructive.pieces import steps, with_weights

__all__ = ["CornerNetwork", "cell_values", "staircase"]


def cell_values(function: Function, cells: int, dimension: int) -> Float64[Tensor, "*cells"]:
    """Return the function at the center of each cell, (cells,) or (cells, cells)."""
    grid = torch.cartesian_prod(*[centers(cells)] * dimension).reshape(-1, dimension)
    return values_at(function, grid).reshape([cells] * dimension)


def staircase(values: Float64[Tensor, " cells"], steepness: float, dtype: torch.dtype) -> nn.Sequential:
    """Return one hidden layer of sigmoids: a step on each border, as high as the values there differ.

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
    towers, so a tower costs one unit of its own: n² − 1 units in all for n × n cells. The first axis of the
    values belongs to the first coordinate.
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
