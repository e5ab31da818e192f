"""How a gradient flows back through the layers of any model: by what each puts out, and by its weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from foolscope.core.modes import differentiable
from foolscope.learning.losses import PackLoss, cross_entropy

__all__ = ["FlowByLayer", "WeightGradient", "flow_by_layer", "mean_norms", "weight_tensors"]

_Images = Float[Tensor, "batch channel height width"]
_Labels = Int64[Tensor, " batch"]


@dataclass(frozen=True)
class WeightGradient:
    """The loss's gradient by one weight tensor.

    Args:
        name: of the layer, or of the tensor where a layer has several.
        norm: ‖∂L/∂w‖ for the mean loss of the images.
        weight_norm: ‖w‖.
    """

    name: str
    norm: float
    weight_norm: float

    @property
    def relative(self) -> float:
        """‖∂L/∂w‖ / ‖w‖; not-a-number where all weights are zero."""
        return self.norm / self.weight_norm if self.weight_norm else float("nan")


@dataclass(frozen=True)
class FlowByLayer:
    """Norms of the loss's gradient by what each layer puts out, from the images to the logits.

    Args:
        layers: names in the model; the images come first, as "images". The n-th use of a layer that is used
            more than once is called "name (n)".
        norms: mean over images.
        weights: the gradients by the weight tensors, in the model's order.
    """

    layers: tuple[str, ...]
    norms: Float64[np.ndarray, " layer"]
    weights: tuple[WeightGradient, ...] = ()


def flow_by_layer(
    model: nn.Module, images: _Images, labels: _Labels, *, loss: PackLoss = cross_entropy
) -> FlowByLayer:
    """Differentiate the loss by the output of every layer of any model, and by its weights.

    In evaluation mode, in the model's own precision; the model is left as it was. What a recurrent layer puts
    out counts only as the next layer's input:
    :func:`~foolscope.inspection.gradient_flow.flow_through_time` follows it back through its steps. The
    layers of a TorchScript program cannot be watched: of them only the images and the weights are told; of an
    archive of torch.export, only the images.

    Args:
        model: from images to logits; its layers may write over their inputs.
        images: in [0, 1], of the model's data type; at least one.
        labels: of the images.
        loss: of the logits.

    Example:
        >>> from foolscope.models import Softmax, build_model
        >>> model = build_model(Softmax(normalization="none"), (1, 4, 4), 2, seed=0)
        >>> flow = flow_by_layer(model, torch.ones(3, 1, 4, 4), torch.zeros(3).long())
        >>> flow.layers, [each.name for each in flow.weights]
        (('images', 'normalization', 'body.0', 'body.1'), ['body.1'])
    """
    outputs: dict[str, Tensor] = {"images": images.detach().clone().requires_grad_()}
    weights = weight_tensors(model)
    with differentiable(model), _watched(model, outputs), torch.enable_grad():
        logits = model(outputs["images"] * 1)  # a copy, which the first layer may write over
        losses = loss(logits.double()[None], labels[None], None)[0]
        sources = [*outputs.values(), *weights.values()]
        if losses.requires_grad:
            gradients = torch.autograd.grad(losses.sum(), sources, materialize_grads=True)
        else:
            gradients = tuple(map(torch.zeros_like, sources))
    by_output, by_weight = gradients[: len(outputs)], gradients[len(outputs) :]
    return FlowByLayer(
        tuple(outputs),
        mean_norms(by_output),
        tuple(
            WeightGradient(
                name, float(gradient.double().norm()) / len(images), float(weight.detach().double().norm())
            )
            for (name, weight), gradient in zip(weights.items(), by_weight, strict=True)
        ),
    )


def weight_tensors(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the weights of a model, without biases and scales: every parameter that is no vector.

    Args:
        model: any module.

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
    """Keep what each layer puts out while the ``with`` block runs; what follows gets a copy to write over."""

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
