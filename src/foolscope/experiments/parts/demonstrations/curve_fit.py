"""Curve fitting by gradient descent: a polynomial to noisy points of a sine or a cubic."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from foolscope.core.randomness import numpy_generator
from foolscope.experiments.parts.demonstrations.descent import (
    curvatures,
    descend,
    least_squares,
    log_spaced,
    predictions,
    rises,
)
from foolscope.experiments.parts.demonstrations.kind import (
    Demonstration,
    DemonstrationSettings,
    Outcome,
)
from foolscope.reference import Affine, MeanSquaredError, central_differences, relative_error

__all__ = ["CURVE_FIT", "CurveFit", "sample"]

_Line = Float[np.ndarray, " point"]

_FUNCTIONS: dict[str, Callable[[_Line], _Line]] = {
    "sine": np.sin,
    "cubic": lambda x: 0.1 * x**3 - 0.5 * x + 0.5,
}


class CurveFit(DemonstrationSettings):
    """A polynomial fitted to noisy points of a curve by gradient descent on the mean squared error."""

    kind: Literal["curve-fit"] = "curve-fit"
    function: Literal["sine", "cubic"] = Field("sine", description="sin x, or 0.1 x³ − 0.5 x + 0.5")
    points: int = Field(
        50, ge=8, le=1000, description="points drawn uniformly from [−half_width, half_width]"
    )
    half_width: float = Field(3.0, gt=0, le=5)
    noise: float = Field(0.1, ge=0, le=10, description="standard deviation of the normal noise")
    degree: int = Field(3, ge=1, le=5, description="degree of the polynomial")
    learning_rate: float = Field(1e-4, gt=0)
    steps: int = Field(40_000, ge=1, le=1_000_000)


def sample(settings: CurveFit, seed: int) -> tuple[_Line, _Line]:
    """Draw the points: x and noisy y."""
    chance = numpy_generator(seed, "demonstration", "curve-fit")
    x = np.sort(chance.uniform(-settings.half_width, settings.half_width, settings.points))
    return x, _FUNCTIONS[settings.function](x) + settings.noise * chance.normal(size=settings.points)


def _measures(settings: CurveFit) -> dict[str, str]:
    return {
        "final_loss": "mean squared error after the last step",
        "least_squares_loss": "mean squared error of the closed-form solution, the minimum",
        "loss_ratio": "loss after the last step divided by the minimum",
        "rises": "number of steps at which the loss rose",
        "share_of_bound": "learning rate divided by its stability bound 2/λ_max",
        "gradient_error": "relative error of the hand-derived gradient against central differences",
    }


def _run(settings: CurveFit, seed: int) -> Outcome:
    x, heights = sample(settings, seed)
    features = _powers(x, settings.degree)
    fit = descend(features, heights, settings.learning_rate, settings.steps)
    weights, bias, least = least_squares(features, heights)
    bound = 2 / float(curvatures(features)[-1])
    final = float(fit.losses[-1])
    measures = {
        "final_loss": final,
        "least_squares_loss": least,
        "loss_ratio": final / least if least else float("nan"),
        "rises": rises(fit.losses),
        "share_of_bound": settings.learning_rate / bound,
        "gradient_error": _gradient_error(features, heights),
    }
    grid = np.linspace(-settings.half_width, settings.half_width, 121)
    by_power = _powers(grid, settings.degree)
    shown = log_spaced(len(fit.losses))
    data = {
        "x": x.tolist(),
        "heights": heights.tolist(),
        "grid": grid.tolist(),
        "true": _FUNCTIONS[settings.function](grid).tolist(),
        "fitted": predictions(by_power, fit.weights, fit.bias).tolist(),
        "least_squares": predictions(by_power, weights, bias).tolist(),
        "steps": shown.tolist(),
        "losses": fit.losses[shown].tolist(),
    }
    return Outcome(measures, data)


def _powers(x: _Line, degree: int) -> Float[np.ndarray, "point degree"]:
    """Return the powers x, x², … as columns."""
    columns: Float[np.ndarray, "point degree"] = x[:, None] ** np.arange(1, degree + 1)
    return columns


def _gradient_error(features: Float[np.ndarray, "point degree"], heights: _Line) -> float:
    """Compare the hand-derived gradient at the start with central differences of the loss."""
    start, goal = np.zeros(features.shape[1] + 1), heights[:, None]

    def parts(numbers: Float[np.ndarray, " number"]) -> dict[str, np.ndarray]:
        return {"weight": numbers[None, :-1], "bias": numbers[-1:]}

    outputs, cache = Affine().forward(parts(start), features)
    errors = MeanSquaredError().forward(outputs, goal)[1]
    gradient = Affine().parameter_gradients(cache, MeanSquaredError().backward(errors))
    by_hand = np.append(gradient["weight"], gradient["bias"])
    differences = central_differences(
        lambda numbers: MeanSquaredError().forward(Affine().forward(parts(numbers), features)[0], goal)[0],
        start,
    )
    return relative_error(by_hand, differences)


CURVE_FIT = Demonstration(CurveFit, _measures, _run)
