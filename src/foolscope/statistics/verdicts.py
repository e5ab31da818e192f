"""What an ablation says about each of its cells: helps, hurts, no effect, undecided, diverged."""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from foolscope.core.errors import RecipeError
from foolscope.statistics.blocks import (
    BlockDesign,
    contrast,
    difference,
    fit_additive,
)
from foolscope.statistics.doubts import Doubt, contrast_doubts
from foolscope.statistics.estimate import (
    holm,
    holm_levels,
    interval,
    p_different,
    p_equivalent,
)
from foolscope.statistics.power import (
    minimum_detectable_effect,
    more_seeds,
    power_decided,
)

__all__ = ["Outcome", "Verdict", "judge"]

Outcome = Literal["helps", "hurts", "smaller than matters", "no effect", "undecided", "diverged"]


@dataclass(frozen=True)
class Verdict:
    """What one cell of an ablation does against the baseline.

    Args:
        cell: label of the cell.
        baseline: label of the cell it is compared with.
        outcome: the decision.
        estimate: cell minus baseline, in the metric's own unit; NaN where a trial diverged.
        interval: of the estimate, with confidence ``1 - alpha``, not adjusted for the number of cells.
        p_different: of "no difference", adjusted by Holm over all cells of the ablation.
        p_equivalent: of "a difference of δ or more", adjusted by Holm over all cells of the ablation.
        practical_difference: δ, the smallest difference that matters, in the metric's own unit.
        minimum_detectable_effect: the true effect that is found four times in five at the strictest Holm
            step.
        seeds: seeds per cell.
        seeds_needed: about how many more would decide if the other cells stayed as they are; 0 if decided,
            None if more than 1000 or unknown.
        diverged: how many of the cell's trials diverged.
        baseline_diverged: how many of the baseline's trials diverged.
        higher_is_better: how the metric is read.
        alpha: level of the tests.
        doubts: why the verdict should be read with care.
        confidence: of the interval.
    """

    cell: str
    baseline: str
    outcome: Outcome
    estimate: float
    interval: tuple[float, float]
    p_different: float
    p_equivalent: float
    practical_difference: float
    minimum_detectable_effect: float
    seeds: int
    seeds_needed: int | None
    diverged: int
    baseline_diverged: int
    higher_is_better: bool
    alpha: float
    doubts: tuple[Doubt, ...]
    confidence: float = 0.95


def judge(
    design: BlockDesign,
    baseline: str,
    *,
    practical_difference: float,
    alpha: float = 0.05,
    higher_is_better: bool = True,
) -> tuple[Verdict, ...]:
    """Compare every cell with the baseline.

    Each difference is tested twice with the pooled residual variance: whether it differs from 0 (two-sided)
    and whether it lies within ±δ (two one-sided tests). Holm adjusts both sets of p values over all cells
    compared, so that at most a fraction α of ablations contains any wrong "helps" or "hurts", and at most a
    fraction α any wrong "no effect". A difference that passes both tests, real but smaller than δ, is "no
    effect" (none larger than δ): its estimate and interval still show it. The interval is not adjusted, so it
    may exclude 0 where the adjusted p value leaves the verdict undecided.

    A cell with a diverged trial gets the verdict "diverged" and is excluded from pooling and adjustment.

    Args:
        design: the trials of all cells, those of all factors of the ablation together.
        baseline: the cell with which the others are compared.
        practical_difference: δ > 0, in the metric's own unit (0.005 is half a point of accuracy).
        alpha: family-wise level.
        higher_is_better: False for a loss.

    Returns:
        One verdict per cell other than the baseline, in the order of the design.

    Raises:
        RecipeError: δ is not positive.
        ValueError: there is no such baseline.

    Example:
        >>> values = np.array([[0.512, 0.515, 0.513], [0.470, 0.474, 0.469], [0.513, 0.515, 0.513]])
        >>> design = BlockDesign(("128", "1024", "127"), (0, 1, 2), values)
        >>> [verdict.outcome for verdict in judge(design, "128", practical_difference=0.005)]
        ['hurts', 'no effect']

    References:
        Montgomery, *Design and Analysis of Experiments*, section 4.1; Holm (1979); Schuirmann (1987).
    """
    if not practical_difference > 0:
        raise RecipeError(
            f"practical_difference must be positive, in the unit of the metric (0.005 is half a point of "
            f"accuracy); got {practical_difference:g}"
        )
    others = tuple(cell for cell in design.cells if cell != baseline)
    decided: dict[str, Verdict] = {}
    if not design.diverged(baseline):
        decided = _compare(design, baseline, practical_difference, alpha, higher_is_better)
    return tuple(
        decided.get(cell)
        or _undecidable(design, cell, baseline, practical_difference, alpha, higher_is_better)
        for cell in others
    )


def _compare(
    design: BlockDesign, baseline: str, margin: float, alpha: float, higher_is_better: bool
) -> dict[str, Verdict]:
    fit = fit_additive(design)
    cells = [cell for cell in fit.cells if cell != baseline]
    if not cells:
        return {}
    estimates = [contrast(fit, difference(cell, baseline)) for cell in cells]
    different = np.array([p_different(estimate) for estimate in estimates])
    equivalent = np.array([p_equivalent(estimate, margin) for estimate in estimates])
    adjusted_different, adjusted_equivalent = holm(different), holm(equivalent)
    levels_different, levels_equivalent = holm_levels(different, alpha), holm_levels(equivalent, alpha)
    verdicts = {}
    for index, (cell, estimate) in enumerate(zip(cells, estimates, strict=True)):
        p, p_same = float(adjusted_different[index]), float(adjusted_equivalent[index])
        outcome = _outcome(estimate.value, p, p_same, alpha, higher_is_better)
        decides = partial(
            power_decided,
            margin=margin,
            alpha_different=float(levels_different[index]),
            alpha_equivalent=float(levels_equivalent[index]),
        )
        verdicts[cell] = replace(
            _undecidable(design, cell, baseline, margin, alpha, higher_is_better),
            outcome=outcome,
            estimate=estimate.value,
            interval=interval(estimate, 1 - alpha),
            p_different=p,
            p_equivalent=p_same,
            minimum_detectable_effect=minimum_detectable_effect(estimate, alpha / len(cells)),
            seeds_needed=more_seeds(estimate, decides) if outcome == "undecided" else 0,
            doubts=contrast_doubts(fit, difference(cell, baseline), alpha),
        )
    return verdicts


def _outcome(
    difference: float, p_different: float, p_equivalent: float, alpha: float, higher_is_better: bool
) -> Outcome:
    if p_equivalent < alpha:
        return "no effect"
    if p_different < alpha:
        return "helps" if (difference > 0) == higher_is_better else "hurts"
    return "undecided"


def _undecidable(
    design: BlockDesign, cell: str, baseline: str, margin: float, alpha: float, higher_is_better: bool
) -> Verdict:
    diverged = design.diverged(cell)
    return Verdict(
        cell=cell,
        baseline=baseline,
        outcome="diverged" if diverged else "undecided",
        estimate=math.nan,
        interval=(-math.inf, math.inf),
        p_different=1.0,
        p_equivalent=1.0,
        practical_difference=margin,
        minimum_detectable_effect=math.inf,
        seeds=len(design.blocks),
        seeds_needed=None,
        diverged=diverged,
        baseline_diverged=design.diverged(baseline),
        higher_is_better=higher_is_better,
        alpha=alpha,
        doubts=(Doubt("baseline diverged"),) if design.diverged(baseline) else (),
    )
