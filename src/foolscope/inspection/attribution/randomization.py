"""Models with randomized weights: cascading from the logits downwards, or one layer alone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

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


@contextmanager
def randomized(model: nn.Module, layers: Sequence[str], *, seed: int) -> Iterator[None]:
    """Put random numbers in place of the parameters of some layers; restore them at the end.

    Each tensor gets draws from a normal distribution with its own mean and standard deviation, so that the
    layer keeps its scale and loses what it has learned. The draws derive from the names of layer and tensor:
    a layer gets the same ones alone and together with others. There is no copy of the model, for some modules
    cannot be copied.

    Args:
        model: any module.
        layers: names of modules, whose own parameters are replaced.
        seed: root of the draws.

    Example:
        >>> model = nn.Sequential(nn.Linear(1, 2, bias=False))
        >>> before = model[0].weight.clone()
        >>> with randomized(model, ["0"], seed=0):
        ...     bool((model[0].weight == before).any())
        False
        >>> bool((model[0].weight == before).all())
        True

    References:
        Adebayo et al. 2018, arXiv:1810.03292, section 3, where the weights are drawn as before training.
    """
    modules = dict(model.named_modules())
    trained = {
        (layer, name): (parameter, parameter.detach().clone())
        for layer in layers
        for name, parameter in modules[layer].named_parameters(recurse=False)
        if parameter.is_floating_point()
    }
    try:
        for (layer, name), (parameter, values) in trained.items():
            generator = torch_generator(seed, "randomization", layer, name)
            noise = torch.randn(values.shape, generator=generator, dtype=torch.float64).to(values.device)
            mean, spread = values.double().mean(), values.double().std(correction=0)
            parameter.data.copy_(mean + spread * noise)
        yield
    finally:
        for parameter, values in trained.values():
            parameter.data.copy_(values)
