"""Demonstrations: numerical experiments that train no image classifier.

To add one, write a file here with a :class:`Demonstration`, one of the same name beside the report's section,
and a line each in :data:`DEMONSTRATIONS` and in the table of
:mod:`foolscope.reports.parts.demonstrations.section`.
"""

from foolscope.experiments.parts.demonstrations.constructive_approximation import CONSTRUCTIVE_APPROXIMATION
from foolscope.experiments.parts.demonstrations.curve_fit import CURVE_FIT
from foolscope.experiments.parts.demonstrations.gradient_flow import GRADIENT_FLOW
from foolscope.experiments.parts.demonstrations.kind import Demonstration, DemonstrationSettings, Outcome
from foolscope.experiments.parts.demonstrations.linear_regression import LINEAR_REGRESSION
from foolscope.experiments.parts.demonstrations.low_rank import LOW_RANK
from foolscope.experiments.parts.demonstrations.shifted_relu import SHIFTED_RELU

__all__ = ["DEMONSTRATIONS", "Demonstration", "DemonstrationSettings", "Outcome"]

DEMONSTRATIONS: dict[str, Demonstration] = {
    "constructive-approximation": CONSTRUCTIVE_APPROXIMATION,
    "curve-fit": CURVE_FIT,
    "gradient-flow": GRADIENT_FLOW,
    "linear-regression": LINEAR_REGRESSION,
    "low-rank": LOW_RANK,
    "shifted-relu": SHIFTED_RELU,
}
