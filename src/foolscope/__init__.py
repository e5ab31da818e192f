"""Executable studies of image classifiers: train, ablate, attack, report; verdicts carry error bars.

The names here are imported when they are first used: ``import foolscope`` does not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from foolscope.verbs import VERBS

if TYPE_CHECKING:
    from foolscope.core.errors import FoolscopeError as FoolscopeError
    from foolscope.experiments.recipe import Recipe as Recipe
    from foolscope.experiments.running.session import Session as Session
    from foolscope.verbs.ablate import *
    from foolscope.verbs.attack import *
    from foolscope.verbs.check import *
    from foolscope.verbs.inspect import *
    from foolscope.verbs.judge import *
    from foolscope.verbs.recipe import *
    from foolscope.verbs.reproduce import *
    from foolscope.verbs.search import *
    from foolscope.verbs.study import *
    from foolscope.verbs.train import *

_HOMES = {
    "FoolscopeError": "foolscope.core.errors",
    "Recipe": "foolscope.experiments.recipe",
    "Session": "foolscope.experiments.running.session",
    "recipe": "foolscope.verbs.recipe",
    **{name: f"foolscope.verbs.{verb}" for verb, entry in VERBS.items() for name in entry.exports},
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'foolscope' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
