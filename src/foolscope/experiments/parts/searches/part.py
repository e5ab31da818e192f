"""Searches as a part of a study: ``[[searches]]``."""

from collections.abc import Iterator
from typing import Annotated

import pydantic
from pydantic import Field

from foolscope.experiments.parts.part import Context, Entry, Part
from foolscope.experiments.parts.searches.driver import check_search, search
from foolscope.experiments.parts.searches.records import SearchRecord
from foolscope.experiments.parts.searches.strategies import SearchSettings

__all__ = ["PART", "SearchPlan"]

_Values = Annotated[tuple[pydantic.JsonValue, ...], Field(min_length=1)]


class SearchPlan(SearchSettings):
    """A search for better settings of a recipe, as a study file states it."""

    recipe: str
    over: Annotated[dict[str, str | _Values], Field(min_length=1)] = Field(
        description='field to range, as in "1e-4:1:log", or to a list of values'
    )


def _check(plan: SearchPlan, context: Context) -> None:
    check_search(context.study.recipes[plan.recipe], plan.over, plan, context.session)


def _run(plan: SearchPlan, context: Context, entry: Entry) -> list[SearchRecord]:
    return [
        search(
            context.study.recipes[plan.recipe],
            plan.over,
            session=context.session,
            settings=plan,
            name=plan.recipe,
            practical_difference=context.study.practical_difference,
            observe=context.observe,
        )
    ]


def _identities(record: SearchRecord) -> Iterator[str]:
    for each in record.rounds:
        for trial in each.trials:
            yield from trial.identities
    for contender in filter(None, [record.baseline, record.winner]):
        yield from contender.identities


PART = Part(
    plan=SearchPlan,
    record=SearchRecord,
    run=_run,
    activity="searching",
    recipes=lambda plan: [plan.recipe],
    check=_check,
    identities=_identities,
)
