"""Models with randomized weights: cascading from the logits downwards, or one layer alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foolscope.core.modes import frozen
from foolscope.core.randomness import torch_generator

__all__ = ["layers_from_top", "randomized"]


def layers_from_top(model: nn.Module, image: Float[Tensor, "1 channel height width"]) -> list[str]:
    """Return the names of the layers that have parameters of their own, the one nearest the logits first.

    Their order is that in which the model computes them; a layer that is used twice counts where it is last.
    Layers that the model does not call, but whose parameters it uses, stand where the module around them is.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> layers_from_top(model, torch.zeros(1, 1, 2, 2))
        ['3', '1']
    """
    names = [
        name for name, layer in model.named_modules() if any(True for _ in layer.parameters(recurse=False))
    ]
    with frozen(model), torch.no_grad(), _calls(model) as calls:
        model(image.clone())

    def last_call(name: str) -> int:
        while name not in calls and name:
            name = name.rpartition(".")[0]
        return calls.get(name, -1)

    return sorted(names, key=last_call)[::-1]


@contextmanager
def _calls(model: nn.Module) -> Iterator[dict[str, int]]:
    """Number the calls of all modules as they return; of a module that is called twice, the last."""
    calls: dict[str, int] = {}
    count = 0

    def number(name: str) -> None:
        nonlocal count
        count += 1
        calls[name] = count

    handles = [
        layer.register_forward_hook(lambda layer, inputs, output, name=name: number(name))
        for name, layer in model.named_modules()
        if not isinstance(layer, torch.jit.ScriptModule)
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def randomized(model: nn.Module, layers: Sequence[str], *, seed: int) -> nn.Module:
    """Return a copy in which the parameters of some layers are random numbers.

    Each tensor gets draws from a normal distribution with its own mean and standard deviation, so that the
    layer keeps its scale and loses what it has learned. The draws derive from the names of layer and tensor:
    a layer gets the same ones alone and together with others.

    Args:
        model: any module; not changed.
        layers: names of modules, whose own parameters are replaced.
        seed: root of the draws.

    References:
        Adebayo et al. 2018, arXiv:1810.03292, section 3, where the weights are drawn as before training.
    """
    copy = deepcopy(model)
    modules = dict(copy.named_modules())
    with torch.no_grad():
        for layer in layers:
            for name, parameter in modules[layer].named_parameters(recurse=False):
                if not parameter.is_floating_point():
                    continue
                generator = torch_generator(seed, "randomization", layer, name)
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                spread, mean = parameter.double().std(correction=0), parameter.double().mean()
                parameter.copy_(mean + spread * noise.to(parameter.device))
    return copy
