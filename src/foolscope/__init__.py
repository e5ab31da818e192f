"""Executable studies of image classifiers: train, ablate, attack, report; verdicts carry error bars.

The functions here are imported when they are first used: ``import foolscope`` does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foolscope.api import ablate, attack, check, inspect, recipe, reproduce, search, study, train
    from foolscope.core.errors import FoolscopeError
    from foolscope.experiments.recipe import Recipe
    from foolscope.results import Ablation, CheckResult, Inspection, Robustness, Search, StudyResult, Training

__all__ = [
    "Ablation",
    "CheckResult",
    "FoolscopeError",
    "Inspection",
    "Recipe",
    "Robustness",
    "Search",
    "StudyResult",
    "Training",
    "ablate",
    "attack",
    "check",
    "inspect",
    "recipe",
    "reproduce",
    "search",
    "study",
    "train",
]

_RESULTS = ("Ablation", "CheckResult", "Inspection", "Robustness", "Search", "StudyResult", "Training")
_HOMES = {
    "FoolscopeError": "foolscope.core.errors",
    "Recipe": "foolscope.experiments.recipe",
    **dict.fromkeys(_RESULTS, "foolscope.results"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'foolscope' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES.get(name, "foolscope.api")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
