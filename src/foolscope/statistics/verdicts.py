"""What an ablation says about each of its cells: helps, hurts, smaller than matters, no effect, undecided."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float

from foolscope.core.errors import RecipeError
from foolscope.statistics.blocks import AdditiveFit, BlockDesign, difference, fit_additive, weight_row
from foolscope.statistics.doubts import Doubt, estimate_doubts
from foolscope.statistics.dunnett import step_down
from foolscope.statistics.estimate import (
    holm,
    holm_levels,
    interval,
    p_different,
    p_equivalent,
)
from foolscope.statistics.image_planning import needed
from foolscope.statistics.images import with_images
from foolscope.statistics.power import (
    minimum_detectable_effect,
    more_seeds,
    power_decided,
)
from foolscope.statistics.spread import cell_variances, image_parts, robust_contrasts

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
        interval: of the estimate, at the level of its test, so that it agrees with the outcome: it excludes 0
            where the cell helps or hurts, lies within ±δ where there is no effect larger than δ.
        confidence: of the interval, at least ``1 - 2 alpha``.
        p_different: of "no difference", adjusted by Dunnett's test, stepping down, over all cells.
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
        images: how many, where the verdict is about new images of the same kind; 0 where it is about these.
        images_needed: about how many in all would decide with the present seeds; None if decided, if more
            than 1000 times as many, or if it is not about new images.
        on_these_images: the verdict about these images alone, where this one is about new images.
    """

    cell: str
    baseline: str
    outcome: Outcome
    estimate: float
    interval: tuple[float, float]
    confidence: float
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
    images: int = 0
    images_needed: int | None = None
    on_these_images: "Verdict | None" = None


def judge(
    design: BlockDesign,
    baseline: str,
    *,
    practical_difference: float,
    alpha: float = 0.05,
    higher_is_better: bool = True,
    plan: bool = True,
) -> tuple[Verdict, ...]:
    """Compare every cell with the baseline.

    Each difference is tested twice: whether it differs from 0 (two-sided) and whether it lies within ±δ (two
    one-sided tests), with the standard error of :func:`~foolscope.statistics.spread.robust_contrast`, which
    does not trust cells to scatter alike. Dunnett's step-down test adjusts the former over all cells compared
    and Holm's method the latter, so that at most a fraction α of ablations contains any wrong "helps" or
    "hurts", and at most a fraction α any wrong "no effect". A difference that passes both tests is real but
    "smaller than matters".

    Where the design tells which images every trial classified correctly, verdicts are about new images of the
    same kind: the images' share of chance is added to that of the seeds
    (:mod:`foolscope.statistics.images`). Otherwise they are about these test images.

    A cell with a diverged trial gets the verdict "diverged" and is excluded from pooling and adjustment.

    Args:
        design: the trials of all cells, those of all factors of the ablation together.
        baseline: the cell with which the others are compared.
        practical_difference: δ > 0, in the metric's own unit (0.005 is half a point of accuracy).
        alpha: family-wise level.
        higher_is_better: False for a loss.
        plan: whether to work out what an undecided cell needs, which takes most of the time.

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
        Dunnett (1955); Holm (1979); Schuirmann (1987); Hsu (1996), *Multiple Comparisons*, chapter 3.
    """
    if not practical_difference > 0:
        raise RecipeError(
            f"practical_difference must be positive, in the unit of the metric (0.005 is half a point of "
            f"accuracy); got {practical_difference:g}"
        )
    others = tuple(cell for cell in design.cells if cell != baseline)
    decided: dict[str, Verdict] = {}
    if not design.diverged(baseline):
        fit = fit_additive(design)
        decided = _compare(fit, design, baseline, practical_difference, alpha, higher_is_better, plan)
        if fit.correct is not None:
            these = _compare(
                replace(fit, correct=None),
                design,
                baseline,
                practical_difference,
                alpha,
                higher_is_better,
                plan=False,
            )
            decided = {
                cell: replace(verdict, on_these_images=these[cell]) for cell, verdict in decided.items()
            }
    return tuple(
        decided.get(cell)
        or _undecidable(design, cell, baseline, practical_difference, alpha, higher_is_better)
        for cell in others
    )


def _compare(
    fit: AdditiveFit,
    design: BlockDesign,
    baseline: str,
    margin: float,
    alpha: float,
    higher_is_better: bool,
    plan: bool,
) -> dict[str, Verdict]:
    cells = [cell for cell in fit.cells if cell != baseline]
    if not cells:
        return {}
    weights = [difference(cell, baseline) for cell in cells]
    over_seeds = robust_contrasts(replace(fit, correct=None), weights)
    parts = image_parts(fit, np.stack([weight_row(fit, each) for each in weights]))
    estimates = [
        each if part is None else with_images(each, part)
        for each, part in zip(over_seeds, parts, strict=True)
    ]
    different = np.array([p_different(estimate) for estimate in estimates])
    equivalent = np.array([p_equivalent(estimate, margin) for estimate in estimates])
    # Each difference has a standard error of its own: what they have in common is the baseline's chance.
    adjusted, levels = step_down(different, _shared(fit, cells, baseline), math.inf, alpha)
    adjusted_equivalent, levels_equivalent = holm(equivalent), holm_levels(equivalent, alpha)
    verdicts = {}
    for index, (cell, estimate) in enumerate(zip(cells, estimates, strict=True)):
        p, p_same = float(adjusted[index]), float(adjusted_equivalent[index])
        outcome = _outcome(estimate.value, p, p_same, alpha, higher_is_better)
        level, level_same = float(levels[index]), float(levels_equivalent[index])
        part = parts[index]
        more: int | None = None if outcome == "undecided" else 0
        images_needed: int | None = None
        if plan and outcome == "undecided":
            decides = partial(
                power_decided, margin=margin, alpha_different=level, alpha_equivalent=level_same
            )
            if part is None:
                more = more_seeds(estimate, decides)
            else:
                more, images_needed, _ = needed(over_seeds[index], part, decides)
        # What is equivalent shows the interval of its two one-sided tests.
        shown = 2 * level_same if outcome in ("no effect", "smaller than matters") else level
        verdicts[cell] = replace(
            _undecidable(design, cell, baseline, margin, alpha, higher_is_better),
            outcome=outcome,
            estimate=estimate.value,
            interval=interval(estimate, 1 - shown),
            confidence=1 - shown,
            p_different=p,
            p_equivalent=p_same,
            minimum_detectable_effect=minimum_detectable_effect(estimate, alpha / len(cells)),
            seeds=estimate.seeds,
            seeds_needed=more,
            doubts=estimate_doubts(over_seeds[index]),
            images=0 if part is None else part.images,
            images_needed=images_needed,
        )
    return verdicts


def _shared(fit: AdditiveFit, cells: Sequence[str], baseline: str) -> Float[np.ndarray, " tests"]:
    """The baseline's share in the variance of each difference; 0 where it cannot be known."""
    if fit.seeds <= 2:
        return np.zeros(len(cells))
    variances = cell_variances(fit)
    own = variances[[fit.places[cell] for cell in cells]]
    whole = own + variances[fit.places[baseline]]
    known = np.isfinite(whole) & (whole > 0)
    shared: Float[np.ndarray, " tests"] = np.where(
        known, variances[fit.places[baseline]] / np.where(known, whole, 1.0), 0.0
    )
    return shared


def _outcome(
    difference: float, p_different: float, p_equivalent: float, alpha: float, higher_is_better: bool
) -> Outcome:
    if p_equivalent < alpha:
        return "smaller than matters" if p_different < alpha else "no effect"
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
        confidence=1 - alpha,
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
