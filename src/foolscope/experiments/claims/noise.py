"""What single runs could have shown: published figures compared with the spread between our seeds."""

from collections.abc import Mapping
from dataclasses import replace

from foolscope.experiments.claims.claim import ComparisonClaim, TrendClaim
from foolscope.experiments.claims.records import NoiseRecord
from foolscope.experiments.claims.statements import comparison_statements
from foolscope.experiments.wording.noise import comparison_noise_sentence, value_noise_sentence
from foolscope.experiments.wording.sentences import POINTS, Scale
from foolscope.statistics.blocks import AdditiveFit, BlockDesign, cell_mean
from foolscope.statistics.estimate import half_width
from foolscope.statistics.single_runs import as_single_runs, prediction_interval

__all__ = ["comparison_noise", "value_noise"]


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

    The claim's own test is applied to the figures, with the spread between our seeds: a difference must
    exceed what two single runs differ by through chance, a trend what single runs show by chance, and "no
    difference" must rule out the practical difference by two one-sided tests. Where the claim needs several
    differences, the least certain one counts.

    Args are as for :func:`~foolscope.experiments.claims.judgement.judge_claim`, beside the fit of our trials
    and the published figures, one per cell, in the order of the claim's cells.

    Returns:
        The answer; None where our seeds have no spread to compare the figures with.
    """
    if not fit.residual_deviation > 0:
        return None
    statements = comparison_statements(
        claim,
        as_single_runs(fit, figures),
        tuple(figures),
        at=at,
        practical_difference=practical_difference,
        alpha=alpha,
        higher_is_better=higher_is_better,
    )
    weakest, quantity, _ = max(statements, key=lambda each: each.statement.p_upheld)
    chance = half_width(weakest.estimate, 1 - alpha)
    is_shown = weakest.p_upheld < alpha
    is_opposite = not is_shown and weakest.relation != "same" and abs(weakest.estimate.value) > chance
    return NoiseRecord(
        rests_on_noise=not is_shown and not is_opposite,
        published_difference=weakest.estimate.value,
        chance=chance,
        sentence=comparison_noise_sentence(
            weakest,
            quantity,
            is_only=len(statements) == 1,
            chance=chance,
            is_shown=is_shown,
            is_opposite=is_opposite,
            scale=scale,
        ),
    )


def value_noise(
    design: BlockDesign, cell: str, published: float, scale: Scale, alpha: float = 0.05
) -> NoiseRecord | None:
    """Ask whether a run like ours could have given a published value.

    Returns:
        Where one more run would land, and whether the published one lies there; None where our seeds cannot
        tell.
    """
    # One more run would be tested on the same images.
    ends = prediction_interval(cell_mean(replace(design, correct=None), cell), 1 - alpha)
    if ends is None:
        return None
    low, high = ends
    if scale is POINTS:
        low, high = max(0.0, low), min(1.0, high)
    return NoiseRecord(
        rests_on_noise=None,
        low=low,
        high=high,
        sentence=value_noise_sentence(low, high, published, scale, 1 - alpha),
    )
