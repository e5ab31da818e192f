"""What a study can be made of: one room each, with the same name here and in :mod:`foolscope.reports.parts`.

Adding a part is one file here, its line in :data:`PARTS`, and the same in :mod:`foolscope.reports.parts`.
"""

from typing import Any

from foolscope.experiments.parts.ablations import ABLATIONS
from foolscope.experiments.parts.attacks.part import ROBUSTNESS
from foolscope.experiments.parts.demonstrations.part import DEMONSTRATED
from foolscope.experiments.parts.inspections.part import INSPECTIONS
from foolscope.experiments.parts.part import Part
from foolscope.experiments.parts.pending import ATTACK_TRACES, CHECKS, GALLERIES, GRAPHS, MISTAKES
from foolscope.experiments.parts.searches.part import SEARCHES
from foolscope.experiments.parts.training import TRAINING

__all__ = ["PARTS"]

PARTS: dict[str, Part[Any, Any]] = {
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
"""Part by name, which is that of its table in the study file; in the order of the run and of the report."""
