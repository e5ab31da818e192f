"""Chooses the executor: worker processes where the packs were planned to train side by side."""

from collections.abc import Sequence

from foolscope.core.cores import available_cores
from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.experiments.running.packs import Pack
from foolscope.experiments.running.session import Session

__all__ = ["choose_executor"]


def choose_executor(packs: Sequence[Pack], session: Session, known: Sequence[str]) -> str:
    """Return the name of the executor for these packs.

    Worker processes are chosen where the user names no executor, the packs were planned for them, and there
    may be several; :func:`~foolscope.experiments.running.sharing.plan_for_cores` compares the times.

    Raises:
        RecipeError: there is no such executor, or it has one worker and more are asked for.
    """
    name, workers = session.executor, session.workers
    if name not in ("auto", *known):
        raise RecipeError(f"unknown executor {name!r}. {did_you_mean(name, ('auto', *known))}")
    if name == "in-process" and (workers or 1) > 1:
        raise RecipeError(f"the executor in-process has 1 worker; got {workers}. Use --executor processes")
    if name != "auto":
        return name
    planned = any(pack.threads is not None for pack in packs)
    several = len(packs) > 1 and (workers or available_cores()) > 1
    return "processes" if planned and several else "in-process"
