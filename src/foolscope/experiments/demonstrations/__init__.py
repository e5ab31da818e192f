"""Numerical experiments that train no image classifier: named, with settings, measures and figures.

Adding one is one file here with a :class:`Demonstration`, one line in :data:`DEMONSTRATIONS`, and one line in
the table of :mod:`foolscope.reports.sections.demonstrations`.
"""

from foolscope.experiments.demonstrations.constructive_approximation import (
    CONSTRUCTIVE_APPROXIMATION,
    ConstructiveApproximation,
)
from foolscope.experiments.demonstrations.curve_fit import CURVE_FIT, CurveFit
from foolscope.experiments.demonstrations.demonstration import Demonstration, DemonstrationSettings, Outcome
from foolscope.experiments.demonstrations.gradient_flow import GRADIENT_FLOW, GradientFlow
from foolscope.experiments.demonstrations.linear_regression import LINEAR_REGRESSION, LinearRegression
from foolscope.experiments.demonstrations.low_rank import LOW_RANK, LowRank
from foolscope.experiments.demonstrations.shifted_relu import SHIFTED_RELU, ShiftedReLUDemonstration

__all__ = [
    "DEMONSTRATIONS",
    "ConstructiveApproximation",
    "CurveFit",
    "Demonstration",
    "DemonstrationSettings",
    "GradientFlow",
    "LinearRegression",
    "LowRank",
    "Outcome",
    "ShiftedReLUDemonstration",
]

DEMONSTRATIONS: dict[str, Demonstration] = {
    "constructive-approximation": CONSTRUCTIVE_APPROXIMATION,
    "curve-fit": CURVE_FIT,
    "gradient-flow": GRADIENT_FLOW,
    "linear-regression": LINEAR_REGRESSION,
    "low-rank": LOW_RANK,
    "shifted-relu": SHIFTED_RELU,
}
