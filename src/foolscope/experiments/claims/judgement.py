"""The tests of claims: upheld, contradicted or undecided, and why."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from foolscope.core.errors import RecipeError
from foolscope.experiments.claims.claim import ComparisonClaim, TrendClaim, ValueClaim
from foolscope.experiments.claims.statements import Evidence, claim_evidence
from foolscope.experiments.wording.sentences import POINTS, Scale, more_seeds_text, p_text
from foolscope.experiments.wording.statements import statement_sentence
from foolscope.statistics.blocks import BlockDesign
from foolscope.statistics.conjunctions import Decision, DecisionOutcome, decide
from foolscope.statistics.relations import Statement

__all__ = ["ClaimResult", "adjust_claims", "judge_claim", "judge_evidence", "untestable"]


@dataclass(frozen=True)
class ClaimResult:
    """What became of a claim.

    Args:
        sentence: the claim's own.
        outcome: the decision.
        reason: one sentence with the estimate that decided, or that could not.
        p_upheld: below the level of the tests where the claim is upheld; adjusted by :func:`adjust_claims`.
        p_contradicted: below the level where it is contradicted; adjusted by :func:`adjust_claims`.
        seeds_needed: about how many more would decide; 0 if decided, None if over 1000 or unknown.
        evidence: the elementary statements, all of which the claim makes; none if a trial diverged.
        scale: how the metric is written.
    """

    sentence: str
    outcome: DecisionOutcome
    reason: str
    p_upheld: float
    p_contradicted: float
    seeds_needed: int | None
    evidence: Evidence
    scale: Scale

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the result should be read with care."""
        return self.evidence.all_doubts

    @property
    def statements(self) -> tuple[Statement, ...]:
        """What is tested."""
        return tuple(each.statement for each in self.evidence.statements)


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
    """Test one claim by itself; :func:`adjust_claims` then takes the study's other claims into account.

    A claim is the conjunction of elementary statements (:class:`Statement`): against each of several cells,
    at each step, for each pair. It is upheld if every one of the n statements is, each at level α (an
    intersection-union test, which needs no adjustment), and contradicted if any of them is, at level α/n.
    Where both hold, the difference is real but smaller than δ, "smaller than matters".

    A value is compared with the spread between the cell's own seeds; differences and trends with a spread for
    which the other cells count as far as they scatter alike (:mod:`foolscope.statistics.spread`).

    Args:
        claim: from the study file.
        design: the claim's metric; cells that the claim does not name make the pooled spread more precise.
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
        >>> import numpy as np
        >>> claim = ComparisonClaim(sentence="L1 beats none", kind="comparison", subject="l1", against="none",
        ...                         relation="better")
        >>> values = np.array([[0.684, 0.689, 0.680], [0.651, 0.648, 0.650]])
        >>> result = judge_claim(claim, BlockDesign(("l1", "none"), (0, 1, 2), values), ("l1", "none"),
        ...                      practical_difference=0.005)
        >>> print(result.outcome, "-", result.reason)
        upheld - l1 is 3.5 points above none (95 % interval 2.1 to 4.9; test for higher: p = 0.0088).

    References:
        Berger (1982), "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24, 295-300
        (intersection-union tests); Schuirmann (1987) for equivalence.
    """
    if not practical_difference > 0:
        raise RecipeError(f"practical_difference must be positive; got {practical_difference:g}")
    broken = [cell for cell in cells if design.diverged(cell)]
    if broken:
        reason = f"{_divergence(design, broken)}, so the claim cannot be tested."
        return untestable(claim.sentence, reason, scale)
    evidence = claim_evidence(
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
    """Decide a claim by itself from statements whose estimates are at hand; see :func:`judge_claim`."""
    return adjust_claims([_undecided(sentence, evidence, "", scale)], alpha)[0]


def untestable(sentence: str, reason: str, scale: Scale = POINTS) -> ClaimResult:
    """Leave a claim undecided for which there are no estimates, and say why."""
    return _undecided(sentence, Evidence(()), reason, scale)


def adjust_claims(results: Sequence[ClaimResult], alpha: float = 0.05) -> tuple[ClaimResult, ...]:
    """Adjust the claims of one study for their number, by Holm, and decide them anew.

    At most a fraction α of studies upholds any claim wrongly, and at most a fraction α contradicts any
    wrongly; see :func:`foolscope.statistics.conjunctions.decide`. Claims that could not be tested count.

    Returns:
        The results in the same order, with adjusted p values, outcomes, reasons and seeds needed.

    Example:
        >>> adjust_claims(())
        ()
    """
    decisions = decide([result.statements for result in results], alpha)
    return tuple(
        _decided(result, decision, alpha, family=len(results))
        for result, decision in zip(results, decisions, strict=True)
    )


def _divergence(design: BlockDesign, cells: Sequence[str]) -> str:
    seeds = len(design.blocks)
    return ", ".join(f"{cell} diverged in {design.diverged(cell)} of {seeds} seeds" for cell in cells)


def _undecided(sentence: str, evidence: Evidence, reason: str, scale: Scale) -> ClaimResult:
    return ClaimResult(
        sentence=sentence,
        outcome="undecided",
        reason=reason,
        p_upheld=1.0,
        p_contradicted=1.0,
        seeds_needed=None,
        evidence=evidence,
        scale=scale,
    )


def _decided(result: ClaimResult, decision: Decision, alpha: float, family: int) -> ClaimResult:
    if decision.decisive is None:
        return result
    statement, quantity, _ = result.evidence.statements[decision.decisive]
    contradicting = decision.outcome == "contradicted"
    parts = [statement_sentence(statement, quantity, result.scale, alpha, contradicting=contradicting)]
    if family > 1 and not quantity.exact:
        p = p_text(decision.p_contradicted if contradicting else decision.p_upheld)
        parts.append(f"adjusted for {family} claims {p}")
    if result.evidence.note:
        parts.append(result.evidence.note)
    if decision.outcome == "undecided":
        parts.append(more_seeds_text(decision.seeds_needed, statement.estimate.seeds))
    return replace(
        result,
        outcome=decision.outcome,
        reason="; ".join(parts) + ".",
        p_upheld=decision.p_upheld,
        p_contradicted=decision.p_contradicted,
        seeds_needed=decision.seeds_needed,
    )
