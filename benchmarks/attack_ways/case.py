"""What is attacked: an undefended and a defended network, each with images and a budget."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from foolscope.experiments.recipe import Recipe, recipe_from
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.study_file import read_study
from foolscope.learning.measuring.evaluation import to_pixels
from foolscope.threats import parse_epsilon

__all__ = ["WORKS", "Case", "Work", "cases_of"]


@dataclass(frozen=True, eq=False)
class Case:
    """A model and what is to be done with it.

    Args:
        title: what to call it.
        defended: whether it was trained on attacks.
        model: from images in [0, 1] to logits, in evaluation mode, its parameters frozen: no way pays for
            their gradients.
        images: the first so many test images.
        labels: their classes.
        norm: of the perturbations.
        epsilon: their largest size.
    """

    title: str
    defended: bool
    model: nn.Module
    images: Tensor
    labels: Tensor
    norm: str
    epsilon: float


@dataclass(frozen=True)
class Work:
    """A pair of networks, by the recipes of a built-in study or by their own.

    Args:
        undefended: recipe of the one.
        defended: recipe of the other.
        norm: of the perturbations.
        epsilon: their largest size, in pixels.
    """

    undefended: Recipe
    defended: Recipe
    norm: str
    epsilon: str


def _of_study(name: str, epsilon: str) -> Work:
    recipes = read_study(name)[0].recipes
    return Work(recipes["undefended"], recipes["pgd"], "linf", epsilon)


def _digits(norm: str, epsilon: str) -> Work:
    values = {
        "dataset": "digits",
        "model": {"name": "mlp", "hidden": [64]},
        "training": {"epochs": 20, "batch_size": 32},
        "precision": "float32",
    }
    defense = {"name": "pgd", "epsilon": 0.15}
    return Work(recipe_from(values), recipe_from({**values, "defense": defense}), norm, epsilon)


WORKS = {
    "fashion-mnist": _of_study("defended-fashion-mnist", "0.1"),
    "cifar10": _of_study("defended-cifar10", "8/255"),
    "digits": _digits("linf", "0.15"),
    "digits-l2": _digits("l2", "0.5"),
}


def cases_of(name: str, work: Work, session: Session, images: int) -> Iterator[Case]:
    """Train the two networks, or read them from the store; yield the undefended one first.

    Args:
        name: of the work.
        work: the recipes and the budget.
        session: store, data and device.
        images: the first so many of the test split.
    """
    trials = run_trials([work.undefended, work.defended], session)
    for defended, trial in enumerate(trials):
        split = session.dataset(trial.recipe.dataset).test
        yield Case(
            title=f"{name}, {'defended' if defended else 'undefended'}, {work.norm} {work.epsilon}",
            defended=bool(defended),
            model=trial.model(session.device).eval().requires_grad_(False),
            images=to_pixels(split.images[:images], torch.float32).to(session.device),
            labels=split.labels[:images].to(session.device),
            norm=work.norm,
            epsilon=parse_epsilon(work.epsilon),
        )
