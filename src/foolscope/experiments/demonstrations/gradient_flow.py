"""Gradients through time: vanishing and exploding against their bound, and what mitigates it (B5)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from foolscope.core.randomness import torch_generator
from foolscope.data import load
from foolscope.experiments.demonstrations.demonstration import Demonstration, DemonstrationSettings, Outcome
from foolscope.experiments.recipe import recipe_from
from foolscope.inspection import FlowThroughTime, flow_through_time, recurrent_gradients
from foolscope.models import build_model
from foolscope.models.recurrent import LSTM, RNN

__all__ = ["GRADIENT_FLOW", "GradientFlow"]

_Norms = Annotated[tuple[Annotated[float, Field(gt=0, le=4)], ...], Field(min_length=1, max_length=5)]
_Biases = Annotated[tuple[Annotated[float, Field(ge=-10, le=10)], ...], Field(min_length=1, max_length=5)]
_CLASSES = 10


class GradientFlow(DemonstrationSettings):
    """Recurrent networks read images of noise row by row; how far the loss's gradient reaches back."""

    kind: Literal["gradient-flow"] = "gradient-flow"
    spectral_norms: _Norms = Field((0.8, 1.0, 1.2), description="‖w‖ of the recurrent matrix")
    forget_biases: _Biases = Field((0.0, 1.0, 4.0), description="of an LSTM's forget gate")
    hidden: int = Field(50, ge=1, le=1000)
    rows: int = Field(28, ge=2, le=200, description="time steps T")
    width: int = Field(28, ge=1, le=1000, description="numbers in a row")
    images: int = Field(50, ge=1, le=1000)
    clipping: float = Field(1.0, gt=0, description="largest norm of a gradient, in training on digits")
    training_steps: int = Field(50, ge=1, le=1000, description="of that training")


def _measures(settings: GradientFlow) -> dict[str, str]:
    words = {
        "bound_share": "largest gradient in units of its bound ‖w‖^(T−t), over all RNNs and time steps",
        "theory_error": "largest relative difference of a linear recurrence from ‖w‖^(T−t)",
    }
    for kind in ("linear", "tanh"):
        for norm in settings.spectral_norms:
            words[f"{kind}@{norm:g}"] = (
                f"gradient by the first state in units of that by the last, {kind}, ‖w‖ = {norm:g}"
            )
    for bias in settings.forget_biases:
        words[f"lstm@{bias:g}"] = (
            f"gradient by the first cell in units of that by the last, LSTM, forget bias {bias:g}"
        )
    return words | {
        "free_step": "largest norm of a step over the learning rate, ‖w‖ the largest, without clipping",
        "clipped_step": "largest norm of a step over the learning rate, ‖w‖ the largest, with clipping",
    }


def _run(settings: GradientFlow, seed: int) -> Outcome:
    chance = torch_generator(seed, "demonstration", "gradient-flow")
    images = torch.rand(settings.images, 1, settings.rows, settings.width, generator=chance)
    labels = torch.randint(_CLASSES, (settings.images,), generator=chance)

    def flow(model: RNN | LSTM) -> FlowThroughTime:
        shape = (1, settings.rows, settings.width)
        return flow_through_time(build_model(model, shape, _CLASSES, seed=seed), images, labels)

    recurrences: dict[Literal["linear", "tanh"], dict[float, FlowThroughTime]] = {
        kind: {
            norm: flow(RNN(hidden=settings.hidden, activation=kind, spectral_norm=norm, normalization="none"))
            for norm in settings.spectral_norms
        }
        for kind in ("linear", "tanh")
    }
    gates = {
        bias: flow(LSTM(hidden=settings.hidden, forget_bias=bias, normalization="none"))
        for bias in settings.forget_biases
    }
    measures = {
        "bound_share": max(
            float(_shares(each).max()) for own in recurrences.values() for each in own.values()
        ),
        "theory_error": max(
            float(np.abs(_shares(each) - 1).max()) for each in recurrences["linear"].values()
        ),
    }
    for kind, own in recurrences.items():
        measures |= {f"{kind}@{norm:g}": _reach(each) for norm, each in own.items()}
    measures |= {f"lstm@{bias:g}": _reach(each) for bias, each in gates.items()}
    panels: dict[str, list[dict[str, Any]]] = {
        kind: [{"words": f"‖w‖ = {norm:g}", **_line(each)} for norm, each in own.items()]
        for kind, own in recurrences.items()
    }
    panels["LSTM"] = [{"words": f"forget bias {bias:g}", **_line(each)} for bias, each in gates.items()]
    data = {"panels": [{"title": title, "lines": lines} for title, lines in panels.items()]}
    return Outcome(measures | _steps(settings, seed), data)


def _shares(flow: FlowThroughTime) -> np.ndarray:
    """Return the gradient's norm at every time step in units of its bound."""
    assert flow.bound is not None
    return np.asarray(flow.hidden / flow.bound)


def _reach(flow: FlowThroughTime) -> float:
    """Return how much of the gradient by the last state arrives at the first."""
    return float(flow.memory[0] / flow.memory[-1])


def _line(flow: FlowThroughTime) -> dict[str, Any]:
    norm = flow.spectral_norm if flow.cell is None else None
    return {"norms": flow.memory.tolist(), "spectral_norm": norm}


def _steps(settings: GradientFlow, seed: int) -> dict[str, float]:
    """Train the linear recurrence of the largest norm on digits, clipped and not, and measure its steps."""
    model = {
        "name": "rnn",
        "hidden": settings.hidden,
        "activation": "linear",
        "spectral_norm": max(settings.spectral_norms),
    }
    rate = 1e-3

    def largest(training: Mapping[str, Any]) -> float:
        values = {
            "dataset": {"name": "digits", "limit": 300},
            "model": model,
            "optimizer": {"name": "sgd", "learning_rate": rate},
            "training": training,
            "precision": "float64",
            "seed": seed,
        }
        recipe = recipe_from(values)
        moments = (0, settings.training_steps)
        history = recurrent_gradients({"it": recipe}, load(recipe.dataset), moments=moments)["it"]
        return float(history.update_norms.max()) / rate

    return {"free_step": largest({}), "clipped_step": largest({"clipping": settings.clipping})}


GRADIENT_FLOW = Demonstration(GradientFlow, _measures, _run)
