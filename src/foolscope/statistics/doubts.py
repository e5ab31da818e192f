"""Reasons to doubt a standard error: no spread, one seed, or a cell that scatters unlike the others."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import scipy

from foolscope.statistics.blocks import AdditiveFit, contrast, paired
from foolscope.statistics.estimate import Estimate, p_different

__all__ = ["Doubt", "contrast_doubts", "estimate_doubts", "spread_ratio", "uneven_cell"]

_ROUNDING = 1e-12  # a variance smaller than this, relative to the one it is left over from, is rounding
_SUSPICIOUS_SPREAD = 0.05


@dataclass(frozen=True)
class Doubt:
    """One reason to read a result with care.

    Args:
        kind: what is wrong; "paired test disagrees" comes with "uneven spread" only.
        cell: for "uneven spread", the cell that scatters unlike the others.
        ratio: for "uneven spread", its standard deviation relative to that of the others.
        p_pooled: for "paired test disagrees", the p value with the spread pooled over all cells.
        p_paired: for "paired test disagrees", the p value of the paired t test.
    """

    kind: Literal["one seed", "no spread", "uneven spread", "paired test disagrees", "baseline diverged"]
    cell: str = ""
    ratio: float = 1.0
    p_pooled: float = 1.0
    p_paired: float = 1.0


def estimate_doubts(estimate: Estimate) -> tuple[Doubt, ...]:
    """Say why a standard error might mislead: it rests on one seed, or it is zero."""
    if estimate.seeds == 1:
        return (Doubt("one seed"),)
    return (Doubt("no spread"),) if estimate.standard_error == 0 else ()


def contrast_doubts(fit: AdditiveFit, weights: Mapping[str, float], alpha: float = 0.05) -> tuple[Doubt, ...]:
    """Say why a pooled contrast might mislead: one seed, no spread, or unevenly scattered cells.

    Where the cells scatter unevenly, a paired t test that disagrees with the pooled one at level ``alpha`` is
    reported too.
    """
    pooled = contrast(fit, weights)
    doubts = estimate_doubts(pooled)
    cell, ratio, p = uneven_cell(fit)
    if doubts or p >= _SUSPICIOUS_SPREAD:
        return doubts
    uneven = Doubt("uneven spread", cell=cell, ratio=ratio)
    p_pooled, p_paired = p_different(pooled), p_different(paired(fit, weights))
    if (p_pooled < alpha) == (p_paired < alpha):
        return (uneven,)
    return uneven, Doubt("paired test disagrees", p_pooled=p_pooled, p_paired=p_paired)


def spread_ratio(fit: AdditiveFit, weights: Mapping[str, float]) -> tuple[float, float]:
    """Compare a contrast's own scatter over the seeds with that of everything else in the fit.

    The residual sum of squares splits into the contrast's, ``Q = (S - 1) · paired variance · S / Σw²`` with S
    - 1 degrees of freedom, and the rest, independent of it, with (C - 2)(S - 1). If all cells vary alike, the
    ratio of the two mean squares has an F distribution, exactly.

    Returns:
        The ratio of the two standard deviations, and the two-sided p value of "all vary alike"; (1, 1) where
        there are no other cells or seeds to compare with.
    """
    own_freedom = fit.seeds - 1
    rest_freedom = fit.degrees_of_freedom - own_freedom
    if rest_freedom <= 0 or own_freedom == 0:
        return 1.0, 1.0
    own = paired(fit, weights).standard_error ** 2 * fit.seeds / sum(weight**2 for weight in weights.values())
    rest = (fit.residual_deviation**2 * fit.degrees_of_freedom - own * own_freedom) / rest_freedom
    # Subtraction leaves rounding where the rest has no scatter at all.
    if rest <= _ROUNDING * own:
        return (math.inf, 0.0) if own > 0 else (1.0, 1.0)
    below = float(scipy.special.fdtr(own_freedom, rest_freedom, own / rest))
    return math.sqrt(own / rest), 2 * min(below, 1 - below)


def uneven_cell(fit: AdditiveFit) -> tuple[str, float, float]:
    """Find the cell whose scatter over the seeds is least like that of the others.

    Each cell's contrast with the mean of the others goes through :func:`spread_ratio`; the rest of the
    residual then does not involve that cell.

    Returns:
        The cell, the ratio of its contrast's deviation to the others', and the p value of "all vary alike",
        multiplied with the number of cells tried (Bonferroni); 1 with fewer than three cells.

    References:
        Russell and Bradley (1958), "One-way variances in a two-way classification", Biometrika 45, 111-129.
    """
    share = -1 / max(1, len(fit.cells) - 1)
    compared = [
        (cell, *spread_ratio(fit, {other: 1.0 if other == cell else share for other in fit.cells}))
        for cell in fit.cells
    ]
    cell, ratio, p = min(compared, key=lambda entry: entry[2])
    return cell, ratio, min(1.0, p * len(fit.cells))
