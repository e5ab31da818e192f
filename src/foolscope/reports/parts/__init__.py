"""The parts of a study as a report shows them: the same names as in :mod:`foolscope.experiments.parts`."""

from typing import Any

from foolscope.reports.parts.ablations import ABLATIONS
from foolscope.reports.parts.attacks.part import ROBUSTNESS
from foolscope.reports.parts.galleries import GALLERIES
from foolscope.reports.parts.mistakes import MISTAKES
from foolscope.reports.parts.part import PartReport
from foolscope.reports.parts.pending import ATTACK_TRACES, CHECKS, DEMONSTRATED, GRAPHS, INSPECTIONS
from foolscope.reports.parts.searches import SEARCHES
from foolscope.reports.parts.training import TRAINING

__all__ = ["PARTS"]

PARTS: dict[str, PartReport[Any]] = {
    "demonstrations": DEMONSTRATED,
    "training": TRAINING,
    "graphs": GRAPHS,
    "ablations": ABLATIONS,
    "searches": SEARCHES,
    "checks": CHECKS,
    "inspections": INSPECTIONS,
    "attacks": ROBUSTNESS,
    "attack_traces": ATTACK_TRACES,
    "galleries": GALLERIES,
    "mistakes": MISTAKES,
}
"""Name of a part to how it is shown; in the order of the report."""
