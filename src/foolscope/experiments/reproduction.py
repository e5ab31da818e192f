"""The published experiments by their numbers: which study runs each, and which of its claims are about it."""

from collections.abc import Iterable
from dataclasses import dataclass

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.experiments.claims.records import ClaimRecord

__all__ = ["EXPERIMENTS", "Experiment", "Reproduction", "claims_about", "experiments_named", "reproductions"]


@dataclass(frozen=True)
class Experiment:
    """A published experiment: the built-in study that runs it, and what it is about."""

    study: str
    title: str


@dataclass(frozen=True)
class Reproduction:
    """A study to run, and the experiments for whose sake it is run."""

    study: str
    experiments: tuple[str, ...]


EXPERIMENTS: dict[str, Experiment] = {
    "A1": Experiment("curve-fit", "Fitting a curve by gradient descent"),
    "A2": Experiment("softmax-cifar10", "Softmax classifier on CIFAR-10, four ablations"),
    "A3": Experiment("one-hidden-layer-cifar10", "One hidden layer on CIFAR-10, four ablations"),
    "A4": Experiment("fooling-images-cifar10", "Fooling images: trucks become automobiles"),
    "B3": Experiment("low-rank", "Low-rank factorization"),
    "B4": Experiment("robustness-cifar10", "Robustness of a convolutional network on CIFAR-10"),
    "B5": Experiment("recurrent-gradients", "Gradients through time"),
    "C3": Experiment("constructive-approximation", "Approximation by networks with constructed weights"),
    "D1": Experiment("gradient-check-cifar10", "Gradient check: hand-derived, automatic, finite differences"),
    "D2": Experiment("cyclical-cifar10", "Sanity check: overfitting a small subset"),
    "D3": Experiment("cyclical-cifar10", "Cyclical learning rates on CIFAR-10"),
    "D4": Experiment("cyclical-cifar10", "Coarse-to-fine search over the L2 coefficient"),
    "E1": Experiment("shifted-relu", "The shifted ReLU and the sigmoid's derivative"),
    "E2": Experiment("linear-regression", "Linear regression at two learning rates"),
    "E4": Experiment("adversarial-clothing", "Adversarial images of clothing on Fashion-MNIST"),
}
"""Number to experiment; a claim belongs to the experiment with which its ``source`` begins."""


def experiments_named(name: str) -> tuple[str, ...]:
    """Return the numbers that a name stands for: one experiment, all of a letter, or all.

    Raises:
        RecipeError: there is no such experiment.

    Example:
        >>> experiments_named("d"), experiments_named("A3")
        (('D1', 'D2', 'D3', 'D4'), ('A3',))
    """
    wanted = name.strip().upper()
    found = tuple(number for number in EXPERIMENTS if wanted in (number, number[0], "ALL"))
    if not found:
        letters = dict.fromkeys(number[0] for number in EXPERIMENTS)
        raise RecipeError(
            f"no published experiment {name!r}. {did_you_mean(wanted, [*EXPERIMENTS, *letters, 'all'])}"
        )
    return found


def reproductions(name: str) -> tuple[Reproduction, ...]:
    """Return the studies to run for a name, each once; see :func:`experiments_named`."""
    numbers = experiments_named(name)
    studies = dict.fromkeys(EXPERIMENTS[number].study for number in numbers)
    return tuple(
        Reproduction(study, tuple(number for number in numbers if EXPERIMENTS[number].study == study))
        for study in studies
    )


def claims_about(claims: Iterable[ClaimRecord], experiments: Iterable[str]) -> list[ClaimRecord]:
    """Choose the claims whose source is one of these experiments."""
    wanted = set(experiments)
    return [claim for claim in claims if (claim.source or "").partition(",")[0].strip() in wanted]
