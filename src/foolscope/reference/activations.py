"""Elementwise activations: the input gradient is G times the slope."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from foolscope.reference.layer import Array, Parameters

__all__ = ["GELU", "ReLU", "ShiftedReLU", "Sigmoid", "Tanh", "TanhGELU", "logistic"]

_Features = Float[np.ndarray, "batch features *space"]
_Above = Bool[np.ndarray, "batch features *space"]
_Numbers = Float[np.ndarray, "*shape"]
_Switches = Bool[np.ndarray, "*shape"]

_erf = np.frompyfunc(math.erf, 1, 1)  # NumPy has none; the standard library's is exact, a number at a time


@dataclass(frozen=True)
class ReLU:
    """The positive part: y = max(x, 0).

    Derivation: y = x where x > 0, slope 1; y = 0 where x < 0, slope 0. At the kink x = 0 any slope from 0 to
    1 is a subgradient; it is 0 here, as in PyTorch. So ∂L/∂x = G · [x > 0].

    Example:
        >>> outputs, cache = ReLU().forward({}, np.array([-1.0, 0.0, 2.0]))
        >>> outputs, ReLU().backward({}, cache, np.array([5.0, 5.0, 5.0]))[0]
        (array([0., 0., 2.]), array([0., 0., 5.]))
    """

    def forward(self, parameters: Parameters, inputs: _Numbers) -> tuple[_Numbers, _Switches]:
        """Return max(x, 0); remembered is [x > 0]."""
        return np.maximum(inputs, 0), inputs > 0

    def backward(
        self, parameters: Parameters, cache: _Switches, output_gradient: _Numbers
    ) -> tuple[_Numbers, dict[str, Array]]:
        """Return G · [x > 0]."""
        return output_gradient * cache, {}


@dataclass(frozen=True)
class ShiftedReLU:
    """A rectifier whose floor is learned: y = max(x, o).

    The parameter is ``offset`` o, one per feature (axis 1), or one for all.

    Derivation: where x > o, y = x, with slope 1 by x and 0 by o; elsewhere y = o, with slopes 0 and 1. At the
    kink x = o the offset has the slope, so that o = 0 is :class:`ReLU`. So

    * ∂L/∂x = G · [x > o];
    * ∂L/∂o_f = Σ G_nf · [x_nf ≤ o_f], over images n, and over positions in a map.

    After an affine layer with a bias the offset is superfluous: max(t + b, o) = max(t + (b − o), 0) + o, and
    the constant o goes into the next layer's bias.

    Example:
        >>> parameters = {"offset": np.array([1.0])}
        >>> outputs, cache = ShiftedReLU().forward(parameters, np.array([[0.0], [3.0]]))
        >>> outputs.T
        array([[1., 3.]])
        >>> ShiftedReLU().backward(parameters, cache, np.array([[5.0], [7.0]]))[1]
        {'offset': array([5.])}
    """

    def forward(self, parameters: Parameters, inputs: _Features) -> tuple[_Features, _Above]:
        """Return max(x, o); remembered is [x > o]."""
        offset = parameters["offset"].reshape(-1, *(1,) * (inputs.ndim - 2))
        return np.maximum(inputs, offset), inputs > offset

    def backward(
        self, parameters: Parameters, cache: _Above, output_gradient: _Features
    ) -> tuple[_Features, dict[str, Array]]:
        """Return G · [x > o]; Σ G · [x ≤ o]."""
        offset = parameters["offset"]
        per_feature = (output_gradient * ~cache).sum(axis=(0, *range(2, output_gradient.ndim)))
        offset_gradient = per_feature if offset.size == per_feature.size else per_feature.sum()
        return output_gradient * cache, {"offset": np.reshape(offset_gradient, offset.shape)}


def logistic(numbers: _Numbers) -> _Numbers:
    """Return 1 / (1 + e^−x), without overflow: e^−|x| is at most 1.

    Example:
        >>> logistic(np.array([-1000.0, 0.0, 1000.0]))
        array([0. , 0.5, 1. ])
    """
    decay = np.exp(-np.abs(numbers))
    result: _Numbers = np.where(numbers >= 0, 1, decay) / (1 + decay)
    return result


@dataclass(frozen=True)
class Sigmoid:
    """The logistic function: y = σ(x) = 1 / (1 + e^−x).

    Derivation, along the graph of its formula: with u = e^−x and v = 1 + u, y = 1 / v. Then dy/dv = −1 / v² =
    −y², dv/du = 1 and du/dx = −u, so dy/dx = y² u. As u = v − 1 = 1 / y − 1, dy/dx = y (1 − y), and
    ∂L/∂x = G · y · (1 − y).

    Example:
        >>> outputs, cache = Sigmoid().forward({}, np.array([0.0]))
        >>> outputs, Sigmoid().backward({}, cache, np.array([1.0]))[0]
        (array([0.5]), array([0.25]))
    """

    def forward(self, parameters: Parameters, inputs: _Numbers) -> tuple[_Numbers, _Numbers]:
        """Return σ(x), which is also remembered."""
        outputs = logistic(inputs)
        return outputs, outputs

    def backward(
        self, parameters: Parameters, cache: _Numbers, output_gradient: _Numbers
    ) -> tuple[_Numbers, dict[str, Array]]:
        """Return G · y · (1 − y)."""
        return output_gradient * cache * (1 - cache), {}


@dataclass(frozen=True)
class Tanh:
    """The hyperbolic tangent: y = tanh x = sinh x / cosh x.

    Derivation: sinh' = cosh and cosh' = sinh, so by the quotient rule dy/dx = (cosh² x − sinh² x) / cosh² x =
    1 − y², and ∂L/∂x = G · (1 − y²).

    Example:
        >>> outputs, cache = Tanh().forward({}, np.array([0.0]))
        >>> outputs, Tanh().backward({}, cache, np.array([3.0]))[0]
        (array([0.]), array([3.]))
    """

    def forward(self, parameters: Parameters, inputs: _Numbers) -> tuple[_Numbers, _Numbers]:
        """Return tanh x, which is also remembered."""
        outputs = np.tanh(inputs)
        return outputs, outputs

    def backward(
        self, parameters: Parameters, cache: _Numbers, output_gradient: _Numbers
    ) -> tuple[_Numbers, dict[str, Array]]:
        """Return G · (1 − y²)."""
        return output_gradient * (1 - cache * cache), {}


@dataclass(frozen=True)
class GELU:
    """The input times the probability that a standard normal number is smaller: y = x Φ(x).

    Here Φ(x) = ½ (1 + erf(x / √2)), whose slope is the normal density φ(x) = e^(−x²/2) / √(2π).

    Derivation: by the product rule dy/dx = Φ(x) + x φ(x), so ∂L/∂x = G · (Φ(x) + x φ(x)).

    Example:
        >>> outputs, cache = GELU().forward({}, np.array([0.0]))
        >>> outputs, GELU().backward({}, cache, np.array([1.0]))[0]
        (array([0.]), array([0.5]))

    References:
        Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2.
    """

    def forward(self, parameters: Parameters, inputs: _Numbers) -> tuple[_Numbers, tuple[_Numbers, _Numbers]]:
        """Return x Φ(x); remembered are x and Φ(x)."""
        below = 0.5 * (1 + np.asarray(_erf(inputs * math.sqrt(0.5))).astype(inputs.dtype))
        return inputs * below, (inputs, below)

    def backward(
        self, parameters: Parameters, cache: tuple[_Numbers, _Numbers], output_gradient: _Numbers
    ) -> tuple[_Numbers, dict[str, Array]]:
        """Return G · (Φ(x) + x φ(x))."""
        inputs, below = cache
        density = np.exp(-0.5 * inputs * inputs) / math.sqrt(2 * math.pi)
        return output_gradient * (below + inputs * density), {}


@dataclass(frozen=True)
class TanhGELU:
    """GELU with a hyperbolic tangent for the error function: y = ½ x (1 + t), t = tanh(c (x + a x³)).

    The constants are c = √(2/π) and a = 0.044715.

    Derivation: the chain rule gives dt/dx = (1 − t²) · c (1 + 3 a x²), the product rule
    dy/dx = ½ (1 + t) + ½ x · dt/dx, and ∂L/∂x = G · dy/dx.

    Example:
        >>> outputs, cache = TanhGELU().forward({}, np.array([0.0]))
        >>> outputs, TanhGELU().backward({}, cache, np.array([1.0]))[0]
        (array([0.]), array([0.5]))

    References:
        Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2.
    """

    def forward(self, parameters: Parameters, inputs: _Numbers) -> tuple[_Numbers, tuple[_Numbers, _Numbers]]:
        """Return ½ x (1 + t); remembered are x and t."""
        bend = np.tanh(_SLOPE * (inputs + _CUBIC * inputs * inputs * inputs))
        return 0.5 * inputs * (1 + bend), (inputs, bend)

    def backward(
        self, parameters: Parameters, cache: tuple[_Numbers, _Numbers], output_gradient: _Numbers
    ) -> tuple[_Numbers, dict[str, Array]]:
        """Return G · (½ (1 + t) + ½ x (1 − t²) c (1 + 3 a x²))."""
        inputs, bend = cache
        bend_slope = (1 - bend * bend) * _SLOPE * (1 + 3 * _CUBIC * inputs * inputs)
        return output_gradient * 0.5 * (1 + bend + inputs * bend_slope), {}


_SLOPE = math.sqrt(2 / math.pi)
_CUBIC = 0.044715
