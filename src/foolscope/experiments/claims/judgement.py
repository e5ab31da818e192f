"""The tests of claims: upheld, contradicted or undecided, and why."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from foolscope.core.errors import RecipeError
from foolscope.experiments.claims.claim import ComparisonClaim, TrendClaim, ValueClaim
from foolscope.experiments.claims.statements import Evidence, gather
from foolscope.experiments.wording.sentences import POINTS, Scale, more_seeds_text, p_text
from foolscope.statistics.blocks import BlockDesign
from foolscope.statistics.estimate import holm, holm_levels
from foolscope.statistics.relations import Statement

__all__ = ["ClaimOutcome", "ClaimResult", "adjust", "judge_claim", "judge_evidence", "untestable"]

ClaimOutcome = Literal["upheld", "contradicted", "undecided"]


@dataclass(frozen=True)
class ClaimResult:
    """What became of a claim.

    Args:
        sentence: the claim's own.
        outcome: the decision.
        reason: one sentence with the estimate that decided, or that could not.
        p_upheld: below ``alpha`` where the claim is upheld; adjusted after :func:`adjust`.
        p_contradicted: below ``alpha`` where it is contradicted; adjusted likewise.
        seeds_needed: about how many more would decide; 0 if decided, None if over 1000 or not to be known.
        doubts: why the result should be read with care.
        statements: the elementary statements, all of which the claim makes; none if a trial diverged.
        alpha: level of the tests.
        scale: how the metric is written.
        note: what else there is to say, such as how the means go over the levels.
    """

    sentence: str
    outcome: ClaimOutcome
    reason: str
    p_upheld: float
    p_contradicted: float
    seeds_needed: int | None
    doubts: tuple[str, ...]
    statements: tuple[Statement, ...]
    alpha: float
    scale: Scale
    note: str = ""


def judge_claim(
    claim: ValueClaim | ComparisonClaim | TrendClaim,
    design: BlockDesign,
    cells: Sequence[str],
    *,
    practical_difference: float,
    at: str | None = None,
    alpha: float = 0.05,
    higher_is_better: bool = True,
    scale: Scale = POINTS,
) -> ClaimResult:
    """Test one claim, by itself; :func:`adjust` then takes the study's other claims into account.

    A claim is the conjunction of elementary statements (:class:`Statement`): against each of several cells,
    at each step, for each pair. It is upheld if every one of them is, each at level α (an intersection-union
    test, which needs no adjustment), and contradicted if any of them is, at level α/n. Where both hold, for a
    difference that is real but smaller than δ, "better" is contradicted: its verdict would be "no effect
    larger than δ".

    A value is compared with the spread between the cell's own seeds; differences and trends with the residual
    spread pooled over all cells of the design.

    Args:
        claim: from the study file.
        design: the claim's metric; cells that the claim does not name sharpen the pooled spread.
        cells: labels of the design, resolved from ``claim.cells()`` in that order: the one cell of a value;
            the subject and what it is compared with; the levels of a trend, in order.
        practical_difference: δ > 0, in the metric's own unit.
        at: for a claimed peak, the label of its level.
        alpha: level of the tests.
        higher_is_better: how "better", "worse" and "peaks" read the metric.
        scale: how the reason writes the metric.

    Returns:
        The result; undecided if a trial of one of the cells diverged.

    Raises:
        RecipeError: δ is not positive, or ``at`` is not an inner level.

    Example:
        >>> claim = ComparisonClaim(sentence="L1 beats none", kind="comparison", subject="l1", against="none",
        ...                         relation="better")
        >>> values = np.array([[0.684, 0.689, 0.680], [0.651, 0.648, 0.650]])
        >>> result = judge_claim(claim, BlockDesign(("l1", "none"), (0, 1, 2), values), ("l1", "none"),
        ...                      practical_difference=0.005)
        >>> print(result.outcome, "-", result.reason)
        upheld - l1 against none differs by 3.5 points (95 % interval 2.1 to 4.9, p = 0.0088 for higher).

    References:
        Berger (1982), "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24, 295-300
        (intersection-union tests); Schuirmann (1987) for equivalence.
    """
    if not practical_difference > 0:
        raise RecipeError(f"practical_difference must be positive; got {practical_difference:g}")
    broken = [cell for cell in cells if design.diverged(cell)]
    if broken:
        reason = f"{_divergence(design, broken)}, so that the claim cannot be tested."
        return untestable(claim.sentence, reason, alpha, scale)
    evidence = gather(
        claim,
        design,
        cells,
        at=at,
        practical_difference=practical_difference,
        alpha=alpha,
        higher_is_better=higher_is_better,
    )
    return judge_evidence(claim.sentence, evidence, alpha, scale)


def judge_evidence(
    sentence: str, evidence: Evidence, alpha: float = 0.05, scale: Scale = POINTS
) -> ClaimResult:
    """Decide a claim whose estimates are at hand, by itself; see :func:`judge_claim`."""
    result = _undecided(sentence, evidence, "", alpha, scale)
    return _decided(result, alpha, *_raw_p(evidence.statements), levels=(alpha, alpha))


def untestable(sentence: str, reason: str, alpha: float = 0.05, scale: Scale = POINTS) -> ClaimResult:
    """Leave a claim undecided for which there are no estimates, and say why."""
    return _undecided(sentence, Evidence(()), reason, alpha, scale)


def adjust(results: Sequence[ClaimResult], alpha: float = 0.05) -> tuple[ClaimResult, ...]:
    """Adjust the claims of one study for their number, by Holm, and decide them anew.

    The p values of upholding are one family and those of contradicting another: at most a fraction α of
    studies upholds any claim wrongly, and at most a fraction α contradicts any wrongly. Claims that could not
    be tested count.

    Args:
        results: of :func:`judge_claim`, all of one study.
        alpha: family-wise level.

    Returns:
        The results in the same order, with adjusted p values, outcomes, reasons and seeds needed.

    Example:
        >>> adjust(())
        ()
    """
    if not results:
        return ()
    upheld = np.array([_raw_p(result.statements)[0] for result in results])
    contradicted = np.array([_raw_p(result.statements)[1] for result in results])
    adjusted = zip(
        results,
        holm(upheld).tolist(),
        holm(contradicted).tolist(),
        holm_levels(upheld, alpha).tolist(),
        holm_levels(contradicted, alpha).tolist(),
        strict=True,
    )
    return tuple(
        _decided(result, alpha, p, q, levels=(level, other_level), family=len(results))
        for result, p, q, level, other_level in adjusted
    )


def _divergence(design: BlockDesign, cells: Sequence[str]) -> str:
    seeds = len(design.blocks)
    return ", ".join(f"{cell} diverged in {design.diverged(cell)} of {seeds} seeds" for cell in cells)


def _undecided(sentence: str, evidence: Evidence, reason: str, alpha: float, scale: Scale) -> ClaimResult:
    doubts = itertools.chain(evidence.doubts, *(statement.doubts for statement in evidence.statements))
    return ClaimResult(
        sentence=sentence,
        outcome="undecided",
        reason=reason,
        p_upheld=1.0,
        p_contradicted=1.0,
        seeds_needed=None,
        doubts=tuple(dict.fromkeys(doubts)),
        statements=evidence.statements,
        alpha=alpha,
        scale=scale,
        note=evidence.note,
    )


def _raw_p(statements: Sequence[Statement]) -> tuple[float, float]:
    """P values of "not every statement holds" and of "every statement holds"."""
    if not statements:
        return 1.0, 1.0
    upheld = max(statement.p_upheld for statement in statements)
    contradicted = min(statement.p_contradicted for statement in statements)
    return upheld, min(1.0, len(statements) * contradicted)


def _decided(
    result: ClaimResult,
    alpha: float,
    p_upheld: float,
    p_contradicted: float,
    levels: tuple[float, float],
    family: int = 1,
) -> ClaimResult:
    if not result.statements:
        return replace(result, alpha=alpha)
    outcome: ClaimOutcome = "undecided"
    if p_contradicted < alpha:
        outcome = "contradicted"
    elif p_upheld < alpha:
        outcome = "upheld"
    needed = _seeds_needed(result.statements, *levels) if outcome == "undecided" else 0
    contradicting = outcome == "contradicted"
    if contradicting:
        decisive = min(result.statements, key=lambda statement: statement.p_contradicted)
    else:
        decisive = max(result.statements, key=lambda statement: statement.p_upheld)
    parts = [decisive.evidence(result.scale, alpha, contradicting=contradicting)]
    if family > 1 and not decisive.exact:
        p = p_text(p_contradicted if contradicting else p_upheld)
        parts.append(f"adjusted for {family} claims {p}")
    if result.note:
        parts.append(result.note)
    if outcome == "undecided":
        parts.append(more_seeds_text(needed, decisive.estimate.seeds))
    return replace(
        result,
        outcome=outcome,
        reason="; ".join(parts) + ".",
        p_upheld=p_upheld,
        p_contradicted=p_contradicted,
        seeds_needed=needed,
        alpha=alpha,
    )


def _seeds_needed(
    statements: Sequence[Statement], level_upheld: float, level_contradicted: float
) -> int | None:
    """All statements must be upheld, or one contradicted: whichever is sooner."""
    uphold = [statement.seeds_to_uphold(level_upheld) for statement in statements]
    level = level_contradicted / len(statements)
    contradict = [statement.seeds_to_contradict(level) for statement in statements]
    options = [needed for needed in contradict if needed is not None]
    if None not in uphold:
        options.append(max(needed for needed in uphold if needed is not None))
    return min(options, default=None)
