"""Context managers that put a model in evaluation mode, with or without parameter gradients."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["differentiable", "frozen"]


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode without parameter gradients; restore both at the end.

    Example:
        >>> model = nn.Linear(2, 1)
        >>> with frozen(model):
        ...     model.training, model.weight.requires_grad
        (False, False)
        >>> model.training, model.weight.requires_grad
        (True, True)
    """
    with _evaluating(model, parameter_gradients=False):
        yield


@contextmanager
def differentiable(model: nn.Module) -> Iterator[None]:
    """Put a model in evaluation mode with gradients of all its parameters; restore both at the end."""
    with _evaluating(model, parameter_gradients=True):
        yield


@contextmanager
def _evaluating(model: nn.Module, *, parameter_gradients: bool) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    able = [each for each in model.parameters() if each.is_floating_point() or each.is_complex()]
    needs = [(each, each.requires_grad) for each in able]
    try:
        model.eval()
        for parameter, _ in needs:
            parameter.requires_grad_(parameter_gradients)
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in needs:
            parameter.requires_grad_(requires_grad)
