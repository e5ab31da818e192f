"""Which piece of a piecewise differentiable computation is active: signs at ReLUs, places of maxima."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

__all__ = ["Kinks", "same_side"]


def _above_zero(numbers: Tensor, *unused: Any, **named: Any) -> Tensor:
    return numbers > 0


def _above(numbers: Tensor, bound: Any = None, *unused: Any, **named: Any) -> Tensor:
    """Return which numbers are above the other argument, whatever its name is."""
    above: Tensor = numbers > next(iter([bound] if bound is not None else named.values()))
    return above


def _within(low: Any, high: Any, numbers: Tensor, *given: Any, **named: Any) -> Tensor:
    """Return which numbers are within two bounds, by position or by name; an absent bound is infinite."""
    low, high = (*given[:2], *(low, high)[len(given) :])
    low, high = (named.get("min", named.get("min_val", low)), named.get("max", named.get("max_val", high)))
    inside = torch.ones_like(numbers, dtype=torch.bool)
    if low is not None:
        inside &= numbers > low
    if high is not None:
        inside &= numbers < high
    return inside


def _place_of_maximum(pool: Callable[..., Any], *given: Any, **named: Any) -> Tensor:
    indices: Tensor = pool(*given, **{**named, "return_indices": True})[1]
    return indices


_RECTIFIERS = ("relu", "relu_", "leaky_relu", "leaky_relu_", "prelu", "elu", "abs", "abs_", "absolute")
_COMPARISONS = ("gt", "ge", "lt", "le", "maximum", "minimum", "_threshold", "clamp_min", "clamp_max")
_BOUNDED = {"clamp": (None, None), "clamp_": (None, None), "clip": (None, None)} | {
    "hardtanh": (-1, 1),
    "relu6": (0, 6),
    "hardswish": (-3, 3),
    "hardsigmoid": (-3, 3),
}
_POOLS = ("max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d")

_SIDES: Mapping[str, Callable[..., Tensor]] = {
    **dict.fromkeys(_RECTIFIERS, _above_zero),
    **dict.fromkeys(_COMPARISONS, _above),
    **{name: partial(_within, *bounds) for name, bounds in _BOUNDED.items()},
    **{name: partial(_place_of_maximum, getattr(functional, name)) for name in _POOLS},
}
"""Function name -> from its arguments to the active piece."""


class Kinks(TorchFunctionMode):
    """Records, while it is active, the active piece of every ReLU, maximum, absolute value and the like.

    It intercepts function calls, whichever module makes them.

    Example:
        >>> with Kinks() as kinks:
        ...     _ = torch.relu(torch.tensor([-1.0, 2.0]))
        >>> kinks.pattern
        [tensor([False,  True])]
    """

    def __init__(self) -> None:
        super().__init__()
        self.pattern: list[Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call one function with the mode off."""
        name, named = getattr(func, "__name__", ""), kwargs or {}
        if name in _SIDES:
            self.pattern.append(_SIDES[name](*args, **named))
        outputs = func(*args, **named)
        if name in ("max", "min"):
            two = len(args) > 1 and isinstance(args[1], Tensor)
            self.pattern += [args[0] > args[1]] if two else [outputs[1]] if isinstance(outputs, tuple) else []
        return outputs


def same_side(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    """Return whether two runs of one computation have the same active pieces."""
    return len(first) == len(second) and all(map(torch.equal, first, second))
