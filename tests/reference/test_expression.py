"""The graph's derivatives against closed forms and differences; a number used twice is handed both shares."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foolscope.reference.expression import Scalar, drawn, exp, gradients, maximum, reciprocal, sigmoid


def expression(x, y):
    """A number used in several places, and every operation."""
    product = x * y
    return maximum(product, x) * exp(-y) + reciprocal(x + y) * product + sigmoid(x * x)


@given(x=st.floats(0.2, 3.0), y=st.floats(0.2, 3.0))
def test_gradients_are_those_of_central_differences(x, y):
    if abs(y - 1) < 1e-3:  # the kink of the maximum
        return
    places = Scalar(x, "x"), Scalar(y, "y")
    found = gradients(expression(*places))
    step = 1e-6
    for which, place in enumerate(places):
        values = []
        for sign in (1, -1):
            moved = [x, y]
            moved[which] += sign * step
            values.append(expression(Scalar(moved[0], "x"), Scalar(moved[1], "y")).value)
        assert found[place] == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("place", np.linspace(-8, 8, 17))
def test_the_sigmoid_has_its_known_derivative(place):
    x = Scalar(float(place), "x")
    y = sigmoid(x)
    value = 1 / (1 + math.exp(-place))
    assert y.value == pytest.approx(value, rel=1e-14)
    assert gradients(y)[x] == pytest.approx(value * (1 - value), rel=1e-9)


def test_the_drawn_graph_has_inputs_first_and_multiplies_up_along_edges():
    nodes, edges = drawn(sigmoid(Scalar(1.0, "x")))
    assert [node.label for node in nodes] == ["1", "x", "negate", "exp", "+", "reciprocal"]
    assert all(edge.start < edge.end for edge in edges)
    for place, node in enumerate(nodes[:-1]):
        handed = sum(nodes[edge.end].gradient * edge.slope for edge in edges if edge.start == place)
        assert node.gradient == pytest.approx(handed, rel=1e-15)
    assert nodes[-1].gradient == 1.0


def test_a_deep_graph_needs_no_deep_stack():
    x = Scalar(1.0, "x")
    y = x
    for _ in range(5000):
        y = y + x
    assert gradients(y)[x] == 5001.0
