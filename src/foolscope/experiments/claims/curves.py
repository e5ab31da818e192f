"""Claims about curves: the curves of a trial or an attack, and the statements that a claim makes of them."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from foolscope.experiments.claims.claim import CurveClaim
from foolscope.experiments.claims.statements import ClaimStatement, Evidence
from foolscope.experiments.wording.fields import metric_words
from foolscope.experiments.wording.quantities import change_of
from foolscope.experiments.wording.sentences import scale_of
from foolscope.statistics.curves import changes_since, turning_epochs, turning_estimate
from foolscope.statistics.doubts import estimate_doubts
from foolscope.statistics.estimate import mean_estimate
from foolscope.statistics.relations import RelationName, Statement

__all__ = ["CURVES", "EPOCHS", "STEPS", "Axis", "Curves", "curve_evidence", "curve_of"]

CURVES = (
    "running_loss",
    "running_accuracy",
    "validation_loss",
    "validation_accuracy",
    "validation_balanced_accuracy",
    "validation_f1",
    "validation_auc",
    "validation_brier",
    "running_cost",
    "validation_cost",
)
"""What a curve claim can be about; a cost is the loss plus the penalty on the weights.

What is called running is the mean over an epoch's minibatches, while the weights change.
"""

Curves = Float[np.ndarray, "seed epoch"]


@dataclass(frozen=True)
class Axis:
    """What the horizontal axis of a curve counts.

    Args:
        word: for one position on it.
        first: the number of the first position.
    """

    word: str
    first: int


EPOCHS = Axis("epoch", 1)
STEPS = Axis("step", 0)  # of an attack: its first value is measured before the first step


def curve_of(history: Sequence[Mapping[str, Any]], name: str) -> list[float | None]:
    """Read one of :data:`CURVES`, or any field of an epoch's record, from the history of a trial.

    Returns:
        One value per epoch; None where it was not measured or was not finite.

    Example:
        >>> history = [{"running_loss": 2.0, "penalty": 0.5}, {"running_loss": None, "penalty": 0.4}]
        >>> curve_of(history, "running_cost"), curve_of(history, "penalty")
        ([2.5, None], [0.5, 0.4])
    """
    part, _, quantity = name.rpartition("_")
    if quantity != "cost":
        return [record.get(name) for record in history]
    pairs = [(record[f"{part}_loss"], record["penalty"]) for record in history]
    return [None if None in pair else sum(pair) for pair in pairs]


def curve_evidence(
    claim: CurveClaim, curves: Mapping[str, Curves], practical_difference: float, axis: Axis = EPOCHS
) -> Evidence:
    """Estimate everything that a claim about curves is about.

    Args:
        claim: from the study file.
        curves: name to curves, for the claim's metric and that of ``meanwhile``; finite, alike in shape.
        practical_difference: δ, where the claim does not say ``by``.
        axis: what the columns of the curves are.

    Returns:
        The statements: one t interval over the seeds for each curve, or for each step.
    """
    own = curves[claim.metric]
    is_up = claim.relation.startswith("rises") or claim.relation == "turns upwards"
    relation: RelationName = "more" if is_up else "less"
    if claim.relation.endswith("steadily"):
        return Evidence(tuple(_steps(own, claim.metric, relation, axis)))
    is_turn = claim.relation.startswith("turns")
    if is_turn:
        starts = turning_epochs(own if is_up else -own)
        extreme = "lowest" if is_up else "highest"
        span = f"from its {extreme} point to the last {axis.word}"
        places = _places(starts, own.shape[1], axis)
        note = f"each seed is measured from the {axis.word} at which the others are {extreme}, {places}"
    else:
        starts, span, note = np.zeros(len(own), dtype=int), f"from the first {axis.word} to the last", ""
    is_last = is_turn and bool(np.all(starts == own.shape[1] - 1))  # then there is no change, nor any spread

    def statement(metric: str, span: str, relation: RelationName, by: float | None) -> ClaimStatement:
        changes = changes_since(curves[metric], starts)
        estimate = turning_estimate(changes) if is_turn else mean_estimate(changes)
        stated = Statement(relation, estimate, practical_difference if by is None else by)
        quantity = change_of(f"the {_words(metric)}", span, scale=scale_of(metric))
        return ClaimStatement(stated, quantity, () if is_last else estimate_doubts(estimate))

    statements = [statement(claim.metric, span, relation, claim.by)]
    if claim.meanwhile is not None:
        other: RelationName = "more" if claim.meanwhile.relation == "rises" else "less"
        span = f"over the same {axis.word}s"
        statements.append(statement(claim.meanwhile.metric, span, other, claim.meanwhile.by))
    return Evidence(tuple(statements), note=note)


def _steps(curves: Curves, metric: str, relation: RelationName, axis: Axis) -> list[ClaimStatement]:
    steps = []
    for earlier, later in itertools.pairwise(range(curves.shape[1])):
        estimate = mean_estimate(curves[:, later] - curves[:, earlier])
        span = f"from {axis.word} {earlier + axis.first} to {later + axis.first}"
        quantity = change_of(f"the {_words(metric)}", span, scale=scale_of(metric))
        # Any step in the right direction counts, however small: no margin.
        steps.append(ClaimStatement(Statement(relation, estimate, 0.0), quantity, estimate_doubts(estimate)))
    return steps


def _words(name: str) -> str:
    """Write ``running_loss``, or ``attack_loss:pgd@8/255``, in words."""
    quantity, _, rest = name.partition(":")
    attack, _, budget = rest.partition("@")
    return metric_words(quantity) + (f" of {attack} with ε = {budget}" if rest else "")


def _places(starts: NDArray[np.int_], count: int, axis: Axis) -> str:
    first, last = int(starts.min()) + axis.first, int(starts.max()) + axis.first
    where = f"{axis.word} {first}" if first == last else f"{axis.word}s {first} to {last}"
    return f"{where} of {count - 1 + axis.first}"
