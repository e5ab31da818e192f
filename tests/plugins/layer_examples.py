"""For every layer of the reference: instances, the same function in PyTorch, shapes to try it on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812  # PyTorch's own abbreviation

from foolscope.reference import (
    GELU,
    LSTM,
    RNN,
    Affine,
    AveragePooling,
    BatchNormalization,
    Convolution,
    Dropout,
    Flatten,
    FrozenBatchNormalization,
    GlobalAveragePooling,
    Identity,
    LastStep,
    Layer,
    MaxPooling,
    Network,
    Normalize,
    PrototypeSimilarity,
    ReLU,
    Residual,
    Rows,
    ShiftedReLU,
    Sigmoid,
    SoftTree,
    Tanh,
    TanhGELU,
)

TorchLayer = Callable[[Mapping[str, Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class Example:
    layer: Layer
    in_torch: TorchLayer
    input_shape: tuple[int, ...]
    parameters: dict[str, tuple[int, ...]] = field(default_factory=dict)
    buffers: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def draw(self, dtype=np.float64, seed=0):
        """Parameters with buffers, inputs and output gradient, away from kinks."""
        generator = np.random.default_rng(seed)
        values = {name: generator.normal(size=shape) for name, shape in self.parameters.items()}
        values |= {name: generator.uniform(0.5, 1.5, shape) for name, shape in self.buffers.items()}
        inputs = distinct(self.input_shape, generator)
        outputs, _ = self.layer.forward(values, inputs)
        gradient = generator.normal(size=outputs.shape)
        return {name: value.astype(dtype) for name, value in values.items()}, *(
            array.astype(dtype) for array in (inputs, gradient)
        )


def distinct(shape, generator):
    """Numbers in about ±2 of which no two are near each other and none is near 0."""
    count = int(np.prod(shape))
    return (generator.permutation(count).reshape(shape) - count / 2 + 0.25) * 4 / max(count, 1)


def in_pytorch(example, parameters, inputs, output_gradient):
    """Outputs, input gradient and parameter gradients by automatic differentiation."""
    leaves = {
        name: torch.from_numpy(value).requires_grad_(name in example.parameters)
        for name, value in parameters.items()
    }
    images = torch.from_numpy(inputs).requires_grad_()
    outputs = example.in_torch(leaves, images)
    wanted = [images, *(leaves[name] for name in example.parameters)]
    by_inputs, *own = torch.autograd.grad(
        outputs, wanted, torch.from_numpy(output_gradient), materialize_grads=True
    )
    gradients = {name: value.numpy() for name, value in zip(example.parameters, own, strict=True)}
    return outputs.detach().numpy(), by_inputs.numpy(), gradients


def _elementwise(layer, function):
    return [
        Example(layer, lambda parameters, inputs: function(inputs), shape) for shape in [(3, 5), (1, 2, 3, 4)]
    ]


def _affine(batch, inputs, outputs, bias=True):
    shapes = {"weight": (outputs, inputs)} | ({"bias": (outputs,)} if bias else {})
    return Example(
        Affine(),
        lambda parameters, images: F.linear(images, parameters["weight"], parameters.get("bias")),
        (batch, inputs),
        shapes,
    )


def convolution(input_shape, maps, kernel, stride=1, padding=0, bias=True):
    shapes = {"weight": (maps, input_shape[1], *kernel)} | ({"bias": (maps,)} if bias else {})
    return Example(
        Convolution(stride, padding),
        lambda parameters, images: F.conv2d(
            images, parameters["weight"], parameters.get("bias"), stride, padding
        ),
        input_shape,
        shapes,
    )


def max_pooling(input_shape, kernel, stride=None, padding=0):
    return Example(
        MaxPooling(kernel, stride, padding),
        lambda parameters, images: F.max_pool2d(images, kernel, stride, padding),
        input_shape,
    )


def average_pooling(input_shape, kernel, stride=None, padding=0):
    return Example(
        AveragePooling(kernel, stride, padding),
        lambda parameters, images: F.avg_pool2d(images, kernel, stride, padding),
        input_shape,
    )


def _batch_normalization(*shape, epsilon=1e-5):
    per_channel = shape[1:2]
    return Example(
        BatchNormalization(epsilon),
        lambda parameters, images: F.batch_norm(
            images, None, None, parameters["weight"], parameters["bias"], training=True, eps=epsilon
        ),
        shape,
        {"weight": per_channel, "bias": per_channel},
    )


def _frozen_batch_normalization(*shape, epsilon=1e-5):
    per_channel = shape[1:2]
    return Example(
        FrozenBatchNormalization(epsilon),
        lambda parameters, images: F.batch_norm(
            images,
            parameters["running_mean"],
            parameters["running_var"],
            parameters["weight"],
            parameters["bias"],
            eps=epsilon,
        ),
        shape,
        {"weight": per_channel, "bias": per_channel},
        {"running_mean": per_channel, "running_var": per_channel},
    )


def _shifted_relu(*shape, offsets):
    return Example(
        ShiftedReLU(),
        lambda parameters, images: torch.maximum(
            images, parameters["offset"].view(-1, *(1,) * (len(shape) - 2))
        ),
        shape,
        {"offset": (offsets,)},
    )


def _dropout(*shape, rate):
    mask = np.random.default_rng(5).random(shape)
    return Example(
        Dropout(rate, lambda wanted: mask.reshape(wanted) if np.prod(wanted) else np.zeros(wanted)),
        lambda parameters, images: images * torch.from_numpy(mask >= rate) / (1 - rate),
        shape,
    )


def recurrent(kind, batch, time, features, hidden, *, bias=True, activation="tanh"):
    gates = 4 if kind == "lstm" else 1
    shapes = {"weight_ih_l0": (gates * hidden, features), "weight_hh_l0": (gates * hidden, hidden)}
    shapes |= dict.fromkeys(("bias_ih_l0", "bias_hh_l0"), (gates * hidden,)) if bias else {}
    if kind == "lstm":
        module = nn.LSTM(features, hidden, bias=bias, batch_first=True, dtype=torch.float64)
        layer = LSTM()
    else:
        plain = "relu" if activation == "linear" else activation
        module = nn.RNN(
            features, hidden, nonlinearity=plain, bias=bias, batch_first=True, dtype=torch.float64
        )
        layer = RNN(activation)

    def by_module(parameters, inputs):
        return functional_call(module, dict(parameters), (inputs,))[0]

    return Example(
        layer, _linear_recurrence if activation == "linear" else by_module, (batch, time, features), shapes
    )


def _linear_recurrence(parameters, inputs):
    """PyTorch has no linear recurrent layer."""
    hidden = inputs.new_zeros(len(inputs), len(parameters["weight_hh_l0"]))
    steps = []
    for step in inputs.unbind(dim=1):
        hidden = F.linear(step, parameters["weight_ih_l0"], parameters.get("bias_ih_l0")) + F.linear(
            hidden, parameters["weight_hh_l0"], parameters.get("bias_hh_l0")
        )
        steps.append(hidden)
    return torch.stack(steps, dim=1)


def _similarity(parameters, latent):
    patches = latent.reshape(*latent.shape[:2], -1).mT
    differences = patches[:, None] - parameters["prototypes"][None, :, None]
    return torch.exp(-differences.square().sum(dim=-1).sqrt()).amax(dim=-1)


def _prototypes(*shape, nodes):
    return Example(PrototypeSimilarity(), _similarity, shape, {"prototypes": (nodes, shape[1])})


def _tree_by_paths(parameters, similarities):
    """Every leaf's path written out, from its number in binary."""
    leaves = len(parameters["leaves"])
    depth = leaves.bit_length() - 1
    prediction = 0
    for leaf in range(leaves):
        probability, node = torch.ones(len(similarities), dtype=similarities.dtype), 0
        for turn in f"{leaf:0{depth}b}" if depth else "":
            right = similarities[:, node]
            probability = probability * (right if turn == "1" else 1 - right)
            node = 2 * node + (2 if turn == "1" else 1)
        prediction = prediction + probability[:, None] * torch.softmax(parameters["leaves"][leaf], dim=0)
    return prediction


def _tree(batch, depth, classes):
    return Example(SoftTree(), _tree_by_paths, (batch, 2**depth - 1), {"leaves": (2**depth, classes)})


def _residual():
    layer = Residual(
        Network((("0", Convolution(2, 1)), ("1", BatchNormalization()), ("2", Tanh()))),
        Network((("0", Convolution(2)),)),
    )

    def in_torch(parameters, images):
        branch = F.conv2d(images, parameters["branch.0.weight"], stride=2, padding=1)
        branch = F.batch_norm(
            branch, None, None, parameters["branch.1.weight"], parameters["branch.1.bias"], training=True
        )
        shortcut = F.conv2d(images, parameters["shortcut.0.weight"], parameters["shortcut.0.bias"], stride=2)
        return torch.tanh(branch) + shortcut

    shapes = {
        "branch.0.weight": (3, 2, 3, 3),
        "branch.1.weight": (3,),
        "branch.1.bias": (3,),
        "shortcut.0.weight": (3, 2, 1, 1),
        "shortcut.0.bias": (3,),
    }
    return Example(layer, in_torch, (2, 2, 4, 6), shapes)


EXAMPLES: dict[str, list[Example]] = {
    "affine": [_affine(4, 3, 5), _affine(1, 1, 1), _affine(3, 2, 2), _affine(2, 4, 3, bias=False)],
    "average-pooling": [
        average_pooling((2, 3, 4, 6), 2),
        average_pooling((1, 1, 5, 7), (3, 2), (2, 3), (1, 0)),
        average_pooling((2, 1, 5, 5), 3, 1, 1),
    ],
    "batch-normalization": [
        _batch_normalization(4, 3, 2, 5),
        _batch_normalization(1, 1, 3, 2),
        _batch_normalization(6, 4, epsilon=0.1),
    ],
    "convolution": [
        convolution((2, 3, 5, 7), 4, (3, 2)),
        convolution((1, 1, 4, 4), 1, (1, 1)),
        convolution((2, 2, 6, 5), 3, (3, 3), stride=2, padding=1, bias=False),
        convolution((1, 2, 7, 4), 2, (2, 3), stride=(3, 1), padding=(0, 2)),
    ],
    "dropout": [_dropout(4, 5, rate=0.4), _dropout(2, 3, 2, 2, rate=0.1)],
    "flatten": [Example(Flatten(), lambda parameters, images: images.flatten(1), (2, 3, 4, 5))],
    "frozen-batch-normalization": [
        _frozen_batch_normalization(4, 3, 2, 5),
        _frozen_batch_normalization(1, 2, 1, 1),
        _frozen_batch_normalization(3, 4, epsilon=0.1),
    ],
    "gelu": _elementwise(GELU(), F.gelu),
    "global-average-pooling": [
        Example(GlobalAveragePooling(), lambda parameters, images: F.adaptive_avg_pool2d(images, 1), shape)
        for shape in [(2, 3, 4, 5), (1, 1, 1, 2)]
    ],
    "identity": _elementwise(Identity(), lambda inputs: inputs.clone()),
    "last-step": [Example(LastStep(), lambda parameters, steps: steps[:, -1], (3, 4, 2))],
    "lstm": [
        recurrent("lstm", 3, 5, 4, 2),
        recurrent("lstm", 1, 1, 1, 1),
        recurrent("lstm", 2, 3, 2, 3, bias=False),
    ],
    "max-pooling": [
        max_pooling((2, 3, 4, 6), 2),
        max_pooling((1, 1, 5, 7), (3, 2), (2, 1), (1, 0)),
        max_pooling((2, 1, 5, 5), 3, 1, 1),
    ],
    "normalize": [
        Example(
            Normalize(),
            lambda parameters, images: (
                (images - parameters["mean"][:, None, None]) / parameters["deviation"][:, None, None]
            ),
            (2, 3, 4, 5),
            buffers={"mean": (3,), "deviation": (3,)},
        )
    ],
    "prototype-similarity": [
        _prototypes(3, 4, 2, 5, nodes=3),
        _prototypes(1, 1, 1, 1, nodes=1),
        _prototypes(5, 2, nodes=7),
    ],
    "relu": _elementwise(ReLU(), F.relu),
    "residual": [_residual()],
    "rnn": [
        recurrent("rnn", 3, 5, 4, 2),
        recurrent("rnn", 1, 1, 1, 1),
        recurrent("rnn", 2, 4, 3, 3, activation="relu", bias=False),
        recurrent("rnn", 2, 6, 1, 2, activation="linear"),
    ],
    "rows": [
        Example(Rows(), lambda parameters, images: images.transpose(1, 2).flatten(2), (2, 3, 4, 5)),
        Example(Rows(), lambda parameters, images: images[:, 0], (1, 1, 4, 2)),
    ],
    "shifted-relu": [
        _shifted_relu(4, 3, offsets=3),
        _shifted_relu(2, 3, 2, 5, offsets=3),
        _shifted_relu(4, 3, offsets=1),
    ],
    "sigmoid": _elementwise(Sigmoid(), torch.sigmoid),
    "soft-tree": [_tree(4, 3, 5), _tree(1, 1, 2), _tree(2, 0, 3)],
    "tanh": _elementwise(Tanh(), torch.tanh),
    "tanh-gelu": _elementwise(TanhGELU(), lambda inputs: F.gelu(inputs, approximate="tanh")),
}
