"""Gradient flow through layers: norms with respect to the output and the weights of every layer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from pydantic import Field
from torch import Tensor, nn

from foolscope.core.modes import differentiable
from foolscope.core.settings import FiniteFloat, Settings
from foolscope.learning.losses import PackLoss, cross_entropy

__all__ = ["LayerFlow", "flow_by_layer", "mean_norms", "weight_tensors"]


class LayerFlow(Settings):
    """The loss's gradient at one layer; null is what is not finite, or what the layer does not have."""

    layer: str
    output_norm: FiniteFloat = Field(None, description="with respect to the output, mean over images")
    weight_norm: FiniteFloat = Field(None, description="of the mean loss, with respect to the weights")
    relative_norm: FiniteFloat = Field(None, description="weight_norm divided by the norm of the weights")


_Images = Float[Tensor, "batch channel height width"]
_Labels = Int64[Tensor, " batch"]


def flow_by_layer(
    model: nn.Module, images: _Images, labels: _Labels, *, loss: PackLoss = cross_entropy
) -> list[LayerFlow]:
    """Differentiate the loss with respect to the output and the weights of every layer.

    In evaluation mode, in the model's own precision; the model is not changed. Norms with respect to outputs
    are means over images of ‖∂L/∂output‖, those with respect to weights are ‖∂L/∂w‖ of the mean loss. The
    output of a recurrent layer counts only as the next layer's input:
    :func:`~foolscope.inspection.gradients.gradient_flow.flow_through_time` has its time steps. The layers of
    a TorchScript program do not show their outputs: it has entries for images and weights alone, an archive
    of torch.export for the images alone. There is at least one image, in
    [0, 1] and of the model's data type.

    Returns:
        The images first, as "images", then the layers in the order of computation, each followed by its
        weight tensors where it has several. The n-th use of a layer is called "name (n)". Weights of layers
        whose outputs are not shown come last.

    Example:
        >>> from foolscope.models import Softmax, build_model
        >>> model = build_model(Softmax(normalization="none"), (1, 4, 4), 2, seed=0)
        >>> flow = flow_by_layer(model, torch.ones(3, 1, 4, 4), torch.zeros(3).long())
        >>> [each.layer for each in flow], [each.layer for each in flow if each.weight_norm]
        (['images', 'normalization', 'body.0', 'body.1'], ['body.1'])
    """
    outputs: dict[str, Tensor] = {"images": images.detach().clone().requires_grad_()}
    weights = weight_tensors(model)
    with differentiable(model), _watched(model, outputs), torch.enable_grad():
        logits = model(outputs["images"] * 1)  # a copy, which the first layer may overwrite
        losses = loss(logits.double()[None], labels[None], None)[0]
        sources = [*outputs.values(), *weights.values()]
        if losses.requires_grad:
            gradients = torch.autograd.grad(losses.sum(), sources, materialize_grads=True)
        else:
            gradients = tuple(map(torch.zeros_like, sources))
    by_output, by_weight = gradients[: len(outputs)], gradients[len(outputs) :]
    left = {
        name: {
            "weight_norm": (norm := float(gradient.double().norm()) / len(images)),
            "relative_norm": norm / size if (size := float(weight.detach().double().norm())) else None,
        }
        for (name, weight), gradient in zip(weights.items(), by_weight, strict=True)
    }
    flows = []
    for name, output_norm in zip(outputs, mean_norms(by_output).tolist(), strict=True):
        flows.append(LayerFlow(layer=name, output_norm=output_norm, **left.pop(name, {})))
        parts = [tensor for tensor in left if tensor.startswith(f"{name}.")]
        flows += [LayerFlow(layer=tensor, **left.pop(tensor)) for tensor in parts]
    return [*flows, *(LayerFlow(layer=tensor, **norms) for tensor, norms in left.items())]


def weight_tensors(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of a model: every parameter that is no vector, so neither biases nor scales.

    Example:
        >>> {name: tuple(value.shape) for name, value in weight_tensors(nn.Linear(3, 2)).items()}
        {'weight': (2, 3)}
        >>> list(weight_tensors(nn.Sequential(nn.Linear(3, 2), nn.LSTM(2, 1))))
        ['0', '1.weight_ih_l0', '1.weight_hh_l0']
    """
    return {
        name.removesuffix(".weight"): parameter
        for name, parameter in model.named_parameters()
        if parameter.dim() > 1 and parameter.is_floating_point()
    }


def mean_norms(gradients: tuple[Tensor, ...]) -> Float64[np.ndarray, " place"]:
    """Return for each tensor (batch, ...) the mean over the batch of its norm."""
    norms = [torch.linalg.vector_norm(each.double().flatten(1), dim=1).mean() for each in gradients]
    return torch.stack(norms).cpu().numpy()


@contextmanager
def _watched(model: nn.Module, outputs: dict[str, Tensor]) -> Iterator[None]:
    """Keep each layer's output while the ``with`` block runs; the next layer gets a copy to overwrite."""

    def watch(name: str) -> Any:
        calls = 0

        def keep(layer: nn.Module, inputs: Any, output: Any) -> Any:
            nonlocal calls
            first = output[0] if isinstance(output, tuple) and output else output
            if not isinstance(first, Tensor) or not first.requires_grad or first.dim() < 2:
                return output
            calls += 1
            outputs[name if calls == 1 else f"{name} ({calls})"] = first
            return output.clone() if output is first else output

        return keep

    leaves = [
        (name, layer)
        for name, layer in model.named_modules()
        if not any(True for _ in layer.children())
        and (name or any(True for _ in layer.parameters()))  # a program of torch.export is no layer
    ]
    handles = [
        layer.register_forward_hook(watch(name or "model"))
        for name, layer in leaves
        if not isinstance(layer, torch.jit.ScriptModule)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
