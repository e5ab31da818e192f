"""Layers that training leaves as they are, so that a network trained elsewhere is fine-tuned in part."""

from collections.abc import Collection, Sequence

from torch import nn

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.learning.parameters.names import BODY, matching

__all__ = ["freeze", "frozen_layers", "frozen_names"]


def frozen_names(patterns: Sequence[str], names: Collection[str]) -> set[str]:
    """Return the names of the parameters that patterns exclude from training.

    Args:
        patterns: of the shell, with or without ``body.`` in front.
        names: of all parameters of the model.

    Raises:
        RecipeError: a pattern matches no parameter, or the patterns match all of them.
    """
    frozen: set[str] = set()
    for pattern in patterns:
        found = matching(names, pattern)
        if not found:
            known = [name.removeprefix(BODY) for name in names]
            raise RecipeError(f"frozen: no parameter matches {pattern!r}. {did_you_mean(pattern, known)}")
        frozen |= set(found)
    if patterns and len(frozen) == len(names):
        raise RecipeError(
            f"frozen: {' and '.join(patterns)} leave no parameter to train; freeze fewer layers"
        )
    return frozen


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Exclude the parameters that match a pattern from training, in place.

    Raises:
        RecipeError: a pattern matches no parameter, or the patterns match all of them.
    """
    parameters = dict(model.named_parameters())
    for name in frozen_names(patterns, parameters.keys()):
        parameters[name].requires_grad_(False)


def frozen_layers(model: nn.Module) -> frozenset[str]:
    """Name the layers that have parameters of which none is trained.

    Batch normalization among them keeps its running statistics and normalizes with them, so that a frozen
    layer computes what it computed before.
    """
    frozen = set()
    for name, layer in model.named_modules():
        own = list(layer.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            frozen.add(name)
    return frozenset(frozen)
