"""How far a contrast scatters, where the cells of a design may or may not scatter alike.

Pooling the residuals of all cells gives a precise standard error that is wrong where the cells scatter
unevenly; the paired t test is right whatever the cells do, and has few degrees of freedom. Here the data
choose between them, by degrees. Three readings of the residuals are weighed by how well each explains them:

- *alike*: all cells scatter alike, and the pooled variance is right;
- *odd*: one cell of the contrast scatters ρ times as much as the others, in variance, ρ between 1 and 400;
- *own*: the contrast has a variance of its own, 1/400 to 400 times that of the rest.

Given a reading (and ρ), the contrast divided by its standard error has Student's t distribution, exactly.
The mixture of these distributions, weighed by the posterior probabilities, gives the quantiles; a scaled t
distribution with the same quantiles stands for it, so that whoever uses an estimate needs to know nothing of
this. ``docs/statistics.md`` shows what it does to error rates and power.

References:
    Hoeting, Madigan, Raftery and Volinsky (1999), "Bayesian model averaging: a tutorial", Statistical Science
    14, 382-417; Box and Tiao (1973), *Bayesian Inference in Statistical Analysis*, section 2.5 and 2.11.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float, Int

from foolscope.statistics.blocks import AdditiveFit, contrast_value, weight_row
from foolscope.statistics.estimate import Estimate, standard_deviation
from foolscope.statistics.images import ImagePart, contrast_part, difference_parts, with_images

__all__ = ["cell_variances", "image_parts", "robust_contrast", "robust_contrasts"]

_UNEVEN_ODDS = 0.11
"""Prior odds of uneven against even spread, for each cell of the design: 0.55 for five cells."""
_MOST_CELLS = 15  # from which on they rise no more
_CAUTION = {3: 2.0, 4: 2.0}  # times which they are higher with so few seeds, which cannot tell
_TOO_FEW = 2  # seeds, with which only the paired t test promises nothing false
_OWN = 0.175
"""The share of *own* in the prior probability of uneven spread; the rest is *odd*, split over its cells."""
_RATIOS = np.exp(np.linspace(0, 6, 21))
_OWN_RATIOS = np.exp(np.linspace(-6, 6, 21))
_HALVINGS = 24
_MATCHED = (0.05, 0.005)
"""Two-sided p values at which the t distribution and the mixture agree exactly."""

_Rows = Float[np.ndarray, "contrast cell"]
_Blocks = Int[np.ndarray, " own_block"]


def robust_contrast(fit: AdditiveFit, weights: Mapping[str, float]) -> Estimate:
    """Estimate a weighted sum of cells whose weights add up to zero; the module says how.

    Args:
        fit: of the design.
        weights: cell to weight; cells left out weigh nothing.

    Where it is known which images every trial classified correctly, the estimate is about new images as well
    as new seeds.

    Returns:
        The estimate. Its standard error is not below what counting in whole images allows,
        ``√(Σ w² step² / 12)``, which more seeds do not shrink. With one seed it has no degrees of freedom.

    Raises:
        ValueError: the weights do not add up to zero, or name a cell that is not in the fit.

    Example:
        >>> from foolscope.statistics.blocks import BlockDesign, difference, fit_additive
        >>> values = np.array([[51.2, 51.5, 51.3], [47.0, 47.4, 46.9], [51.3, 51.4, 51.2]])
        >>> fit = fit_additive(BlockDesign(("128", "1024", "127"), (0, 1, 2), values))
        >>> estimate = robust_contrast(fit, difference("1024", "128"))
        >>> round(estimate.value, 2), round(estimate.standard_error, 3), round(estimate.degrees_of_freedom, 1)
        (-4.23, 0.084, 2.9)
    """
    return robust_contrasts(fit, [weights])[0]


def robust_contrasts(fit: AdditiveFit, contrasts: Sequence[Mapping[str, float]]) -> list[Estimate]:
    """Estimate several contrasts of one fit; see :func:`robust_contrast`.

    The work is proportional to contrasts times cells, and quick for thousands of each.
    """
    if not contrasts:
        return []
    rows = np.stack([weight_row(fit, weights) for weights in contrasts])
    estimates: list[Estimate] = []
    for row, (error, freedom, seeds) in zip(rows, _errors(fit, rows), strict=True):
        value = contrast_value(fit, row)
        if seeds < 2:
            estimates.append(Estimate(value, float("nan"), 0, seeds))
            continue
        least = fit.step * float(np.sqrt(row @ row / 12))
        estimates.append(Estimate(value, max(error, least), freedom, seeds))
    if fit.correct is None:
        return estimates
    parts = image_parts(fit, rows)
    return [
        estimate if part is None else with_images(estimate, part)
        for estimate, part in zip(estimates, parts, strict=True)
    ]


def image_parts(fit: AdditiveFit, rows: _Rows) -> list[ImagePart | None]:
    """The images' share of the variance of contrasts; ``None`` where the images are not known."""
    if fit.correct is None:
        return [None] * len(rows)
    parts: list[ImagePart | None] = []
    for row in rows:
        members = np.flatnonzero(row)
        if fit.paired:
            correct = fit.correct[np.ix_(members, fit.common_blocks(row))]
            parts.append(contrast_part(correct, row[members].tolist()))
        elif len(members) == 2:
            present = np.isfinite(fit.every_value[members])
            parts.append(difference_parts(fit.correct[members], 0, paired=False, present=present)[1])
        else:
            raise ValueError("of cells that share no seeds, only two can be compared on new images")
    return parts


def cell_variances(fit: AdditiveFit) -> Float[np.ndarray, " cell"]:
    """Return the expected variance of each cell's residuals, each cell being odd or not.

    It tells how strongly contrasts with a common baseline move together. NaN without degrees of freedom.
    """
    cells, blocks = fit.values.shape
    if cells < 2 or blocks < 2:
        return np.full(len(fit.cells), np.nan)
    if cells == 2:
        return np.full(2, float(fit.residual_deviation) ** 2)
    freedom = (cells - 1) * (blocks - 1)
    total, squares = _sums_of_squares(fit.values)
    if total == 0:
        return np.zeros(cells)
    log_alike = np.full((cells, 1), -freedom / 2 * np.log(total))
    log_odd, variances = _odd(total, squares, cells, blocks)
    probability = _normalized(np.concatenate([log_alike + np.log(1 / 2), log_odd + np.log(1 / 2)], axis=1))
    alike = probability[:, 0] * total / freedom
    result: Float[np.ndarray, " cell"] = alike + (probability[:, 1:] * variances * _RATIOS).sum(axis=1)
    return result


def _errors(fit: AdditiveFit, rows: _Rows) -> list[tuple[float, float, int]]:
    """Return standard error, degrees of freedom and seeds of each contrast."""
    if not fit.paired:
        return [_welch(fit, row) for row in rows]
    found: list[tuple[float, float, int] | None] = [None] * len(rows)
    own_blocks = [fit.common_blocks(row) for row in rows]
    whole = len(fit.complete)
    mixed: list[int] = []
    for index, (row, blocks) in enumerate(zip(rows, own_blocks, strict=True)):
        only_own = fit.values.shape[0] == 2 or whole < 2 or len(blocks) <= _TOO_FEW
        if only_own:
            found[index] = (*_paired(fit, row, blocks), len(blocks))
        else:
            mixed.append(index)
    for index, (error, freedom) in zip(mixed, _mixtures(fit, rows[mixed], own_blocks, mixed), strict=True):
        found[index] = (error, freedom, len(own_blocks[index]))
    return [each for each in found if each is not None]


def _paired(fit: AdditiveFit, row: Float[np.ndarray, " cell"], blocks: _Blocks) -> tuple[float, float]:
    """Return standard error and degrees of freedom of the paired t test."""
    if len(blocks) < 2:
        return float("nan"), 0
    deviation = _deviation(fit, row, blocks)
    return deviation / float(np.sqrt(len(blocks))), len(blocks) - 1


def _deviation(fit: AdditiveFit, row: Float[np.ndarray, " cell"], blocks: _Blocks) -> float:
    used = row != 0
    values = fit.every_value[used][:, blocks]
    per_seed = row[used] @ values
    return standard_deviation(per_seed - per_seed.mean(), len(blocks) - 1, float(np.abs(values).max()))


def _welch(fit: AdditiveFit, row: Float[np.ndarray, " cell"]) -> tuple[float, float, int]:
    """Return standard error, degrees of freedom and seeds where cells share nothing.

    References:
        Welch (1947), "The generalization of Student's problem when several different population variances are
        involved", Biometrika 34, 28-35.
    """
    parts, bounds, seeds = [], [], []
    for weight, values in zip(row, fit.every_value, strict=True):
        if weight == 0:
            continue
        own = values[np.isfinite(values)]
        seeds.append(len(own))
        if len(own) < 2:
            return float("nan"), 0, min(seeds)
        variance = standard_deviation(own - own.mean(), len(own) - 1, float(np.abs(own).max())) ** 2
        parts.append(weight**2 * variance / len(own))
        bounds.append(parts[-1] ** 2 / (len(own) - 1))
    total = sum(parts)
    freedom = total**2 / sum(bounds) if total > 0 else min(seeds) - 1
    return float(np.sqrt(total)), float(freedom), min(seeds)


def _mixtures(
    fit: AdditiveFit, rows: _Rows, own_blocks: Sequence[_Blocks], chosen: Sequence[int]
) -> list[tuple[float, float]]:
    """Return standard error and degrees of freedom by the mixture, contrast by contrast."""
    if not len(chosen):
        return []
    cells, blocks = fit.values.shape
    total, squares = _sums_of_squares(fit.values)
    odd = _odd(total, squares, cells, blocks) if total > 0 else None
    readings = [
        _readings(fit, row, own_blocks[index], total, odd) for row, index in zip(rows, chosen, strict=True)
    ]
    most = max(len(reading.probability) for reading in readings)
    probability, errors = np.zeros((2, len(readings), most))
    for place, reading in enumerate(readings):
        probability[place, : len(reading.probability)] = reading.probability
        errors[place] = reading.errors[0]
        errors[place, : len(reading.errors)] = reading.errors
    freedom = np.array([reading.freedom for reading in readings], dtype=float)
    scatters = errors[:, 0] > 0
    scale, matched = np.zeros(len(readings)), freedom.copy()
    scale[scatters], matched[scatters] = _matched(probability[scatters], errors[scatters], freedom[scatters])
    return list(zip(scale.tolist(), matched.tolist(), strict=True))


class _Readings(NamedTuple):
    """The readings of one contrast: their probabilities and standard errors, and the degrees of freedom."""

    probability: Float[np.ndarray, " component"]
    errors: Float[np.ndarray, " component"]
    freedom: int


def _readings(
    fit: AdditiveFit,
    row: Float[np.ndarray, " cell"],
    own_blocks: _Blocks,
    total: float,
    odd: tuple[Float[np.ndarray, "cell ratio"], Float[np.ndarray, "cell ratio"]] | None,
) -> _Readings:
    cells, blocks = fit.values.shape
    seeds, length = len(own_blocks), float(row @ row)
    own = _deviation(fit, row, own_blocks) ** 2 / length
    # The contrast's part of the complete blocks' residuals leaves the rest, which is independent of it.
    inside = own if seeds == blocks else _deviation(fit, row, fit.complete) ** 2 / length
    rest = max(0.0, total - (blocks - 1) * inside)
    own_freedom, rest_freedom = seeds - 1, (cells - 2) * (blocks - 1)
    freedom = own_freedom + rest_freedom
    everything = own_freedom * own + rest
    if everything == 0:
        return _Readings(np.ones(1), np.zeros(1), freedom)
    logs = [np.array([-freedom / 2 * np.log(everything)])]
    variances = [np.array([everything / freedom * length])]
    uneven = _UNEVEN_ODDS * min(cells, _MOST_CELLS) * _CAUTION.get(seeds, 1.0)
    own_share = 1.0  # where the cells have unequal seeds, no cell is held against all others
    if seeds == blocks and odd is not None:
        own_share = _OWN
        members = np.flatnonzero(row)
        for member in members:
            logs.append(np.log(uneven * (1 - _OWN) / len(members)) + odd[0][member])
            factors = length + (_RATIOS - 1) * row[member] ** 2
            variances.append(odd[1][member] * factors)
    sums = own_freedom * own / _OWN_RATIOS + max(rest, 1e-12 * everything)
    log_evidence = -own_freedom / 2 * np.log(_OWN_RATIOS) - freedom / 2 * np.log(sums)
    logs.append(np.log(uneven * own_share / len(_OWN_RATIOS)) + log_evidence)
    variances.append(_OWN_RATIOS * sums / freedom * length)
    probability = _normalized(np.concatenate(logs)[None])[0]
    return _Readings(probability, np.sqrt(np.concatenate(variances) / seeds), freedom)


def _sums_of_squares(
    values: Float[np.ndarray, "cell block"],
) -> tuple[float, Float[np.ndarray, " cell"]]:
    """Return the residual sum of squares, and the part of each cell against the mean of the others."""
    cells = len(values)
    residuals = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    # Of a cell against the mean of the others, the residual of the additive model is the (C - 1)/C-th part.
    squares = (residuals**2).sum(axis=1) * cells / (cells - 1)
    scale = float(np.abs(values).max())
    deviation = standard_deviation(residuals, residuals.size, scale)
    return (float((residuals**2).sum()), squares) if deviation > 0 else (0.0, np.zeros(cells))


def _odd(
    total: float, squares: Float[np.ndarray, " cell"], cells: int, blocks: int
) -> tuple[Float[np.ndarray, "cell ratio"], Float[np.ndarray, "cell ratio"]]:
    """Return log evidence and the others' variance where one cell scatters ρ times as much, for each ρ."""
    freedom = (cells - 1) * (blocks - 1)
    factor = (_RATIOS + 1 / (cells - 1)) / (1 + 1 / (cells - 1))
    sums = squares[:, None] / factor + np.maximum(total - squares, 1e-12 * total)[:, None]
    log_evidence = -(blocks - 1) / 2 * np.log(factor) - freedom / 2 * np.log(sums) - np.log(len(_RATIOS))
    return log_evidence, sums / freedom


def _normalized(logs: Float[np.ndarray, "row component"]) -> Float[np.ndarray, "row component"]:
    probability = np.exp(logs - logs.max(axis=1, keepdims=True))
    normalized: Float[np.ndarray, "row component"] = probability / probability.sum(axis=1, keepdims=True)
    return normalized


def _matched(
    probability: Float[np.ndarray, "contrast component"],
    errors: Float[np.ndarray, "contrast component"],
    freedom: Float[np.ndarray, " contrast"],
) -> tuple[Float[np.ndarray, " contrast"], Float[np.ndarray, " contrast"]]:
    """Return scale and degrees of freedom of the t distributions with the mixtures' quantiles."""
    near, far = (_quantile(probability, errors, freedom, tail) for tail in _MATCHED)
    log_freedom, ratios = _quantile_ratios()
    matched = np.exp(np.interp(-far / near, -ratios, log_freedom))
    return near / scipy.special.stdtrit(matched, 1 - _MATCHED[0] / 2), matched


@cache
def _quantile_ratios() -> tuple[Float[np.ndarray, " freedom"], Float[np.ndarray, " freedom"]]:
    """Return log degrees of freedom, and the ratio of the two quantiles, which falls as they rise."""
    log_freedom = np.linspace(np.log(0.5), np.log(1e6), 2000)
    near, far = (scipy.special.stdtrit(np.exp(log_freedom), 1 - tail / 2) for tail in _MATCHED)
    return log_freedom, far / near


def _quantile(
    probability: Float[np.ndarray, "contrast component"],
    errors: Float[np.ndarray, "contrast component"],
    freedom: Float[np.ndarray, " contrast"],
    tail: float,
) -> Float[np.ndarray, " contrast"]:
    """Return the sizes that the mixtures exceed, in either direction, with probability ``tail``."""
    reach = scipy.special.stdtrit(freedom, 1 - tail / 2)
    low = np.log(reach * errors.min(axis=1))
    high = np.log(reach * errors.max(axis=1))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tails = 2 * scipy.special.stdtr(freedom[:, None], -np.exp(middle)[:, None] / errors)
        beyond = (probability * tails).sum(axis=1) > tail
        low, high = np.where(beyond, middle, low), np.where(beyond, high, middle)
    quantile: Float[np.ndarray, " contrast"] = np.exp((low + high) / 2)  # to seven digits
    return quantile
