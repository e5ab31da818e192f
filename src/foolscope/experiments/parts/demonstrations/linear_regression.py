"""Linear regression by gradient descent at several learning rates, and the stability bound 2/λ_max."""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from foolscope.core.randomness import numpy_generator
from foolscope.experiments.parts.demonstrations.descent import (
    Descent,
    curvatures,
    descend,
    least_squares,
    log_spaced,
    rises,
)
from foolscope.experiments.parts.demonstrations.kind import (
    Demonstration,
    DemonstrationSettings,
    Outcome,
)

__all__ = ["LINEAR_REGRESSION", "LinearRegression", "sample"]

_Rate = Annotated[float, Field(gt=0)]
_JUST_BELOW, _JUST_ABOVE = 0.99, 1.01  # of the bound


class LinearRegression(DemonstrationSettings):
    """Linear regression on unscaled features, by gradient descent on the mean squared error."""

    kind: Literal["linear-regression"] = "linear-regression"
    learning_rates: Annotated[tuple[_Rate, ...], Field(min_length=1, max_length=6)] = (1e-4, 1e-2)
    examples: int = Field(200, ge=10, le=10_000)
    deviations: Annotated[tuple[_Rate, ...], Field(min_length=1, max_length=20)] = Field(
        (1.0, 3.0, 12.0), description="standard deviations of the features, which are normal and independent"
    )
    noise: float = Field(1.0, ge=0, description="standard deviation of the targets' normal noise")
    steps: int = Field(2000, ge=1, le=100_000)


def sample(
    settings: LinearRegression, seed: int
) -> tuple[Float[np.ndarray, "example feature"], Float[np.ndarray, " example"]]:
    """Draw features and targets; every feature contributes about as much to the target as any other."""
    chance = numpy_generator(seed, "demonstration", "linear-regression")
    deviations = np.array(settings.deviations)
    features = deviations * chance.normal(size=(settings.examples, len(deviations)))
    weights, bias = chance.normal(size=len(deviations)) / deviations, chance.normal()
    return features, features @ weights + bias + settings.noise * chance.normal(size=settings.examples)


def _measures(settings: LinearRegression) -> dict[str, str]:
    words = {
        "curvature": "largest curvature of the loss, λ_max",
        "bound": "stability bound of the learning rate, 2/λ_max",
        "condition": "condition number: largest curvature divided by the smallest",
        "least_loss": "mean squared error of the closed-form solution",
        "rises_below": "steps at which the loss rose, at 0.99 times the bound",
        "growth_above": "last loss divided by the lowest, at 1.01 times the bound",
    }
    for rate in settings.learning_rates:
        words |= {
            f"share_of_bound@{rate:g}": f"learning rate {rate:g} divided by the bound",
            f"rises@{rate:g}": f"steps at which the loss rose, at learning rate {rate:g}",
            f"excess@{rate:g}": f"last loss minus that of the closed form, at learning rate {rate:g}",
        }
    return words


def _run(settings: LinearRegression, seed: int) -> Outcome:
    features, targets = sample(settings, seed)
    spectrum = curvatures(features)
    bound = 2 / float(spectrum[-1])
    least = least_squares(features, targets)[2]

    def at(rate: float) -> Descent:
        return descend(features, targets, rate, settings.steps)

    runs = {rate: at(rate) for rate in settings.learning_rates}
    above = at(_JUST_ABOVE * bound).losses
    measures = {
        "curvature": float(spectrum[-1]),
        "bound": bound,
        "condition": float(spectrum[-1] / spectrum[0]),
        "least_loss": least,
        "rises_below": float(rises(at(_JUST_BELOW * bound).losses)),
        "growth_above": float(above[-1] / above.min()),
    }
    for rate, run in runs.items():
        measures |= {
            f"share_of_bound@{rate:g}": rate / bound,
            f"rises@{rate:g}": float(rises(run.losses)),
            f"excess@{rate:g}": float(run.losses[-1]) - least,
        }
    shown = {rate: log_spaced(len(run.losses)) for rate, run in runs.items()}
    data = {
        "least_loss": least,
        "bound": bound,
        "runs": [
            {"rate": rate, "steps": shown[rate].tolist(), "losses": run.losses[shown[rate]].tolist()}
            for rate, run in runs.items()
        ],
    }
    return Outcome(measures, data)


LINEAR_REGRESSION = Demonstration(LinearRegression, _measures, _run)
