"""The table of how the parts of a study are shown."""

from typing import Any

from foolscope.reports.parts import (
    ablations,
    attack_traces,
    checks,
    corruptions,
    galleries,
    graphs,
    mistakes,
    searches,
    training,
)
from foolscope.reports.parts.attacks import part as attacks
from foolscope.reports.parts.demonstrations import section as demonstrations
from foolscope.reports.parts.inspections import section as inspections
from foolscope.reports.parts.part import PartReport

__all__ = ["PARTS"]

PARTS: dict[str, PartReport[Any]] = {
    "demonstrations": demonstrations.REPORT,
    "training": training.REPORT,
    "graphs": graphs.REPORT,
    "ablations": ablations.REPORT,
    "searches": searches.REPORT,
    "checks": checks.REPORT,
    "inspections": inspections.REPORT,
    "corruptions": corruptions.REPORT,
    "attacks": attacks.REPORT,
    "attack_traces": attack_traces.REPORT,
    "galleries": galleries.REPORT,
    "mistakes": mistakes.REPORT,
}
"""Name of a part to how it is shown; in the order of the report."""
