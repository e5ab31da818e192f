"""Published figures beside ours: which belongs to which cell of a claim, and what it could have shown."""

from collections.abc import Mapping, Sequence

from foolscope.experiments.claims.claim import ComparisonClaim, CurveClaim, TrendClaim, ValueClaim
from foolscope.experiments.claims.curves import Curves
from foolscope.experiments.claims.noise import comparison_noise, value_noise
from foolscope.experiments.claims.records import FigureRecord, NoiseRecord
from foolscope.experiments.claims.sources import Design
from foolscope.experiments.claims.statements import ClaimStatement
from foolscope.experiments.recipe import Recipe, with_values
from foolscope.experiments.study import Study
from foolscope.experiments.wording.sentences import Scale
from foolscope.statistics.blocks import BlockDesign, fit_additive, mean_interval
from foolscope.statistics.estimate import interval, mean_estimate

__all__ = ["cell_figures", "claim_noise", "curve_figures", "published_figures", "step_figures"]


def published_figures(
    claim: ValueClaim | ComparisonClaim | TrendClaim,
    cells: Mapping[str, Recipe],
    study: Study,
    designs: Sequence[Design],
) -> dict[str, float]:
    """Find the published figure of every cell of a claim.

    A claim about several cells is about one factor, so its figures come from one table: a baseline that was
    published once per factor has a figure in each.

    Returns:
        Label to figure, in that order; empty unless every cell has one.
    """
    if isinstance(claim, ValueClaim):
        return dict.fromkeys(cells, claim.published) if isinstance(claim.published, float) else {}
    for design in designs:
        if design.metric != claim.metric:
            continue
        baseline = study.recipes[design.recipe]
        for field, figures in design.published.items():
            recipes = [with_values(baseline, {field: value}) for value in design.vary[field]]
            known = {
                recipe: figure for recipe, figure in zip(recipes, figures, strict=True) if figure is not None
            }
            if set(cells.values()) <= set(known):
                return {label: known[recipe] for label, recipe in cells.items()}
    return {}


def claim_noise(
    claim: ValueClaim | ComparisonClaim | TrendClaim,
    design: BlockDesign,
    figures: Mapping[str, float],
    *,
    at: str | None,
    practical_difference: float,
    higher_is_better: bool,
    scale: Scale,
    alpha: float = 0.05,
) -> NoiseRecord | None:
    """Compare the published figures of a claim, by cell, with the spread between our seeds.

    The other arguments are as for :func:`~foolscope.experiments.claims.judgement.judge_claim`.

    Returns:
        What single runs could have shown; None where nothing was published or our seeds cannot tell.
    """
    if not figures:
        return None
    if isinstance(claim, ValueClaim):
        ((cell, figure),) = figures.items()
        return value_noise(design, cell, figure, scale, alpha)
    return comparison_noise(
        claim,
        fit_additive(design),
        figures,
        at=at,
        practical_difference=practical_difference,
        alpha=alpha,
        higher_is_better=higher_is_better,
        scale=scale,
    )


def cell_figures(
    metric: str, design: BlockDesign, cells: Sequence[str], published: Mapping[str, float]
) -> list[FigureRecord]:
    """Put the mean of every cell, with its interval, beside the published figure."""
    records = []
    for cell in cells:
        value, low, high = mean_interval(design, cell)
        records.append(
            FigureRecord(
                label=cell, metric=metric, value=value, low=low, high=high, published=published.get(cell)
            )
        )
    return records


def curve_figures(claim: CurveClaim, statements: Sequence[ClaimStatement]) -> list[FigureRecord]:
    """List how far each curve of a claim changes; none for "steadily", which is about every step."""
    if claim.relation.endswith("steadily"):
        return []
    metrics = [claim.metric, *([claim.meanwhile.metric] if claim.meanwhile else [])]
    records = []
    for metric, (statement, quantity, _) in zip(metrics, statements, strict=True):
        low, high = interval(statement.estimate)
        value = statement.estimate.value
        records.append(
            FigureRecord(label=quantity.label, metric=metric, value=value, low=low, high=high, is_change=True)
        )
    return records


def step_figures(metric: str, losses: Curves) -> list[FigureRecord]:
    """List the mean loss before an attack and after each of its steps, with 95 % intervals over the seeds."""
    records = []
    for step, column in enumerate(losses.T):
        estimate = mean_estimate(column)
        low, high = interval(estimate)
        label = f"after step {step}" if step else "before the attack"
        records.append(FigureRecord(label=label, metric=metric, value=estimate.value, low=low, high=high))
    return records
