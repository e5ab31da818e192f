"""The checks that a study makes of its claims before anything is trained, without a store."""

from pathlib import Path

from foolscope.experiments.claims.evidence import check_claims
from foolscope.experiments.parts.part import Context
from foolscope.experiments.parts.sources import PartSources
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import Store

__all__ = ["refuse_wrong_claims", "sources_of"]


def sources_of(study, trials=None, records=None):
    """Where claims find their numbers, given trials and records."""
    session = Session(Store(Path("nothing-is-written-here")), device="cpu")
    return PartSources(Context(study, session, trials or {}, records or {}))


def refuse_wrong_claims(study):
    check_claims(study, sources_of(study))
