"""Search for better settings of a recipe: coarse to fine, at random, or with Optuna's sampler."""

from foolscope.experiments.parts.searches.driver import check_search, search
from foolscope.experiments.parts.searches.sampling import Sampler, SamplerSettings
from foolscope.experiments.parts.searches.space import Choices, Over, Range, space_of
from foolscope.experiments.parts.searches.strategies import SAMPLERS, SearchSettings, search_settings

__all__ = [
    "SAMPLERS",
    "Choices",
    "Over",
    "Range",
    "Sampler",
    "SamplerSettings",
    "SearchSettings",
    "check_search",
    "search",
    "search_settings",
    "space_of",
]
