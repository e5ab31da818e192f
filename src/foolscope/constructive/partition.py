"""Staircases of sigmoids as weighted means: the error bound of every construction here, and its proof.

**On the line.** The unit interval is cut into n cells of width h = 1/n with centers m_0, …, m_(n−1) and
borders b_j = j h between them. Steps of steepness w lie on the borders, s_j(x) = σ(w (x − b_j)), with s_0 = 1
and s_n = 0. The weights φ_j = s_j − s_(j+1) are positive and add up to 1, at every x and for every w: what
a bump loses at its end is what the next one gains. A staircase is the mean of the function under them,

    g(x) = f(m_0) + Σ_(j≥1) (f(m_j) − f(m_(j−1))) s_j(x) = Σ_j φ_j(x) f(m_j),

and so overlaps cost nothing but distance: with |f′| ≤ t

    |g(x) − f(x)| ≤ Σ_j φ_j(x) |f(m_j) − f(x)| ≤ t · D(x),  D(x) = Σ_j φ_j(x) |m_j − x|.

**The mean distance D** depends on the sharpness q = w h alone. Let the border nearest to x be at the distance
δ ≤ h/2. The nearest center is then at h/2 − δ. Each border carries the part σ(−w d) of the weight over to its
far side, d its distance from x: over the nearest one, to a center that is 2δ farther; over each other one, to
a center that is h farther; and the others are at i h ± δ, i = 1, 2, … With σ(−z) ≤ exp(−z)

    D ≤ h/2 − δ + 2δ σ(−wδ) + h Σ_(i≥1) (exp(−w (i h − δ)) + exp(−w (i h + δ)))
      = h/2 − δ tanh(wδ/2) + 2 h cosh(wδ) / (exp(q) − 1).

At δ = 0 that is h (½ + 2 / (exp(q) − 1)), and nowhere more if q ≥ 2 ln 2: the difference is to be at most
zero, 2 (cosh(y) − 1) / (exp(q) − 1) ≤ (y/q) tanh(y/2) for y = wδ ≤ q/2; by the half-angle formulas that is
2 sinh(y) / y ≤ (exp(q) − 1) / q; the left side rises with y, and at y = q/2 the claim is 2 ≤ exp(q/2). Hence

    |g(x) − f(x)| ≤ t h (½ + 2 / (exp(q) − 1))  for all x in [0, 1] and q ≥ 2 ln 2.

Half a cell is what an ideal staircase costs; the rest is the price of finite steepness. Near 0 and 1 borders
are missing, which only takes terms away.

**In the plane.** Let r_j be the same steps in the second coordinate. A corner unit is max(0, s_i + r_j − 1).
A tower is the second difference of corner units,

    ω_ij = c_ij − c_(i+1)j − c_i(j+1) + c_(i+1)(j+1),  c_ij = max(0, s_i(x) + r_j(y) − 1).

It is not negative, for max(0, · − 1) is convex and s and r descend with their index; and since c_i0 = s_i and
c_in = 0, the sum over j is s_i − s_(i+1), the weight φ_i of the line, exactly; likewise over i. (In the
language of statistics max(0, u + v − 1) is a copula, the lower bound of Fréchet and Hoeffding; Nelsen 2006,
*An Introduction to Copulas*, section 2.2.) So g = Σ ω_ij f(m_i, m_j) is again a weighted mean, whose margins
are those of the line, and where each partial derivative is at most t

    |g − f| ≤ Σ_ij ω_ij t (|m_i − x| + |m_j − y|) = t (D(x) + D(y)) ≤ t h (1 + 4 / (exp(q) − 1)).
"""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

__all__ = ["LEAST_SHARPNESS", "borders", "cells_for", "centers", "guarantee"]

LEAST_SHARPNESS = 2.0 * math.log(2.0)
"""Steepness times cell width from which on the bound of this module holds."""


def guarantee(gradient_bound: float, cells: int, dimension: int, sharpness: float) -> float:
    """Return the bound of the sup-norm error, d t h (½ + 2 / (exp(q) − 1)), in exact arithmetic.

    Example:
        >>> guarantee(3.0, 10, 1, math.log(5.0))
        0.3
    """
    return dimension * gradient_bound / cells * _mean_distance(sharpness)


def cells_for(gradient_bound: float, epsilon: float, dimension: int, sharpness: float) -> float:
    """Return how many cells a side needs for the guarantee to be at most epsilon: a whole number, or inf."""
    exact = dimension * gradient_bound / epsilon * _mean_distance(sharpness)
    return float(max(2, math.ceil(exact))) if math.isfinite(exact) else math.inf


def _mean_distance(sharpness: float) -> float:
    """Return the largest mean distance of centers, in cell widths."""
    return 0.5 + 2.0 / math.expm1(sharpness)


def centers(cells: int) -> Float64[Tensor, " cells"]:
    """Return the centers of the cells."""
    return (torch.arange(cells, dtype=torch.float64) + 0.5) / cells


def borders(cells: int) -> Float64[Tensor, " borders"]:
    """Return the borders between the cells, one fewer than cells."""
    return torch.arange(1, cells, dtype=torch.float64) / cells
