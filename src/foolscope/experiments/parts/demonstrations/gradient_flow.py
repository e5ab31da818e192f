"""Gradients through time: vanishing, exploding, their bound, and remedies."""

import dataclasses
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional

from foolscope.core.randomness import torch_generator
from foolscope.data import load
from foolscope.data.dataset import Dataset
from foolscope.experiments.parts.demonstrations.kind import (
    Demonstration,
    DemonstrationSettings,
    Outcome,
)
from foolscope.experiments.recipe import Recipe, recipe_from
from foolscope.inspection.gradients.gradient_flow import FlowThroughTime, flow_through_time
from foolscope.inspection.gradients.recurrent_gradients import GradientHistory, recurrent_gradients
from foolscope.models import build_model
from foolscope.models.recurrent import LSTM, RNN

__all__ = ["GRADIENT_FLOW", "GradientFlow"]

_Norms = Annotated[tuple[Annotated[float, Field(gt=0, le=4)], ...], Field(min_length=1, max_length=5)]
_Biases = Annotated[tuple[Annotated[float, Field(ge=-10, le=10)], ...], Field(min_length=1, max_length=5)]
_CLASSES = 10
_CLIPPED, _DECAYED = "‖w‖ = {:g}, clipped", "‖w‖ = {:g}, weight decay"


class GradientFlow(DemonstrationSettings):
    """How far the loss's gradient reaches back in recurrent networks that read noise row by row."""

    kind: Literal["gradient-flow"] = "gradient-flow"
    spectral_norms: _Norms = Field(
        (0.8, 1.0, 1.2), description="initial spectral norms ‖w‖ of the recurrent matrix"
    )
    forget_biases: _Biases = Field((0.0, 1.0, 4.0), description="initial biases of an LSTM's forget gate")
    hidden: int = Field(50, ge=1, le=1000)
    rows: int = Field(28, ge=2, le=200, description="time steps T")
    width: int = Field(28, ge=1, le=1000, description="numbers in a row")
    images: int = Field(50, ge=1, le=1000)
    clipping: float = Field(1.0, gt=0, description="largest norm of a gradient, in training on digits")
    l2: float = Field(0.1, ge=0, description="coefficient of weight decay, in training")
    training_steps: int = Field(100, ge=1, le=1000, description="steps of gradient descent")
    training_rate: float = Field(0.02, gt=0, le=10, description="learning rate of the training")


def _measures(settings: GradientFlow) -> dict[str, str]:
    steepest, steps = f"‖w‖ = {max(settings.spectral_norms):g}", f"after {settings.training_steps} steps"
    words = {
        "bound_share": "largest gradient divided by its bound ‖w‖^(T−t), over all RNNs and time steps",
        "theory_error": "largest relative difference of a linear recurrence from ‖w‖^(T−t)",
    }
    for kind in ("linear", "tanh"):
        for norm in settings.spectral_norms:
            words[f"{kind}@{norm:g}"] = (
                f"gradient at the first state divided by that at the last, {kind}, ‖w‖ = {norm:g}"
            )
    for bias in settings.forget_biases:
        words[f"lstm@{bias:g}"] = (
            f"gradient at the first cell divided by that at the last, LSTM, forget bias {bias:g}"
        )
    for norm in settings.spectral_norms:
        words[f"tanh_trained@{norm:g}"] = f"the same, tanh, ‖w‖ = {norm:g}, {steps}"
    for bias in settings.forget_biases:
        words[f"lstm_trained@{bias:g}"] = f"the same, LSTM, forget bias {bias:g}, {steps}"
    return words | {
        "free_step": f"norm of the first step over the learning rate, linear, {steepest}, without clipping",
        "clipped_step": f"largest norm of a step over the learning rate, linear, {steepest}, with clipping",
        "free_loss": f"loss divided by the first loss, linear, {steepest}, without clipping, {steps}",
        "clipped_loss": f"loss divided by the first loss, linear, {steepest}, with clipping, {steps}",
        "decayed_norm": f"‖w‖ with weight decay divided by that without, tanh, {steepest}, {steps}",
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
        kind: [_line(f"‖w‖ = {norm:g}", each) for norm, each in own.items()]
        for kind, own in recurrences.items()
    }
    panels["LSTM"] = [_line(f"forget bias {bias:g}", each) for bias, each in gates.items()]
    histories = _histories(settings, seed)
    trained = {
        kind: [_line(words, each.flows[-1]) for words, each in own.items()] for kind, own in histories.items()
    }
    return Outcome(
        measures | _trained_measures(settings, histories),
        {"panels": _listed(panels), "trained_panels": _listed(trained)},
    )


def _shares(flow: FlowThroughTime) -> np.ndarray:
    """Return the gradient's norm divided by its bound at every time step."""
    assert flow.bound is not None
    return np.asarray(flow.hidden / flow.bound)


def _reach(flow: FlowThroughTime) -> float:
    """Return the gradient norm at the first state divided by that at the last; not finite if it diverged."""
    return float(flow.memory[0] / flow.memory[-1])


def _line(words: str, flow: FlowThroughTime) -> dict[str, Any]:
    norm = flow.spectral_norm if flow.cell is None else None
    return {"words": words, "norms": flow.memory.tolist(), "spectral_norm": norm}


def _listed(panels: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [{"title": title, "lines": lines} for title, lines in panels.items()]


_Histories = dict[str, dict[str, GradientHistory]]  # kind of recurrence -> description -> history


def _histories(settings: GradientFlow, seed: int) -> _Histories:
    """Train every network on digits, the ones of the largest norm also with clipping and weight decay."""
    steepest = max(settings.spectral_norms)
    data = _enlarged(load(_recipe(settings, seed, {"name": "rnn"}).dataset), settings.rows, settings.width)
    trials: dict[str, dict[str, Recipe]] = {}
    for kind in ("linear", "tanh"):
        models = {
            norm: {"name": "rnn", "activation": kind, "spectral_norm": norm}
            for norm in settings.spectral_norms
        }
        trials[kind] = {
            **{f"‖w‖ = {norm:g}": _recipe(settings, seed, model) for norm, model in models.items()},
            _CLIPPED.format(steepest): _recipe(
                settings, seed, models[steepest], training={"clipping": settings.clipping}
            ),
            _DECAYED.format(steepest): _recipe(
                settings, seed, models[steepest], regularization={"l2": settings.l2}
            ),
        }
    trials["LSTM"] = {
        f"forget bias {bias:g}": _recipe(settings, seed, {"name": "lstm", "forget_bias": bias})
        for bias in settings.forget_biases
    }
    moments = (0, settings.training_steps)
    return {kind: recurrent_gradients(own, data, moments=moments) for kind, own in trials.items()}


def _recipe(settings: GradientFlow, seed: int, model: dict[str, Any], **more: dict[str, Any]) -> Recipe:
    values = {
        "dataset": {"name": "digits", "limit": 300},
        "model": {"hidden": settings.hidden, **model},
        "optimizer": {"name": "sgd", "learning_rate": settings.training_rate},
        "precision": "float64",
        "seed": seed,
    }
    return recipe_from({**values, **more})


def _enlarged(dataset: Dataset, rows: int, width: int) -> Dataset:
    """Return the data set with training images of another size, bilinearly interpolated."""
    images = functional.interpolate(dataset.train.images.float(), size=(rows, width), mode="bilinear")
    return dataclasses.replace(
        dataset, train=dataclasses.replace(dataset.train, images=images.round().to(torch.uint8))
    )


def _trained_measures(settings: GradientFlow, histories: _Histories) -> dict[str, float]:
    steepest = max(settings.spectral_norms)
    linear, tanh, gates = (histories[kind] for kind in ("linear", "tanh", "LSTM"))
    free, clipped = linear[f"‖w‖ = {steepest:g}"], linear[_CLIPPED.format(steepest)]
    decayed, kept = tanh[_DECAYED.format(steepest)].flows[-1], tanh[f"‖w‖ = {steepest:g}"].flows[-1]
    reached = {
        f"tanh_trained@{norm:g}": _reach(tanh[f"‖w‖ = {norm:g}"].flows[-1])
        for norm in settings.spectral_norms
    } | {
        f"lstm_trained@{bias:g}": _reach(gates[f"forget bias {bias:g}"].flows[-1])
        for bias in settings.forget_biases
    }
    return reached | {
        "free_step": float(free.update_norms[0]) / settings.training_rate,
        "clipped_step": float(clipped.update_norms.max()) / settings.training_rate,
        "free_loss": free.flows[-1].loss / free.flows[0].loss,
        "clipped_loss": clipped.flows[-1].loss / clipped.flows[0].loss,
        "decayed_norm": decayed.spectral_norm / kept.spectral_norm,
    }


GRADIENT_FLOW = Demonstration(GradientFlow, _measures, _run, version=2)
