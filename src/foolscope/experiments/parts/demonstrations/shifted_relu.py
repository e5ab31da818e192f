r"""The shifted ReLU, whose offset a bias absorbs: equal outputs, training, and the loss without biases.

Notation: a network S has hidden units h = max(t, o) with t = W₁x + b₁ and outputs y = W₂h + b₂. Because
max(t, o) = max(t − o, 0) + o, the network R with ordinary ReLUs and

    b₁' = b₁ − o,   b₂' = b₂ + W₂ o,   W₁' = W₁,   W₂' = W₂                                     (1)

has the same outputs. Gradients follow by the chain rule through (1); without a prime they are those of S:

    ∂W₁ = ∂W₁',   ∂b₁ = ∂b₁',   ∂b₂ = ∂b₂',   ∂W₂ = ∂W₂' + ∂b₂' oᵀ,   ∂o = W₂ᵀ ∂b₂' − ∂b₁'     (2)

So gradient descent at one rate does *not* keep the two networks together in general: W₂ of S sees the hidden
units with o added, and o moves b₁'. They stay together exactly

* with matched steps: R takes the step of S, (2) for the gradients of R, then (1);
* with equal steps where o and W₂ are held: then (2) says that the gradients of all that moves are equal.

Without biases a ReLU network of one input is a x for x > 0 and b x for x < 0, however many units it has: the
best of them is a least-squares problem of two unknowns.
"""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from foolscope.core.randomness import numpy_generator
from foolscope.experiments.parts.demonstrations.descent import log_spaced
from foolscope.experiments.parts.demonstrations.kind import (
    Demonstration,
    DemonstrationSettings,
    Outcome,
)
from foolscope.reference import (
    Affine,
    Array,
    Gradients,
    MeanSquaredError,
    Network,
    Parameters,
    ReLU,
    ShiftedReLU,
    loss_gradients,
)
from foolscope.reference.expression import Scalar, drawn, sigmoid
from foolscope.reference.expression import gradients as graph_gradients

__all__ = ["SHIFTED_RELU", "ShiftedReLUDemonstration", "converted", "largest_difference", "pulled_back"]

SHIFTED = Network((("0", Affine()), ("1", ShiftedReLU()), ("2", Affine())))
PLAIN = Network((("0", Affine()), ("1", ReLU()), ("2", Affine())))

_STUDENT_STEPS = 300  # at least: enough for two slopes to arrive

_Step = Callable[[dict[str, Array]], Gradients]
_Curve = Float[np.ndarray, " moment"]


class ShiftedReLUDemonstration(DemonstrationSettings):
    """Networks of one hidden layer with max(t, o) compared with max(t, 0)."""

    kind: Literal["shifted-relu"] = "shifted-relu"
    inputs: int = Field(3, ge=1, le=100)
    hidden: int = Field(8, ge=1, le=1000)
    outputs: int = Field(2, ge=1, le=100)
    examples: int = Field(64, ge=4, le=10_000)
    learning_rate: float = Field(0.05, gt=0)
    steps: int = Field(300, ge=1, le=100_000)


def converted(parameters: Parameters) -> dict[str, Array]:
    """Return the parameters of the ReLU network with the same outputs, equation (1); it needs biases.

    Example:
        >>> shifted = {"0.weight": np.eye(1), "0.bias": np.ones(1), "1.offset": np.full(1, 3.0),
        ...            "2.weight": np.full((1, 1), 2.0), "2.bias": np.zeros(1)}
        >>> {name: value.tolist() for name, value in converted(shifted).items() if "bias" in name}
        {'0.bias': [-2.0], '2.bias': [6.0]}
    """
    offset, weight = parameters["1.offset"], parameters["2.weight"]
    return {
        "0.weight": parameters["0.weight"],
        "0.bias": parameters["0.bias"] - offset,
        "2.weight": weight,
        "2.bias": parameters["2.bias"] + weight @ offset,
    }


def pulled_back(gradients: Parameters, weight: Array, offset: Array) -> dict[str, Array]:
    """Return the gradients of the shifted network from those of the converted one, equation (2).

    Args:
        gradients: of the ReLU network.
        weight: W₂.
        offset: o.
    """
    by_bias = gradients["2.bias"]
    return {
        **gradients,
        "1.offset": weight.T @ by_bias - gradients["0.bias"],
        "2.weight": gradients["2.weight"] + np.outer(by_bias, offset),
    }


def largest_difference(one: Parameters, other: Parameters) -> float:
    """Return the largest difference of any number between two sets of parameters of the same names."""
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


def _measures(settings: ShiftedReLUDemonstration) -> dict[str, str]:
    return {
        "output_difference": "largest difference of outputs after conversion, before training",
        "matched_difference": "largest difference of parameters after training in matched steps",
        "held_difference": (
            "largest difference of parameters after equal steps, offset and output weights held"
        ),
        "equal_difference": "largest difference of parameters after equal steps of all of them",
        "loss_difference": "difference of the last losses after equal steps, divided by the first loss",
        "loss_without_bias": "best loss without biases, divided by the targets' mean square",
        "trained_without_bias": "loss of a trained network without biases, divided by the best",
        "loss_with_bias": "loss of the conversion with biases, divided by the targets' mean square",
        "sigmoid_error": "largest difference of the graph's derivative from σ(1 − σ)",
    }


def _run(settings: ShiftedReLUDemonstration, seed: int) -> Outcome:
    chance = numpy_generator(seed, "demonstration", "shifted-relu")
    inputs = chance.normal(size=(settings.examples, settings.inputs))
    targets = np.sin(inputs @ chance.normal(size=(settings.inputs, settings.outputs)))
    start = _start(settings, chance)
    outputs = [
        network.forward(parameters, inputs)[0]
        for network, parameters in ((SHIFTED, start), (PLAIN, converted(start)))
    ]
    measures, curves = _training(settings, start, inputs, targets)
    without, picture = _without_bias(settings, chance)
    nodes, edges = drawn(sigmoid(Scalar(1.0, "x")))
    shown = log_spaced(settings.steps + 1)
    data: dict[str, Any] = {
        "steps": shown.tolist(),
        "curves": [{"name": name, "losses": curve[shown].tolist()} for name, curve in curves.items()],
        "without_bias": picture,
        "nodes": [vars(node) for node in nodes],
        "edges": [vars(edge) for edge in edges],
    }
    return Outcome(
        {
            "output_difference": float(np.abs(outputs[0] - outputs[1]).max()),
            **measures,
            **without,
            "sigmoid_error": _sigmoid_error(),
        },
        data,
    )


def _start(settings: ShiftedReLUDemonstration, chance: np.random.Generator) -> dict[str, Array]:
    first = chance.normal(size=(settings.hidden, settings.inputs)) / np.sqrt(settings.inputs)
    second = chance.normal(size=(settings.outputs, settings.hidden)) / np.sqrt(settings.hidden)
    return {
        "0.weight": first,
        "0.bias": 0.1 * chance.normal(size=settings.hidden),
        "1.offset": 0.5 * chance.normal(size=settings.hidden),
        "2.weight": second,
        "2.bias": 0.1 * chance.normal(size=settings.outputs),
    }


def _training(
    settings: ShiftedReLUDemonstration, start: dict[str, Array], inputs: Array, targets: Array
) -> tuple[dict[str, float], dict[str, _Curve]]:
    """Train both networks from matched starts in three ways; see the module's docstring."""
    rate, steps = settings.learning_rate, settings.steps

    def of_shifted(parameters: dict[str, Array]) -> Gradients:
        return loss_gradients(SHIFTED, MeanSquaredError(), parameters, inputs, targets)

    def of_plain(parameters: dict[str, Array]) -> Gradients:
        return loss_gradients(PLAIN, MeanSquaredError(), parameters, inputs, targets)

    shifted, shifted_curve = _descend(of_shifted, start, rate, steps)
    equal, equal_curve = _descend(of_plain, converted(start), rate, steps)
    matched, matched_curve = _descend_matched(of_plain, start, rate, steps)
    held = frozenset({"1.offset", "2.weight"})
    shifted_held, _ = _descend(of_shifted, start, rate, steps, held)
    plain_held, _ = _descend(of_plain, converted(start), rate, steps, held)
    measures = {
        "matched_difference": largest_difference(matched, converted(shifted)),
        "held_difference": largest_difference(plain_held, converted(shifted_held)),
        "equal_difference": largest_difference(equal, converted(shifted)),
        "loss_difference": abs(float(shifted_curve[-1] - equal_curve[-1])) / float(shifted_curve[0]),
    }
    curves = {
        "max(t, o)": shifted_curve,
        "max(t, 0), matched steps": matched_curve,
        "max(t, 0), equal steps": equal_curve,
    }
    return measures, curves


def _descend(
    gradients_at: _Step,
    start: dict[str, Array],
    rate: float,
    steps: int,
    held: frozenset[str] = frozenset(),
) -> tuple[dict[str, Array], _Curve]:
    """Run gradient descent with some parameters held; return the last parameters and the losses."""
    parameters, losses = dict(start), []
    for _ in range(steps):
        found = gradients_at(parameters)
        losses.append(found.loss)
        parameters = {
            name: value if name in held else value - rate * found.parameters[name]
            for name, value in parameters.items()
        }
    return parameters, np.array([*losses, gradients_at(parameters).loss])


def _descend_matched(
    gradients_at: _Step, start: dict[str, Array], rate: float, steps: int
) -> tuple[dict[str, Array], _Curve]:
    """Train the ReLU network by the steps of the shifted one, without evaluating that one."""
    parameters, offset = converted(start), start["1.offset"]
    losses = []
    for _ in range(steps):
        found = gradients_at(parameters)
        losses.append(found.loss)
        step = pulled_back(found.parameters, parameters["2.weight"], offset)
        back = {
            **parameters,
            "0.bias": parameters["0.bias"] + offset,
            "1.offset": offset,
            "2.bias": parameters["2.bias"] - parameters["2.weight"] @ offset,
        }
        moved = {name: value - rate * step[name] for name, value in back.items()}
        parameters, offset = converted(moved), moved["1.offset"]
    return parameters, np.array([*losses, gradients_at(parameters).loss])


def _without_bias(
    settings: ShiftedReLUDemonstration, chance: np.random.Generator
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Fit ReLU networks without biases to the outputs of a shifted network without biases."""
    x = np.linspace(-2, 2, 81)[:, None]
    teacher = {
        "0.weight": chance.normal(size=(settings.hidden, 1)),
        "1.offset": 0.3 + np.abs(chance.normal(size=settings.hidden)),
        "2.weight": chance.normal(size=(1, settings.hidden)) / np.sqrt(settings.hidden),
    }
    targets = SHIFTED.forward(teacher, x)[0]
    halves = np.hstack([np.maximum(x, 0), np.minimum(x, 0)])
    best = halves @ np.linalg.lstsq(halves, targets, rcond=None)[0]
    least = float(np.square(best - targets).mean())
    with_bias = {**teacher, "0.bias": np.zeros(settings.hidden), "2.bias": np.zeros(1)}
    biased = PLAIN.forward(converted(with_bias), x)[0]

    def of_plain(parameters: dict[str, Array]) -> Gradients:
        return loss_gradients(PLAIN, MeanSquaredError(), parameters, x, targets)

    student = {"0.weight": np.resize([1.0, -1.0], (settings.hidden, 1)), "2.weight": teacher["2.weight"]}
    trained = _descend(of_plain, student, settings.learning_rate, max(settings.steps, _STUDENT_STEPS))[1]
    size = float(np.square(targets).mean())
    measures = {
        "loss_without_bias": least / size,
        "trained_without_bias": float(trained[-1]) / least,
        "loss_with_bias": float(np.square(biased - targets).mean()) / size,
    }
    picture = {"x": x[:, 0].tolist(), "targets": targets[:, 0].tolist(), "best": best[:, 0].tolist()}
    return measures, picture


def _sigmoid_error() -> float:
    """Compare the derivative of the sigmoid's graph with σ(1 − σ), from −8 to 8."""
    errors = []
    for place in np.linspace(-8, 8, 65):
        x = Scalar(float(place), "x")
        y = sigmoid(x)
        errors.append(abs(graph_gradients(y)[x] - y.value * (1 - y.value)))
    return max(errors)


SHIFTED_RELU = Demonstration(ShiftedReLUDemonstration, _measures, _run)
