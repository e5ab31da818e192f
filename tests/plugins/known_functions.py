"""Random functions whose gradient bound is known."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st

COEFFICIENTS = st.floats(-1, 1).map(lambda number: round(number, 3))
PHASES = st.floats(0, 7)
FREQUENCIES = st.integers(-3, 3)


@dataclass
class Known:
    function: Any
    gradient_bound: float
    words: str

    def __repr__(self):
        return self.words


def waves(terms, dimension):
    """Σ a sin(2π k·x + φ), whose partial derivatives are at most Σ |a| 2π max |k|."""

    def function(*coordinates):
        return sum(
            a * torch.sin(2 * math.pi * sum(k * x for k, x in zip(ks, coordinates, strict=True)) + phase)
            for a, ks, phase in terms
        )

    bound = max(sum(abs(a) * 2 * math.pi * abs(ks[axis]) for a, ks, _ in terms) for axis in range(dimension))
    return Known(function, bound, f"waves {terms}")


def polynomial(terms, dimension):
    """Σ c x^p y^q, whose partial derivatives on the unit square are at most Σ |c| p and Σ |c| q."""

    def function(*coordinates):
        return sum(
            c
            * math.prod(
                (x**p for p, x in zip(powers, coordinates, strict=True)), start=1 + 0 * coordinates[0]
            )
            for c, powers in terms
        )

    bound = max(sum(abs(c) * powers[axis] for c, powers in terms) for axis in range(dimension))
    return Known(function, bound, f"polynomial {terms}")


def cone(apex, slope, offset):
    """The steepest function with a gradient bound: slope · Σ |x − apex| + offset."""

    def function(*coordinates):
        return offset + slope * sum((x - place).abs() for x, place in zip(coordinates, apex, strict=True))

    return Known(function, abs(slope), f"cone at {apex}, {slope}, {offset}")


def functions(dimension):
    frequencies = st.tuples(*[FREQUENCIES] * dimension)
    powers = st.tuples(*[st.integers(0, 4)] * dimension)
    apex = st.tuples(*[st.floats(0, 1)] * dimension)
    return st.one_of(
        st.lists(st.tuples(COEFFICIENTS, frequencies, PHASES), min_size=1, max_size=4).map(
            lambda terms: waves(terms, dimension)
        ),
        st.lists(st.tuples(COEFFICIENTS, powers), min_size=1, max_size=4).map(
            lambda terms: polynomial(terms, dimension)
        ),
        st.builds(cone, apex, COEFFICIENTS, st.floats(-100, 100)),
    )
