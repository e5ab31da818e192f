"""Layer 4: networks that approximate a function by construction: stated weights, a proof, no training.

Steps, bumps and towers are the pieces; :func:`approximate` combines them and bounds the distance from the
function. :func:`scaling` counts the hidden units that this costs, and compares with trained networks.
"""

from foolscope.constructive.approximation import MOST_UNITS, SHARPNESS, Approximation, approximate
from foolscope.constructive.functions import EXAMPLES, ApproximationError, Function, Target
from foolscope.constructive.measuring import sup_error
from foolscope.constructive.networks import CornerNetwork
from foolscope.constructive.partition import LEAST_SHARPNESS, guarantee
from foolscope.constructive.pieces import bump, step, tower
from foolscope.constructive.scaling import Scaling, fitted_slope, scaling
from foolscope.constructive.trained import TRAINING_STEPS, train_network

__all__ = [
    "EXAMPLES",
    "LEAST_SHARPNESS",
    "MOST_UNITS",
    "SHARPNESS",
    "TRAINING_STEPS",
    "Approximation",
    "ApproximationError",
    "CornerNetwork",
    "Function",
    "Scaling",
    "Target",
    "approximate",
    "bump",
    "fitted_slope",
    "guarantee",
    "scaling",
    "step",
    "sup_error",
    "tower",
    "train_network",
]
