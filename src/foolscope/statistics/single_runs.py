"""What a single run of a setting could give: differences by chance, and where one more run would land."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from foolscope.statistics.blocks import AdditiveFit
from foolscope.statistics.estimate import Estimate, half_width

__all__ = ["as_single_runs", "prediction_interval", "single_run_difference"]


def single_run_difference(deviation: float, degrees_of_freedom: int, confidence: float = 0.95) -> float:
    r"""The largest difference that chance makes between two single runs of one setting.

    .. math:: t_{(1 + c)/2,\,df}\; s \sqrt 2

    Two runs with the same seed share what the seed does to every setting; two runs with different seeds do
    not and differ by more. Where it is unknown which two published runs were, this is the smaller bound.

    Example:
        >>> round(single_run_difference(0.003, 48), 5)
        0.00853
    """
    return half_width(Estimate(0.0, deviation * math.sqrt(2), degrees_of_freedom, 2), confidence)


def as_single_runs(fit: AdditiveFit, figures: Mapping[str, float]) -> AdditiveFit:
    """Treat figures as one run per cell, with the residual spread of a fit.

    Contrasts of the result have the standard error ``s √(Σ w_c²)`` of one run per cell, with s and its
    degrees of freedom from the fit.
    """
    values = np.array(list(figures.values()), dtype=float)[:, None]
    return replace(
        fit, cells=tuple(figures), seeds=1, values=values, every_value=values, complete=np.arange(1)
    )


def prediction_interval(mean: Estimate, confidence: float = 0.95) -> tuple[float, float] | None:
    r"""The interval in which one more run lands, given the mean of S runs of the same setting.

    :math:`\bar y \pm t_{(1 + c)/2,\,S - 1}\; s \sqrt{1 + 1/S}`, s being the standard deviation of the S runs.

    Returns:
        Its ends; None where a trial diverged, there is only one, or all are equal.

    References:
        Hahn and Meeker (1991), *Statistical Intervals*, section 4.7.
    """
    if not mean.standard_error > 0:
        return None
    reach = half_width(mean, confidence) * math.sqrt(mean.seeds + 1)
    return mean.value - reach, mean.value + reach
