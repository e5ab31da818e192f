"""Drawings of numbers and results: every function returns an ``<svg>`` element that follows the page's theme.

matplotlib is imported when the first figure is drawn; its global state is neither read nor left changed.
"""

from foolscope.reports.figures.ablation import Factor, Level, LevelOutcome, ablation_effects
from foolscope.reports.figures.approximation import approximation
from foolscope.reports.figures.canvas import Band
from foolscope.reports.figures.confusion import confusion_matrix
from foolscope.reports.figures.descents import descent_curves, fitted_curve
from foolscope.reports.figures.dumbbell import dumbbells
from foolscope.reports.figures.gradient_errors import gradient_errors
from foolscope.reports.figures.gradient_flow import FlowLine, gradient_flow
from foolscope.reports.figures.graphs.graph import computational_graph, layer_graph
from foolscope.reports.figures.graphs.prototype_tree import prototype_tree, tree_paths
from foolscope.reports.figures.later import later
from foolscope.reports.figures.layer_gradients import layer_gradients
from foolscope.reports.figures.learning_rate_range import learning_rate_range
from foolscope.reports.figures.lines import Curve, line_panels
from foolscope.reports.figures.randomization import randomization
from foolscope.reports.figures.reliability import reliability
from foolscope.reports.figures.search import SearchAxis, SearchRound, Spot, search_panels
from foolscope.reports.figures.sizes import perturbation_sizes
from foolscope.reports.figures.svg import standalone_svg
from foolscope.reports.figures.taken import taken_by_attack
from foolscope.reports.figures.weights import weight_histograms

__all__ = [
    "Band",
    "Curve",
    "Factor",
    "FlowLine",
    "Level",
    "LevelOutcome",
    "SearchAxis",
    "SearchRound",
    "Spot",
    "ablation_effects",
    "approximation",
    "computational_graph",
    "confusion_matrix",
    "descent_curves",
    "dumbbells",
    "fitted_curve",
    "gradient_errors",
    "gradient_flow",
    "later",
    "layer_gradients",
    "layer_graph",
    "learning_rate_range",
    "line_panels",
    "perturbation_sizes",
    "prototype_tree",
    "randomization",
    "reliability",
    "search_panels",
    "standalone_svg",
    "taken_by_attack",
    "tree_paths",
    "weight_histograms",
]
