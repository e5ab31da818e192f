"""Claims about what a demonstration measures: ``measure:DEMONSTRATION.MEASURE``."""

from collections.abc import Sequence

import numpy as np

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.experiments.claims.claim import MEASURE, ValueClaim
from foolscope.experiments.claims.judgement import ClaimResult, judge_evidence, untestable
from foolscope.experiments.claims.statements import Evidence
from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS, DemonstrationSettings
from foolscope.experiments.parts.demonstrations.records import DemonstrationRecord, MeasureRecord
from foolscope.experiments.records import FigureRecord
from foolscope.experiments.wording.sentences import PLAIN
from foolscope.statistics.blocks import BlockDesign, cell_mean
from foolscope.statistics.estimate import shifted
from foolscope.statistics.relations import RelationName, Statement

__all__ = ["check_measure", "judge_measure", "judge_measured"]

_RELATIONS: dict[str, RelationName] = {"equal": "near", "at least": "at least", "at most": "at most"}


def check_measure(metric: str, demonstrations: Sequence[DemonstrationSettings]) -> tuple[str, str]:
    """Return the names of demonstration and measure that a metric speaks of.

    Raises:
        RecipeError: the study has no such demonstration, or the demonstration no such measure.

    Example:
        >>> plan = DEMONSTRATIONS["curve-fit"].settings(name="fit", kind="curve-fit")
        >>> check_measure("measure:fit.rises", [plan])
        ('fit', 'rises')
    """
    name, _, measure = metric.removeprefix(MEASURE).partition(".")
    plan = next((each for each in demonstrations if each.name == name), None)
    if plan is None:
        known = [each.name for each in demonstrations]
        hint = did_you_mean(name, known) if known else "Add one: [[demonstrations]]"
        raise RecipeError(f"no demonstration {name!r}. {hint}")
    measures = DEMONSTRATIONS[plan.kind].measures(plan)
    if measure not in measures:
        raise RecipeError(
            f"the demonstration {name!r} has no measure {measure!r}. {did_you_mean(measure, measures)}"
        )
    return name, measure


def judge_measure(
    claim: ValueClaim, records: Sequence[DemonstrationRecord]
) -> tuple[ClaimResult, list[FigureRecord]]:
    """Test a claim about a measure of a demonstration; see :func:`judge_measured`.

    Args:
        claim: from the study file.
        records: of the demonstrations.
    """
    name, _, measure = claim.metric.removeprefix(MEASURE).partition(".")
    record = next(each for each in records if each.name == name)
    return judge_measured(claim, record.measure(measure), record.seeds)


def judge_measured(
    claim: ValueClaim, found: MeasureRecord, seeds: Sequence[int]
) -> tuple[ClaimResult, list[FigureRecord]]:
    """Test a claim about one number of every seed; without any spread between them it is decided exactly.

    Args:
        claim: from the study file.
        found: what it is about.
        seeds: of its values.

    Returns:
        The result, undecided where the measure is no finite number with some seed, and the figure.
    """
    figure = FigureRecord(
        label=found.words,
        metric=claim.metric,
        value=found.mean,
        low=None if found.same else found.low,
        high=None if found.same else found.high,
        published=claim.published if isinstance(claim.published, float) else None,
    )
    if found.mean is None:
        lost = found.values.count(None)
        reason = (
            f"{found.words}: no finite number in {lost} of {len(found.values)} seeds, "
            "so that the claim cannot be tested."
        )
        return untestable(claim.sentence, reason, scale=PLAIN), [figure]
    design = BlockDesign((found.name,), tuple(seeds), np.array([found.values], dtype=float))
    statement = Statement(
        f"{found.words}:" if found.same else f"{found.words}, mean:",
        _RELATIONS[claim.relation],
        shifted(cell_mean(design, found.name), -claim.value),
        claim.tolerance or 0.0,
        claim.value,
        exact=found.same,
    )
    return judge_evidence(claim.sentence, Evidence((statement,)), scale=PLAIN), [figure]
