"""The searches of a study: how its file states them, and running them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

import pydantic
from pydantic import Field

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.search.driver import check_search, search
from foolscope.experiments.parts.search.strategies import SearchSettings
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.records import SearchRecord
from foolscope.experiments.running.run import Observer, Session
from foolscope.experiments.running.store import Store, StoredTrial

__all__ = ["SearchPlan", "check_searches", "run_searches", "searched_trials"]

_Values = Annotated[tuple[pydantic.JsonValue, ...], Field(min_length=1)]


class SearchPlan(SearchSettings):
    """A search for better settings of a recipe, as a study file states it."""

    recipe: str
    over: Annotated[dict[str, str | _Values], Field(min_length=1)] = Field(
        description='field to range, as in "1e-4:1:log", or to a list of values'
    )


def check_searches(plans: Sequence[SearchPlan], recipes: Mapping[str, Recipe], session: Session) -> None:
    """Refuse a search that cannot be run, before anything of the study is trained.

    Raises:
        RecipeError: what is wrong with which search.
    """
    for position, plan in enumerate(plans):
        try:
            check_search(recipes[plan.recipe], plan.over, plan, session)
        except RecipeError as error:
            raise RecipeError(f"searches.{position}: {error}") from error


def run_searches(
    plans: Sequence[SearchPlan],
    recipes: Mapping[str, Recipe],
    session: Session,
    *,
    practical_difference: float,
    observe: Observer,
) -> list[SearchRecord]:
    """Run the searches of a study, one after another."""
    return [
        search(
            recipes[plan.recipe],
            plan.over,
            session=session,
            settings=plan,
            name=plan.recipe,
            practical_difference=practical_difference,
            observe=observe,
        )
        for plan in plans
    ]


def searched_trials(
    searches: Sequence[SearchRecord], known: Collection[str], store: Store
) -> list[StoredTrial]:
    """Return the trials of searches whose identities are not among those known, each once."""
    identities: dict[str, None] = {}
    for record in searches:
        contenders = [record.baseline, record.winner] if record.winner else [record.baseline]
        tried = [trial for each in record.rounds for trial in each.trials]
        for own in (tried, contenders):
            identities |= dict.fromkeys(identity for each in own for identity in each.identities)
    return [store.load(identity) for identity in identities if identity not in known]
