"""Run the published experiments."""

from foolscope.experiments.reproduction import reproductions
from foolscope.experiments.running.run import Observer, ignore_events
from foolscope.experiments.running.session import Session
from foolscope.verbs.study import StudyResult, study

__all__ = ["reproduce"]


def reproduce(
    name: str, *, seeds: int | None = None, session: Session | None = None, observe: Observer = ignore_events
) -> tuple[StudyResult, ...]:
    """Run a published experiment, or what of it the store lacks; the claims carry the published figures.

    Args:
        name: one experiment such as "A3", a letter for all that begin with it, or "all".
        seeds: trials per cell, instead of the study's.
        session: store, data, device and executor; the defaults if not given.
        observe: called as training goes on.

    Returns:
        One result for each study that the experiment needs.

    Raises:
        RecipeError: there is no such experiment.
    """
    session = session or Session()
    return tuple(
        study(each.study, seeds=seeds, session=session, observe=observe) for each in reproductions(name)
    )
