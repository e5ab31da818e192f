"""The ``[[claims]]`` of a study file: sentences that a test upholds or contradicts."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from foolscope.core.settings import Settings

__all__ = [
    "Claim",
    "ComparisonClaim",
    "CurveClaim",
    "CurveRelation",
    "Meanwhile",
    "Selector",
    "TrendClaim",
    "ValueClaim",
]

CurveRelation = Literal[
    "rises", "falls", "rises steadily", "falls steadily", "turns upwards", "turns downwards"
]


class Selector(Settings):
    """Which cell a claim speaks of: a recipe of the study and what is set differently from it.

    In TOML a name alone is a recipe, and a table gives settings, beside ``recipe`` where it is not the
    claim's own::

        subject = "l1"
        against = [{ recipe = "none", learning_rate = 0.1 }]

    Args:
        recipe: name of a recipe in the study; None for the claim's own.
        settings: field to value, by the short names of a recipe's fields; the study checks them.
    """

    recipe: str | None = None
    settings: dict[str, pydantic.JsonValue] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="before")
    @classmethod
    def _short_form(cls, given: Any) -> Any:
        if isinstance(given, str):
            return {"recipe": given}
        if isinstance(given, Mapping) and "settings" not in given:
            settings = {name: value for name, value in given.items() if name != "recipe"}
            return {"recipe": given.get("recipe"), "settings": settings}
        return given

    def within(self, recipe: str | None) -> "Selector":
        """The same cell with the claim's recipe filled in where none is named."""
        return self if self.recipe is not None else Selector(recipe=recipe, settings=self.settings)


class _Claim(Settings):
    """What every claim has.

    Args:
        sentence: the claim in words; the report prints it.
        metric: which number of a trial it is about.
        published: the published figure, if there is one, to stand beside ours.
        source: where it was published.
    """

    # ``is`` is a Python keyword: the field is called ``relation`` here, and ``is`` in a study file.
    model_config = pydantic.ConfigDict(populate_by_name=True)

    sentence: str = pydantic.Field(min_length=1)
    metric: str = "test_accuracy"
    published: float | str | None = None
    source: str | None = None


class ValueClaim(_Claim):
    """A cell's mean over seeds is this value, or at least or at most this value.

    Args:
        recipe: which recipe of the study; None for a metric that names its own, as a demonstration's does.
        settings: what is set differently from it.
        relation: ``is`` in the file.
        value: the claimed value, in the metric's own unit.
        tolerance: how far off still counts. None means the study's practical difference for "equal" and
            nothing for "at least" and "at most".
    """

    kind: Literal["value"]
    recipe: str | None = None
    settings: dict[str, pydantic.JsonValue] = pydantic.Field(default_factory=dict)
    relation: Literal["equal", "at least", "at most"] = pydantic.Field("equal", alias="is")
    value: float
    tolerance: float | None = pydantic.Field(None, ge=0)

    @pydantic.model_validator(mode="after")
    def _tolerance_is_positive(self) -> "ValueClaim":
        if self.relation == "equal" and self.tolerance == 0:
            raise ValueError(
                "tolerance must be positive where a value is claimed: no mean is exactly equal to it"
            )
        return self

    def cells(self) -> tuple[Selector, ...]:
        """The one cell that the claim is about; none where it is about a measure."""
        return () if self.recipe is None else (Selector(recipe=self.recipe, settings=self.settings),)


class ComparisonClaim(_Claim):
    """One cell compared with one or several others.

    Args:
        recipe: the recipe of every selector that names none.
        subject: the cell that the sentence is about.
        against: one cell or several; the claim must hold against each.
        relation: ``is`` in the file. "better", "worse" and "best" (the same as "better", said of several)
            follow the metric's orientation; so do the one-sided "no better" and "no worse", said up to the
            practical difference; "higher" and "lower" are about the bare number.
    """

    kind: Literal["comparison"]
    recipe: str | None = None
    subject: Selector
    against: tuple[Selector, ...] = pydantic.Field(min_length=1)
    relation: Literal["better", "worse", "best", "higher", "lower", "equal", "no better", "no worse"] = (
        pydantic.Field(alias="is")
    )

    @pydantic.field_validator("against", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str | Mapping | Selector) else given

    @pydantic.model_validator(mode="after")
    def _cells_are_named(self) -> "ComparisonClaim":
        cells = self.cells()
        if any(cell.recipe is None for cell in cells):
            raise ValueError(
                "the subject and what it is compared with need a recipe each, or the claim needs one"
            )
        if cells[0] in cells[1:]:
            raise ValueError("the subject is compared with itself")
        return self

    def cells(self) -> tuple[Selector, ...]:
        """The subject, then each cell it is compared with."""
        return tuple(cell.within(self.recipe) for cell in (self.subject, *self.against))


class TrendClaim(_Claim):
    """How the metric goes over the ordered levels of one factor.

    Args:
        recipe: which recipe of the study.
        settings: what is set differently from it at every level.
        factor: short name of the field that is varied.
        levels: its values in order; None for all that the study's ablation has, ascending.
        relation: ``is`` in the file. "rises" and "falls": the linear trend over the ranks of the levels.
            "rises steadily" and "falls steadily": each single step. "flat": no two levels differ. "peaks":
            ``at`` is better than the levels beside it.
        at: the level of the optimum, for "peaks".

    Example:
        >>> entry = {"sentence": "A larger batch is worse", "kind": "trend", "recipe": "mlp",
        ...          "factor": "batch_size", "is": "falls"}
        >>> TrendClaim.model_validate(entry).relation
        'falls'
    """

    kind: Literal["trend"]
    recipe: str
    settings: dict[str, pydantic.JsonValue] = pydantic.Field(default_factory=dict)
    factor: str
    levels: tuple[pydantic.JsonValue, ...] | None = pydantic.Field(None, min_length=2)
    relation: Literal["rises", "falls", "rises steadily", "falls steadily", "flat", "peaks"] = pydantic.Field(
        alias="is"
    )
    at: pydantic.JsonValue = None

    @pydantic.model_validator(mode="after")
    def _peak_has_a_place(self) -> "TrendClaim":
        if (self.relation == "peaks") != (self.at is not None):
            raise ValueError(
                'is = "peaks" needs the level of the peak, as in at = 0.9, and nothing else takes it'
            )
        if self.levels is not None and self.at is not None and self.at not in self.levels[1:-1]:
            raise ValueError(f"at must be one of the inner levels {list(self.levels[1:-1])}; got {self.at!r}")
        return self

    def cells(self) -> tuple[Selector, ...]:
        """One cell per level; none if the study has to say which levels there are."""
        return tuple(
            Selector(recipe=self.recipe, settings={**self.settings, self.factor: level})
            for level in self.levels or ()
        )


class Meanwhile(Settings):
    """What another curve does over the same epochs as a claim's own.

    Args:
        metric: which curve.
        relation: ``is`` in the file; over the epochs over which the claim's own curve is looked at.
        by: see :class:`CurveClaim`.
    """

    model_config = pydantic.ConfigDict(populate_by_name=True)

    metric: str
    relation: Literal["rises", "falls"] = pydantic.Field(alias="is")
    by: float | None = pydantic.Field(None, gt=0)


class CurveClaim(_Claim):
    """How a quantity goes over the epochs of training; tests in :mod:`foolscope.experiments.claims.curves`.

    Args:
        metric: which curve, such as "validation_loss".
        recipe: which recipe of the study.
        settings: what is set differently from it.
        relation: ``is`` in the file. "rises" and "falls": from the first epoch to the last. "rises steadily"
            and "falls steadily": at every single step. "turns upwards" and "turns downwards": from its lowest
            (highest) point to the last epoch, the point being chosen by the other seeds.
        by: the smallest change that counts, in the metric's own unit; None for the study's practical
            difference. A single step of a steady rise may be as small as it likes.
        meanwhile: what another curve does over the same epochs.

    Example:
        >>> entry = {"sentence": "It overfits", "kind": "curve", "recipe": "cnn", "metric": "validation_loss",
        ...          "is": "turns upwards", "meanwhile": {"metric": "running_loss", "is": "falls"}}
        >>> CurveClaim.model_validate(entry).meanwhile.relation
        'falls'
    """

    kind: Literal["curve"]
    metric: str
    recipe: str
    settings: dict[str, pydantic.JsonValue] = pydantic.Field(default_factory=dict)
    relation: CurveRelation = pydantic.Field(alias="is")
    by: float | None = pydantic.Field(None, gt=0)
    meanwhile: Meanwhile | None = None

    @pydantic.model_validator(mode="after")
    def _two_curves_over_one_window(self) -> "CurveClaim":
        if self.meanwhile is None:
            return self
        if self.relation in ("rises steadily", "falls steadily"):
            raise ValueError("meanwhile cannot be combined with a steady relation; make it a separate claim")
        if self.meanwhile.metric == self.metric:
            raise ValueError(f"meanwhile must be about a curve other than {self.metric}")
        return self

    def cells(self) -> tuple[Selector, ...]:
        """The one cell that the claim is about."""
        return (Selector(recipe=self.recipe, settings=self.settings),)


Claim = Annotated[
    ValueClaim | ComparisonClaim | TrendClaim | CurveClaim, pydantic.Field(discriminator="kind")
]
"""One entry of ``[[claims]]``; ``kind`` says which."""
