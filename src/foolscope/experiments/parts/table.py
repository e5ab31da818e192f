"""The table of what a study can be made of."""

from typing import Any

from foolscope.experiments.parts import (
    ablations,
    attack_traces,
    checks,
    galleries,
    graphs,
    mistakes,
    training,
)
from foolscope.experiments.parts.attacks import part as attacks
from foolscope.experiments.parts.corruptions import part as corruptions
from foolscope.experiments.parts.demonstrations import part as demonstrations
from foolscope.experiments.parts.inspections import part as inspections
from foolscope.experiments.parts.part import Part
from foolscope.experiments.parts.searches import part as searches

__all__ = ["PARTS"]

PARTS: dict[str, Part[Any, Any]] = {
    "demonstrations": demonstrations.PART,
    "training": training.PART,
    "graphs": graphs.PART,
    "ablations": ablations.PART,
    "searches": searches.PART,
    "checks": checks.PART,
    "inspections": inspections.PART,
    "corruptions": corruptions.PART,
    "attacks": attacks.PART,
    "attack_traces": attack_traces.PART,
    "galleries": galleries.PART,
    "mistakes": mistakes.PART,
}
"""Part by name, which is that of its table in the study file; in the order of the run and of the report."""
