"""The computational graph of a scalar expression: values forwards, local slopes, gradients backwards."""

import math
from dataclasses import dataclass

__all__ = ["Edge", "Node", "Scalar", "drawn", "exp", "gradients", "maximum", "reciprocal", "sigmoid"]


@dataclass(frozen=True, eq=False)
class Scalar:
    """A number in a graph, with how it was made.

    Args:
        value: of the forward pass.
        operation: its name, or the sign of what was done: ``x``, ``1``, ``+``, ``exp``.
        inputs: what it was made of; empty for variables and constants.
        slopes: the derivative of the value by each input, at their values.

    Example:
        >>> x = Scalar(3.0, "x")
        >>> y = x * x + x
        >>> y.value, gradients(y)[x]
        (12.0, 7.0)
    """

    value: float
    operation: str
    inputs: tuple["Scalar", ...] = ()
    slopes: tuple[float, ...] = ()

    def __add__(self, other: "Scalar") -> "Scalar":
        """Return the sum; its slope is 1 with respect to both terms."""
        return Scalar(self.value + other.value, "+", (self, other), (1.0, 1.0))

    def __mul__(self, other: "Scalar") -> "Scalar":
        """Return the product; its slope with respect to one factor is the other factor."""
        return Scalar(self.value * other.value, "×", (self, other), (other.value, self.value))

    def __neg__(self) -> "Scalar":
        """Return the number with its sign reversed, of slope −1."""
        return Scalar(-self.value, "negate", (self,), (-1.0,))


def exp(number: Scalar) -> Scalar:
    """Return e^x, which is its own slope."""
    value = math.exp(number.value)
    return Scalar(value, "exp", (number,), (value,))


def reciprocal(number: Scalar) -> Scalar:
    """Return 1/x, of slope −1/x²."""
    value = 1 / number.value
    return Scalar(value, "reciprocal", (number,), (-value * value,))


def maximum(one: Scalar, other: Scalar) -> Scalar:
    """Return the larger number; its slope is 1, that of the smaller 0. At a tie ``other`` has slope 1."""
    first = one.value > other.value
    return Scalar(max(one.value, other.value), "max", (one, other), (float(first), float(not first)))


def sigmoid(number: Scalar) -> Scalar:
    """Return σ(x) = 1 / (1 + e^−x) as a graph of four operations.

    Example:
        >>> x = Scalar(0.0, "x")
        >>> y = sigmoid(x)
        >>> y.value, gradients(y)[x]
        (0.5, 0.25)
    """
    return reciprocal(Scalar(1.0, "1") + exp(-number))


def gradients(output: Scalar) -> dict[Scalar, float]:
    """Return the derivative of the output with respect to every number in its graph.

    The chain rule from the output backwards: its own derivative is 1, and a number hands to each of its
    inputs its own derivative times the slope of the edge between them. What a number is handed along several
    edges adds up, so it is handed on when all of it is there: in the reverse of the order of computing.
    """
    order = _in_order(output)
    found = dict.fromkeys(order, 0.0)
    found[output] = 1.0
    for number in reversed(order):
        for source, slope in zip(number.inputs, number.slopes, strict=True):
            found[source] += found[number] * slope
    return found


@dataclass(frozen=True)
class Node:
    """A number of a graph, for drawing."""

    label: str
    value: float
    gradient: float


@dataclass(frozen=True)
class Edge:
    """An edge from an input to the number computed from it, by positions among the nodes, with its slope."""

    start: int
    end: int
    slope: float


def drawn(output: Scalar) -> tuple[list[Node], list[Edge]]:
    """Return nodes with values and derivatives, in the order of computing, and edges with their slopes.

    Example:
        >>> nodes, edges = drawn(-Scalar(2.0, "x"))
        >>> nodes
        [Node(label='x', value=2.0, gradient=-1.0), Node(label='negate', value=-2.0, gradient=1.0)]
        >>> edges
        [Edge(start=0, end=1, slope=-1.0)]
    """
    order = _in_order(output)
    found = gradients(output)
    places = {number: place for place, number in enumerate(order)}
    nodes = [Node(number.operation, number.value, found[number]) for number in order]
    edges = [
        Edge(places[source], places[number], slope)
        for number in order
        for source, slope in zip(number.inputs, number.slopes, strict=True)
    ]
    return nodes, edges


def _in_order(output: Scalar) -> list[Scalar]:
    """List the numbers of a graph, each once and after its inputs."""
    order: dict[Scalar, None] = {}
    pending = [(output, False)]
    while pending:
        number, ready = pending.pop()
        if ready:
            order[number] = None
        elif number not in order:
            pending.append((number, True))
            pending += [(source, False) for source in reversed(number.inputs) if source not in order]
    return list(order)
