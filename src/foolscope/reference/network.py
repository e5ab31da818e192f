"""A network of named layers, which is a layer itself, and its gradients."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from foolscope.reference.affine import Affine
from foolscope.reference.convolution import Convolution
from foolscope.reference.dropout import Dropout
from foolscope.reference.layer import Array, Layer, Parameters, scoped
from foolscope.reference.losses import Loss
from foolscope.reference.normalization import BatchNormalization, FrozenBatchNormalization, Normalize
from foolscope.reference.residual import Residual
from foolscope.reference.shapes import Flatten, Identity, Rows

__all__ = [
    "Gradients",
    "LayerGradients",
    "Network",
    "in_evaluation",
    "loss_gradients",
    "parameter_gradients",
    "running_statistics",
]

_Inputs = Float[np.ndarray, "batch *inputs"]
_Outputs = Float[np.ndarray, "batch *outputs"]


@dataclass(frozen=True)
class LayerGradients:
    """The gradients that one layer of a network returned.

    Args:
        name: the layer's, in its network.
        inputs: gradient with respect to the layer's inputs.
        parameters: gradients with respect to its parameters, under the network's names.
    """

    name: str
    inputs: Array
    parameters: dict[str, Array]


@dataclass(frozen=True)
class Network:
    """Layers one after another: x_0 = inputs, x_i = f_i(x_i−1; θ_i), outputs = x_last.

    Parameters of layer ``<name>`` are those named ``<name>.<parameter>``, as in a torch state dict. What is
    not a floating-point number there (``num_batches_tracked``) is left out.

    Derivation: L depends on x_i−1 only through x_i. So with G_last = ∂L/∂outputs, layer i turns
    G_i = ∂L/∂x_i into ∂L/∂θ_i and G_i−1 = ∂L/∂x_i−1, from the last layer to the first.

    Args:
        layers: names, which must differ, with layers.

    Raises:
        ValueError: two layers have one name.

    Example:
        >>> from foolscope.reference import ReLU
        >>> network = Network((("0", Affine()), ("1", ReLU())))
        >>> parameters = {"0.weight": np.array([[2.0], [-2.0]])}
        >>> outputs, cache = network.forward(parameters, np.array([[3.0]]))
        >>> outputs
        array([[6., 0.]])
        >>> network.backward(parameters, cache, np.array([[1.0, 1.0]]))[1]["0.weight"].T
        array([[3., 0.]])
    """

    layers: tuple[tuple[str, Layer], ...]

    def __post_init__(self) -> None:
        names = [name for name, _ in self.layers]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the layers of a network need names that differ; got twice: {', '.join(twice)}")

    def forward(self, parameters: Parameters, inputs: _Inputs) -> tuple[_Outputs, tuple[Any, ...]]:
        """Return the last layer's outputs; remembered is what each layer remembers."""
        caches = []
        outputs: Array = inputs
        for name, layer in self.layers:
            outputs, cache = layer.forward(scoped(parameters, name), outputs)
            caches.append(cache)
        return outputs, tuple(caches)

    def backward(
        self, parameters: Parameters, cache: tuple[Any, ...], output_gradient: _Outputs
    ) -> tuple[_Inputs, dict[str, Array]]:
        """Return the first layer's input gradient; all layers' parameter gradients."""
        gradient: Array = output_gradient
        gradients: dict[str, Array] = {}
        for layer in self.backwards(parameters, cache, output_gradient):
            gradient = layer.inputs
            gradients |= layer.parameters
        return gradient, gradients

    def backwards(
        self, parameters: Parameters, cache: tuple[Any, ...], output_gradient: Array
    ) -> Iterator[LayerGradients]:
        """Yield the gradients layer by layer, from the last to the first, so that an error can be located."""
        for (name, layer), own_cache in zip(reversed(self.layers), reversed(cache), strict=True):
            output_gradient, own = layer.backward(scoped(parameters, name), own_cache, output_gradient)
            yield LayerGradients(name, output_gradient, _named(own, name))


@dataclass(frozen=True)
class Gradients:
    """A loss with its gradients.

    Args:
        loss: the mean over the batch.
        inputs: gradient with respect to the images.
        parameters: gradient with respect to every learned parameter.
    """

    loss: float
    inputs: Array
    parameters: dict[str, Array]


def loss_gradients(
    network: Network, loss: Loss, parameters: Parameters, inputs: Array, targets: Any
) -> Gradients:
    """Return the loss of a batch and its gradients with respect to the images and every parameter.

    The batch, (batch, ...), must not be empty.

    Example:
        >>> from foolscope.reference import CrossEntropy
        >>> network, parameters = Network((("0", Affine()),)), {"0.weight": np.zeros((2, 1))}
        >>> loss_gradients(network, CrossEntropy(), parameters, np.ones((4, 1)), np.zeros(4, int)).parameters
        {'0.weight': array([[-0.5],
               [ 0.5]])}
    """
    outputs, cache = network.forward(parameters, inputs)
    value, loss_cache = loss.forward(outputs, targets)
    by_inputs, by_parameters = network.backward(parameters, cache, loss.backward(loss_cache))
    return Gradients(value, by_inputs, by_parameters)


_FIXED = (Flatten, Identity, Normalize, Rows)


def parameter_gradients(
    layer: Layer, parameters: Parameters, cache: Any, output_gradient: Array
) -> dict[str, Array]:
    """Return the parameter gradients of ``layer.backward``, without the work for those of the images.

    In a network nothing is asked of layers before the first that learns, and of that one not its input
    gradient, a third of the products of a perceptron with one hidden layer.
    """
    if isinstance(layer, Affine | Convolution):
        return layer.parameter_gradients(cache, output_gradient)
    if not isinstance(layer, Network):
        return layer.backward(parameters, cache, output_gradient)[1]
    fixed = 0
    while fixed < len(layer.layers) and isinstance(layer.layers[fixed][1], _FIXED):
        fixed += 1
    if fixed == len(layer.layers):
        return {}
    after = Network(layer.layers[fixed + 1 :])
    gradient, gradients = after.backward(parameters, cache[fixed + 1 :], output_gradient)
    name, first = layer.layers[fixed]
    return gradients | _named(
        parameter_gradients(first, scoped(parameters, name), cache[fixed], gradient), name
    )


def running_statistics(layer: Layer, parameters: Parameters, cache: Any) -> dict[str, Array]:
    """Return the new value of every running statistic, after a forward pass in training."""
    match layer:
        case BatchNormalization():
            return layer.running_statistics(parameters, cache)
        case Network():
            parts = [(name, part, own) for (name, part), own in zip(layer.layers, cache, strict=True)]
        case Residual():
            parts = [("branch", layer.branch, cache[0]), ("shortcut", layer.shortcut, cache[1])]
        case _:
            return {}
    renewed: dict[str, Array] = {}
    for name, part, own in parts:
        renewed |= _named(running_statistics(part, scoped(parameters, name), own), name)
    return renewed


def in_evaluation(layer: Layer) -> Layer:
    """Return the layer as it is after training: fixed statistics, nothing dropped.

    Example:
        >>> in_evaluation(Network((("0", Dropout(0.5, np.ones)),)))
        Network(layers=(('0', Identity()),))
    """
    match layer:
        case BatchNormalization():
            return FrozenBatchNormalization(layer.epsilon)
        case Dropout():
            return Identity()
        case Network():
            return Network(tuple((name, in_evaluation(part)) for name, part in layer.layers))
        case Residual():
            return Residual(in_evaluation(layer.branch), in_evaluation(layer.shortcut))
        case _:
            return layer


def _named(gradients: dict[str, Array], name: str) -> dict[str, Array]:
    return {f"{name}.{key}": value for key, value in gradients.items()} if name else gradients
