"""Functions approximated by networks with stated weights, and by trained ones."""

from typing import Annotated, Literal, TypedDict

import numpy as np
import torch
from pydantic import Field

from foolscope.constructive import EXAMPLES, Scaling, approximate, bump, scaling, tower
from foolscope.experiments.parts.demonstrations.kind import (
    Demonstration,
    DemonstrationSettings,
    Outcome,
)

__all__ = ["CONSTRUCTIVE_APPROXIMATION", "ApproximatedFunction", "ConstructiveApproximation", "UnitCosts"]

_Ratios = Annotated[tuple[Annotated[float, Field(gt=4, le=1000)], ...], Field(min_length=2, max_length=8)]
_SHOWN = EXAMPLES[0]
_SHOWN_RATIO = 25.0
_POINTS = 401


class ConstructiveApproximation(DemonstrationSettings):
    """Functions on the unit interval and square, approximated by stated weights and by trained ones."""

    kind: Literal["constructive-approximation"] = "constructive-approximation"
    line_ratios: _Ratios = Field((8.0, 16.0, 32.0, 64.0), description="t/ε on the unit interval")
    plane_ratios: _Ratios = Field((6.0, 12.0, 24.0), description="t/ε on the unit square")
    training_steps: int = Field(500, ge=1, le=100_000, description="steps of Adam for the trained networks")


class ApproximatedFunction(TypedDict):
    """A function and its network with stated weights at points of the unit interval, for the figure."""

    name: str
    epsilon: float
    hidden_units: int
    x: list[float]
    function: list[float]
    network: list[float]


class UnitCosts(TypedDict):
    """Hidden units against t/ε with the measured error for ε, one row per function.

    The slope is of the stated networks' units against t/ε, both logarithmic.
    """

    reached: list[list[float]]
    units: list[list[int]]
    slope: float
    trained_reached: list[list[float]]
    trained_units: list[list[int]]


def _measures(settings: ConstructiveApproximation) -> dict[str, str]:
    return {
        "bump_error": "largest difference of the bump on [0.4, 0.6] from σ(500x − 200) + σ(−500x + 300) − 1",
        "bump_height": "height of the bump at 0.5",
        "bump_outside": "largest size of the bump 0.02 or more outside",
        "tower_height": "height of the tower of four hidden units at its center",
        "tower_outside": "largest size of the tower 0.05 or more outside",
        "bound_share": "largest guaranteed bound, as a fraction of the requested ε",
        "error_share": "largest measured error, as a fraction of the guaranteed bound",
        "line_slope": "slope of hidden units against t/ε on the line, both logarithmic",
        "plane_slope": "slope of hidden units against t/ε in the plane, both logarithmic",
        "line_trained_nearer": "share of cases on the line where as many trained units had a smaller error",
        "plane_trained_nearer": "share of cases in the plane where as many trained units had a smaller error",
        "line_trained_fewer": "share of cases on the line where training needed fewer units",
        "plane_trained_fewer": "share of cases in the plane where training needed fewer units",
    }


def _run(settings: ConstructiveApproximation, seed: int) -> Outcome:
    found = {
        place: scaling(
            [target for target in EXAMPLES if target.dimension == dimension],
            ratios,
            seed=seed,
            seeds=1,
            training_steps=settings.training_steps,
        )
        for place, dimension, ratios in (
            ("line", 1, settings.line_ratios),
            ("plane", 2, settings.plane_ratios),
        )
    }
    measures = _pieces()
    asked = [each.gradient_bounds[:, None] / each.ratios for each in found.values()]
    bounds = [each.bounds for each in found.values()]
    measures["bound_share"] = max(
        float((bound / epsilon).max()) for bound, epsilon in zip(bounds, asked, strict=True)
    )
    measures["error_share"] = max(float((each.errors / each.bounds).max()) for each in found.values())
    for place, each in found.items():
        measures |= {
            f"{place}_slope": each.slope,
            f"{place}_trained_nearer": float((each.as_many_trained < each.errors).mean()),
            f"{place}_trained_fewer": float((each.fewest_trained < each.units).mean()),
        }
    data = {"stated": _shown(), **{place: _costs(each) for place, each in found.items()}}
    return Outcome(measures, data)


def _pieces() -> dict[str, float]:
    """Measure the published bump and a tower on fine grids."""
    x = np.linspace(0, 1, 2001)
    values = bump(0.4, 0.6, 500.0)(torch.tensor(x)[:, None])[:, 0].detach().numpy()
    stated = torch.tensor(500 * x - 200).sigmoid() + torch.tensor(-500 * x + 300).sigmoid() - 1
    side = np.linspace(0, 1, 201)
    across, up = np.meshgrid(side, side, indexing="ij")
    points = torch.tensor(np.stack([across.ravel(), up.ravel()], axis=1))
    heights = tower((0.4, 0.6), (0.3, 0.7), 500.0)(points)[:, 0].detach().numpy().reshape(across.shape)
    outside = (np.abs(across - 0.5) >= 0.15) | (np.abs(up - 0.5) >= 0.25)
    return {
        "bump_error": float(np.abs(values - stated.numpy()).max()),
        "bump_height": float(values[1000]),
        "bump_outside": float(np.abs(values[np.abs(x - 0.5) >= 0.12]).max()),
        "tower_height": float(heights[100, 100]),
        "tower_outside": float(heights[outside].max()),
    }


def _shown() -> ApproximatedFunction:
    """Approximate one function for the figure."""
    epsilon = _SHOWN.gradient_bound / _SHOWN_RATIO
    built = approximate(_SHOWN.function, _SHOWN.gradient_bound, epsilon)
    x = torch.linspace(0, 1, _POINTS, dtype=torch.float64)
    with torch.no_grad():
        network = built.module(x[:, None])[:, 0]
    return {
        "name": _SHOWN.name,
        "epsilon": epsilon,
        "hidden_units": built.hidden_units,
        "x": x.tolist(),
        "function": _SHOWN.function(x).tolist(),
        "network": network.tolist(),
    }


def _costs(found: Scaling) -> UnitCosts:
    sizes = np.broadcast_to(found.sizes, found.trained_reached.shape)
    return {
        "reached": found.reached.tolist(),
        "units": found.units.tolist(),
        "slope": found.slope,
        "trained_reached": found.trained_reached.tolist(),
        "trained_units": sizes.tolist(),
    }


CONSTRUCTIVE_APPROXIMATION = Demonstration(ConstructiveApproximation, _measures, _run)
