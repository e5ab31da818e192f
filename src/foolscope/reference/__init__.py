"""Layer 1: layers in NumPy with backward passes derived by hand, to check automatic differentiation.

Each layer is a frozen dataclass with a pure ``forward`` and ``backward``; its docstring derives the second
from the first. Adding one is one file here, one line in :data:`LAYERS` and one example in the tests.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.reference.activations import GELU, ReLU, ShiftedReLU, Sigmoid, Tanh, TanhGELU
from foolscope.reference.affine import Affine
from foolscope.reference.comparison import central_differences, difference_step, relative_error
from foolscope.reference.convolution import Convolution
from foolscope.reference.dropout import Dropout
from foolscope.reference.layer import Array, Layer, Parameters
from foolscope.reference.losses import CrossEntropy, Loss, MeanSquaredError, SquaredError
from foolscope.reference.network import (
    Gradients,
    LayerGradients,
    Network,
    in_evaluation,
    loss_gradients,
    parameter_gradients,
    running_statistics,
)
from foolscope.reference.normalization import BatchNormalization, FrozenBatchNormalization, Normalize
from foolscope.reference.penalties import L1, L2, Penalty
from foolscope.reference.pooling import AveragePooling, GlobalAveragePooling, MaxPooling
from foolscope.reference.prototypes import PrototypeSimilarity, SoftTree
from foolscope.reference.recurrent import LSTM, RNN
from foolscope.reference.residual import Residual
from foolscope.reference.shapes import Flatten, Identity, LastStep, Rows
from foolscope.reference.training import SGD, Steps, TrainingState, train

__all__ = [
    "GELU",
    "L1",
    "L2",
    "LAYERS",
    "LOSSES",
    "LSTM",
    "RNN",
    "SGD",
    "Affine",
    "Array",
    "AveragePooling",
    "BatchNormalization",
    "Convolution",
    "CrossEntropy",
    "Dropout",
    "Flatten",
    "FrozenBatchNormalization",
    "GlobalAveragePooling",
    "Gradients",
    "Identity",
    "LastStep",
    "Layer",
    "LayerGradients",
    "Loss",
    "MaxPooling",
    "MeanSquaredError",
    "Network",
    "Normalize",
    "Parameters",
    "Penalty",
    "PrototypeSimilarity",
    "ReLU",
    "Residual",
    "Rows",
    "ShiftedReLU",
    "Sigmoid",
    "SoftTree",
    "SquaredError",
    "Steps",
    "Tanh",
    "TanhGELU",
    "TrainingState",
    "central_differences",
    "difference_step",
    "in_evaluation",
    "loss_gradients",
    "parameter_gradients",
    "reference_network",
    "relative_error",
    "running_statistics",
    "train",
]

LAYERS: dict[str, Callable[..., Layer]] = {
    "affine": Affine,
    "average-pooling": AveragePooling,
    "batch-normalization": BatchNormalization,
    "convolution": Convolution,
    "dropout": Dropout,
    "flatten": Flatten,
    "frozen-batch-normalization": FrozenBatchNormalization,
    "gelu": GELU,
    "global-average-pooling": GlobalAveragePooling,
    "identity": Identity,
    "last-step": LastStep,
    "lstm": LSTM,
    "max-pooling": MaxPooling,
    "normalize": Normalize,
    "prototype-similarity": PrototypeSimilarity,
    "relu": ReLU,
    "residual": Residual,
    "rnn": RNN,
    "rows": Rows,
    "shifted-relu": ShiftedReLU,
    "sigmoid": Sigmoid,
    "soft-tree": SoftTree,
    "tanh": Tanh,
    "tanh-gelu": TanhGELU,
}

LOSSES: dict[str, Callable[..., Loss]] = {
    "cross-entropy": CrossEntropy,
    "mean-squared-error": MeanSquaredError,
    "squared-error": SquaredError,
}


def reference_network(description: Sequence[Mapping[str, Any]]) -> Network:
    """Build a network, in training mode, from a neutral description of its layers.

    Args:
        description: in order, for every layer its kind ``layer``, a key of :data:`LAYERS`; its ``name``, the
            prefix of its parameters in the state dict of the model that it mirrors; and its settings. A
            residual layer has two lists of the same kind, ``branch`` and ``shortcut``; an empty list is the
            identity.

    Raises:
        RecipeError: a kind of layer is not known here.

    Example:
        >>> reference_network(
        ...     [
        ...         {"layer": "convolution", "name": "body.0", "padding": 1},
        ...         {"layer": "relu", "name": "body.1"},
        ...         {"layer": "max-pooling", "name": "body.2", "kernel": 2},
        ...     ]
        ... ).layers[2]
        ('body.2', MaxPooling(kernel=2, stride=None, padding=0))
    """
    return Network(tuple((str(entry["name"]), _layer(entry)) for entry in description))


def _layer(entry: Mapping[str, Any]) -> Layer:
    kind = str(entry["layer"])
    build = LAYERS.get(kind)
    if build is None:
        raise RecipeError(f"no layer {kind!r} has been derived by hand. {did_you_mean(kind, LAYERS)}")
    settings = {key: value for key, value in entry.items() if key not in ("layer", "name")}
    if kind == "residual":
        settings = {way: reference_network(parts) for way, parts in settings.items()}
    return build(**settings)
