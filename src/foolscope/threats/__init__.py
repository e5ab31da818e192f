"""Layer 2: what an attacker may do to an image (norm, budget, bounds), and what a model answers to images.

Attacks search within a threat, adversarial training is measured by one, and certificates bound one, so this
layer lies below all of them.
"""

from foolscope.threats.norms import NORMS, Norm
from foolscope.threats.prediction import automatic_batch_size, predict
from foolscope.threats.threat import Threat, parse_epsilon, parse_epsilons

__all__ = ["NORMS", "Norm", "Threat", "automatic_batch_size", "parse_epsilon", "parse_epsilons", "predict"]
