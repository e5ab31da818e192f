"""What single runs could have shown: published figures held against the spread between our seeds."""

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from foolscope.experiments.claims.claim import ComparisonClaim, TrendClaim
from foolscope.experiments.claims.records import NoiseRecord
from foolscope.experiments.claims.statements import compared
from foolscope.experiments.wording.sentences import POINTS, Scale, amount, number, percent
from foolscope.statistics.blocks import AdditiveFit, BlockDesign, cell_mean
from foolscope.statistics.estimate import Estimate, half_width

__all__ = ["comparison_noise", "one_more_run", "single_run_difference", "single_runs", "value_noise"]


def single_run_difference(deviation: float, degrees_of_freedom: int, confidence: float = 0.95) -> float:
    r"""Return how far two single runs of one setting differ by chance, at most.

    .. math:: t_{(1 + c)/2,\,df}\; s \sqrt 2

    Two runs with the same seed share what the seed does to every setting alike; two runs with different
    seeds do not and differ by more. Which the published ones were is not known: this is the smaller.

    Args:
        deviation: residual standard deviation s, pooled over an ablation.
        degrees_of_freedom: of it.
        confidence: how often they lie within.

    Example:
        >>> round(single_run_difference(0.003, 48), 5)
        0.00853
    """
    return half_width(Estimate(0.0, deviation * math.sqrt(2), degrees_of_freedom, 2), confidence)


def single_runs(fit: AdditiveFit, figures: Mapping[str, float]) -> AdditiveFit:
    """Take figures for single runs that scatter as the trials of a fit do.

    Contrasts of the result have the standard error ``s √(Σ w_c²)`` of one run per cell, with s and its
    degrees of freedom from the fit.

    Args:
        fit: where the spread comes from.
        figures: cell to figure.
    """
    values = np.array(list(figures.values()), dtype=float)[:, None]
    return replace(fit, cells=tuple(figures), seeds=1, values=values)


def comparison_noise(
    claim: ComparisonClaim | TrendClaim,
    fit: AdditiveFit,
    figures: Mapping[str, float],
    *,
    at: str | None,
    practical_difference: float,
    alpha: float,
    higher_is_better: bool,
    scale: Scale,
) -> NoiseRecord | None:
    """Ask whether the published figures, one run each, could have shown what a claim says.

    The claim's own test is applied to them, with the spread between our seeds: a difference must be larger
    than two single runs differ by chance, a trend larger than single runs make by chance, and "no difference"
    must rule out the practical difference by two one-sided tests. Of several differences, all of which the
    claim needs, the least certain one counts.

    Args:
        claim: from the study file.
        fit: of our trials.
        figures: the published ones, by cell, in the order of the claim's cells.
        at: label of a claimed peak's level.
        practical_difference: δ.
        alpha: level of the tests.
        higher_is_better: how the metric is read.
        scale: how the sentence writes it.

    Returns:
        The answer; None where our seeds have no spread to hold against the figures.
    """
    if not fit.residual_deviation > 0:
        return None
    cells = tuple(figures)
    statements = compared(
        claim,
        single_runs(fit, figures),
        cells,
        at=at,
        practical_difference=practical_difference,
        alpha=alpha,
        higher_is_better=higher_is_better,
    )
    weakest = max(statements, key=lambda statement: statement.p_upheld)
    chance = half_width(weakest.estimate, 1 - alpha)
    is_shown = weakest.p_upheld < alpha
    goes_the_other_way = not is_shown and weakest.relation != "same" and abs(weakest.estimate.value) > chance
    size, band = _rounded(abs(weakest.estimate.value), scale), f"±{_rounded(chance, scale)}"
    if isinstance(claim, TrendClaim) and claim.relation in ("rises", "falls"):
        subject = f"The published trend of {size} (from {cells[0]} to {cells[-1]})"
        runs = "single runs make"
    else:
        extreme = "largest " if weakest.relation == "same" else "smallest "
        pair = weakest.text.removesuffix(" differs by")
        subject = f"The {extreme * (len(statements) > 1)}published difference of {size} ({pair})"
        runs = "two single runs differ"
    if weakest.relation == "same":
        margin = amount(practical_difference, scale)
        if is_shown:
            said = f"is small even beside what {runs} by chance ({band}): it rules out one of {margin}"
        else:
            said = f"is small, but {runs} by chance ({band}): one run each could not rule out {margin}"
    elif goes_the_other_way:
        said = f"goes the other way, by more than {runs} by chance ({band})"
    elif is_shown:
        said = f"is more than {runs} by chance ({band})"
    else:
        said = f"is within what {runs} by chance ({band}): one run each could not have shown this"
    return NoiseRecord(
        rests_on_noise=not is_shown and not goes_the_other_way,
        published_difference=weakest.estimate.value,
        chance=chance,
        sentence=f"{subject} {said}.",
    )


def one_more_run(design: BlockDesign, cell: str, confidence: float = 0.95) -> tuple[float, float] | None:
    r"""Return where one more run of a cell would land.

    The prediction interval :math:`\bar y \pm t_{(1 + c)/2,\,S - 1}\; s \sqrt{1 + 1/S}`, s being the deviation
    between the cell's own S seeds.

    Args:
        design: the trials.
        cell: which setting.
        confidence: how often such intervals hold the value of a further run.

    Returns:
        Its ends; None where a trial diverged, there is but one, or all are alike.

    References:
        Hahn and Meeker (1991), *Statistical Intervals*, section 4.7.
    """
    mean = cell_mean(design, cell)
    if not mean.standard_error > 0:
        return None
    reach = half_width(mean, confidence) * math.sqrt(mean.seeds + 1)
    return mean.value - reach, mean.value + reach


def value_noise(
    design: BlockDesign, cell: str, published: float, scale: Scale, alpha: float = 0.05
) -> NoiseRecord | None:
    """Ask whether a published value is one that a run like ours could have given.

    Returns:
        Where one more run would land, and whether the published one lies there; None where our seeds cannot
        tell.
    """
    ends = one_more_run(design, cell, 1 - alpha)
    if ends is None:
        return None
    low, high = ends
    if scale is POINTS:
        low, high = max(0.0, low), min(1.0, high)
    reach = (high - low) / 2

    def write(value: float) -> str:
        return f"{number(value, scale, reach / 10)}{scale.level_unit}"

    verb = "does" if low <= published <= high else "does not"
    return NoiseRecord(
        rests_on_noise=None,
        low=low,
        high=high,
        sentence=f"One run like the published one would land between {write(low)} and {write(high)}, "
        f"{percent(1 - alpha)} of the time; {_exactly(published, scale)} {verb}.",
    )


def _rounded(value: float, scale: Scale) -> str:
    return amount(float(f"{value:.2g}"), scale)


def _exactly(value: float, scale: Scale) -> str:
    return f"{value * scale.factor:.6g}{scale.level_unit}".replace("-", "−")
