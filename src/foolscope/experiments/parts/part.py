"""What a part of a study is: a table of the study file that runs on trained models and returns records."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from torch import Tensor

from foolscope.core.settings import Settings
from foolscope.experiments.claims.metric import Metric
from foolscope.experiments.claims.sources import Cell, Design, Measured
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.run import Observer, Session, StageEvent, ignore_events
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study import Study

__all__ = ["Context", "Entry", "Part", "Tell", "Trials", "finished"]

PlanT = TypeVar("PlanT")
RecordT = TypeVar("RecordT", bound=Settings)

Trials = dict[Recipe, list[StoredTrial]]
"""Recipe, as in the study and without the seed, to its trials, one per seed."""

Tell = Callable[[float, str], None]
"""Is told of progress: the fraction done, in [0, 1], and a detail."""


@dataclass(frozen=True)
class Context:
    """What the parts of a study work with.

    Args:
        study: the whole study.
        session: store, data and device.
        trials: what has been trained; filled once everything is.
        records: part to its records, of the parts that have run.
        arrays: pixels and weights for the report, by key; a part adds its own.
        observe: is told of progress.
    """

    study: Study
    session: Session
    trials: Trials = field(default_factory=dict)
    records: dict[str, list[Any]] = field(default_factory=dict)
    arrays: dict[str, Tensor] = field(default_factory=dict)
    observe: Observer = ignore_events

    def trials_of(self, name: str) -> Sequence[StoredTrial]:
        """Return the trials of a recipe by its name in the study, one per seed."""
        return self.trials[self.study.recipes[name]]

    def teller(self, activity: str, place: int = 0, count: int = 1) -> Tell:
        """Return what is told of progress with one of several things to do."""
        return lambda done, detail: self.observe(StageEvent(activity, (place + done) / count, detail))


@dataclass(frozen=True)
class Entry:
    """One entry of a part's table while it runs.

    Args:
        place: among the entries of its table, from 0.
        tell: is told of progress.
    """

    place: int
    tell: Tell


def finished(trials: Sequence[StoredTrial]) -> list[StoredTrial]:
    """Return the trials whose training did not diverge."""
    return [trial for trial in trials if trial.status != "diverged"]


def _nothing(*_: Any) -> tuple[()]:
    return ()


def _no_fields(entry: Mapping[str, Any]) -> dict[str, list[str]]:
    return {}


def _accept(*_: Any) -> None:
    return None


def _not_measured(metric: Metric, cell: Cell | None, context: Context) -> Measured:
    raise NotImplementedError(f"no part measures {metric}")


@dataclass(frozen=True)
class Part(Generic[PlanT, RecordT]):
    """A part of a study. Only ``plan``, ``record``, ``run`` and ``activity`` are required.

    Args:
        plan: type of one entry of its table in the study file; anything that pydantic validates.
        record: type of what it returns, which is what is stored and drawn.
        run: from an entry to its records, given the trained models of every seed; pixels go to the context's
            arrays. No records where there is nothing to run on.
        activity: what progress calls it: "attacking".
        is_single: whether the study file has one table, ``[checks]``, and not several, ``[[attacks]]``.
        plans: from a study without its tables to the entries that follow from its recipes; for a part that
            has no table.
        recipes: names of the recipes that an entry mentions; they must exist.
        check: refuses an entry that cannot run, before anything trains.
        designs: the block designs of a study, whose cells are trained with every seed.
        measures: what the names of its metrics begin with, up to a colon.
        metrics: what claims can be about, in this study.
        measured: one of these metrics, of a cell, after everything has run.
        check_metric: refuses a claim about one of these metrics that only a model or the data can refuse.
        identities: of the trials that an entry trained by itself.
        fields: from an entry as the file has it to the fields that its nested tables may have, by dotted
            prefix; for "did you mean".
    """

    plan: Any
    record: type[RecordT]
    run: Callable[[PlanT, Context, Entry], Sequence[RecordT]]
    activity: str
    is_single: bool = False
    plans: Callable[[Study], Sequence[PlanT]] | None = None
    recipes: Callable[[PlanT], Iterable[str]] = _nothing
    check: Callable[[PlanT, Context], None] = _accept
    designs: Callable[[Study], Iterable[Design]] = _nothing
    measures: tuple[str, ...] = ()
    metrics: Callable[[Study], Iterable[Metric]] = _nothing
    measured: Callable[[Metric, Cell | None, Context], Measured] = _not_measured
    check_metric: Callable[[Metric, Cell | None, Context], None] = _accept
    identities: Callable[[RecordT], Iterable[str]] = _nothing
    fields: Callable[[Mapping[str, Any]], Mapping[str, Iterable[str]]] = _no_fields
