"""How a quantity goes over the epochs of training: the curves of a trial, and what a claim says of them."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.experiments.claims.claim import CurveClaim
from foolscope.experiments.claims.statements import Evidence
from foolscope.experiments.wording.sentences import scale_of
from foolscope.statistics.estimate import Estimate
from foolscope.statistics.relations import RelationName, Statement
from foolscope.statistics.verdicts import spread_doubts

__all__ = [
    "CURVES",
    "EPOCHS",
    "STEPS",
    "Axis",
    "Curves",
    "changes_since",
    "check_curve",
    "curve_evidence",
    "curve_of",
    "mean_over_seeds",
    "turning_epochs",
]

CURVES = (
    "training_loss",
    "training_accuracy",
    "validation_loss",
    "validation_accuracy",
    "training_cost",
    "validation_cost",
)
"""What a curve claim can be about; a cost is the loss and the penalty on the weights."""

Curves = Float[np.ndarray, "seed epoch"]


@dataclass(frozen=True)
class Axis:
    """What the values of a curve are counted by.

    Args:
        word: for one of them.
        first: the number of the first.
    """

    word: str
    first: int


EPOCHS = Axis("epoch", 1)
STEPS = Axis("step", 0)  # of an attack: the first value is from before the first step

_ROUNDING = 1e-12  # a spread smaller than this, relative to the values, is float64 rounding


def check_curve(name: str) -> None:
    """Refuse a curve that no trial has, before anything is trained for it.

    Raises:
        RecipeError: with the curves that there are.
    """
    if name not in CURVES:
        raise RecipeError(f"unknown curve {name!r}. {did_you_mean(name, CURVES)}")


def curve_of(history: Sequence[Mapping[str, Any]], name: str) -> list[float | None]:
    """Read one of :data:`CURVES`, or any other field of an epoch's record, off the history of a trial.

    Args:
        history: of a trial's outcome, one record per epoch.
        name: the curve.

    Returns:
        One value per epoch; None where it was not measured or was not finite.

    Example:
        >>> history = [{"training_loss": 2.0, "penalty": 0.5}, {"training_loss": None, "penalty": 0.4}]
        >>> curve_of(history, "training_cost"), curve_of(history, "penalty")
        ([2.5, None], [0.5, 0.4])
    """
    part, _, quantity = name.rpartition("_")
    if quantity != "cost":
        return [record[name] for record in history]
    pairs = [(record[f"{part}_loss"], record["penalty"]) for record in history]
    return [None if None in pair else sum(pair) for pair in pairs]


def turning_epochs(curves: Curves) -> Int[np.ndarray, " seed"]:
    r"""Choose for every seed the epoch at which the *other* seeds' mean is lowest.

    .. math:: m_i = \arg\min_e \sum_{j \ne i} y_{je}

    A seed's own minimum would not do: ``last - own minimum`` is never negative, and on a curve that has long
    been level it is positive by as much as the curve shakes, so that every curve would "turn upwards". The
    other seeds know nothing of the shaking of this one: where the expected curve is level, the expectation of
    ``y_iE - y_im`` is 0.

    Returns:
        Positions along the epochs, from 0; the first of equals.
    """
    others = curves.sum(axis=0) - curves
    return np.asarray(np.argmin(others, axis=1))


def changes_since(curves: Curves, epochs: Int[np.ndarray, " seed"]) -> Float[np.ndarray, " seed"]:
    """Return the last value of every curve minus that at its own epoch, a position from 0."""
    return np.asarray(curves[:, -1] - curves[np.arange(len(curves)), epochs])


def mean_over_seeds(values: Float[np.ndarray, " seed"], *, share_a_choice: bool = False) -> Estimate:
    r"""Estimate the expectation of one number per seed.

    Args:
        values: one per seed.
        share_a_choice: the seeds chose each other's epochs, as in :func:`turning_epochs`, which makes them
            dependent: the variance of their mean is then up to twice what their scatter suggests (three times
            with 20 seeds). It is multiplied by :math:`1 + S/(S - 1)`, Nadeau and Bengio's correction for
            estimates that share what was learned from the others. In simulations of level curves of pure
            noise (2 to 20 seeds, 5 to 100 epochs, independent or autocorrelated) a turn is then found in at
            most 4 % of studies.

    Returns:
        The mean, with its standard error and ``S - 1`` degrees of freedom.

    References:
        Nadeau and Bengio (2003), "Inference for the generalization error", Machine Learning 52, 239-281,
        section 3.
    """
    seeds, mean = len(values), float(values.mean())
    if seeds < 2:
        return Estimate(mean, math.nan, 0, seeds)
    deviation = float(values.std(ddof=1))
    if deviation <= _ROUNDING * float(np.abs(values).max()):
        deviation = 0.0
    inflation = 1 + seeds / (seeds - 1) if share_a_choice else 1.0
    return Estimate(mean, deviation * math.sqrt(inflation / seeds), seeds - 1, seeds)


def curve_evidence(
    claim: CurveClaim, curves: Mapping[str, Curves], practical_difference: float, axis: Axis = EPOCHS
) -> Evidence:
    """Estimate everything that a claim about curves is about.

    Args:
        claim: from the study file.
        curves: name to curves, for the claim's metric and that of ``meanwhile``; finite, alike in shape.
        practical_difference: δ, where the claim does not say ``by``.
        axis: what the values are counted by.

    Returns:
        The statements: one t interval over the seeds for each curve, or for each step.
    """
    own, words = curves[claim.metric], _words(claim.metric)
    is_up = claim.relation.startswith("rises") or claim.relation == "turns upwards"
    relation: RelationName = "more" if is_up else "less"
    if claim.relation.endswith("steadily"):
        return Evidence(tuple(_steps(own, claim.metric, relation, axis)))
    if claim.relation in ("rises", "falls"):
        starts, span, note = np.zeros(len(own), dtype=int), f"From the first {axis.word} to the last", ""
    else:
        starts = turning_epochs(own if is_up else -own)
        extreme = "lowest" if is_up else "highest"
        span = f"From its {extreme} point to the last {axis.word}"
        places = _places(starts, own.shape[1], axis)
        note = f"each seed is measured from where the others are {extreme}, {places}"
    chosen = claim.relation.startswith("turns")
    at_the_end = bool(np.all(starts == own.shape[1] - 1))

    def statement(text: str, relation: RelationName, metric: str, by: float | None) -> Statement:
        estimate = mean_over_seeds(changes_since(curves[metric], starts), share_a_choice=chosen)
        margin = practical_difference if by is None else by
        doubts = () if chosen and at_the_end else spread_doubts(estimate)
        return Statement(text, relation, estimate, margin, doubts=doubts, scale=scale_of(metric))

    statements = [statement(f"{span} the {words} goes by", relation, claim.metric, claim.by)]
    if claim.meanwhile is not None:
        other: RelationName = "more" if claim.meanwhile.relation == "rises" else "less"
        text = f"Over the same {axis.word}s the {_words(claim.meanwhile.metric)} goes by"
        statements.append(statement(text, other, claim.meanwhile.metric, claim.meanwhile.by))
    return Evidence(tuple(statements), note=note)


def _steps(curves: Curves, metric: str, relation: RelationName, axis: Axis) -> list[Statement]:
    words, scale, steps = _words(metric), scale_of(metric), []
    for earlier, later in itertools.pairwise(range(curves.shape[1])):
        estimate = mean_over_seeds(curves[:, later] - curves[:, earlier])
        text = f"From {axis.word} {earlier + axis.first} to {later + axis.first} the {words} goes by"
        # A step may be as small as it likes, so long as it is one: no margin.
        steps.append(Statement(text, relation, estimate, 0.0, doubts=spread_doubts(estimate), scale=scale))
    return steps


def _words(name: str) -> str:
    """Write ``training_loss``, or ``attack_loss:pgd@8/255``, in words."""
    quantity, _, rest = name.partition(":")
    attack, _, budget = rest.partition("@")
    return quantity.replace("_", " ") + (f" of {attack} with ε = {budget}" if rest else "")


def _places(starts: Int[np.ndarray, " seed"], count: int, axis: Axis) -> str:
    first, last = int(starts.min()) + axis.first, int(starts.max()) + axis.first
    where = f"{axis.word} {first}" if first == last else f"{axis.word}s {first} to {last}"
    return f"{where} of {count - 1 + axis.first}"
