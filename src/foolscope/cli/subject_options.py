"""Options that name a model, a stored run or anyone's own, and the images on which it is evaluated."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.markup import escape

from foolscope.core.errors import RecipeError
from foolscope.experiments.running.session import Session
from foolscope.experiments.subjects.foreign_models import is_foreign
from foolscope.experiments.subjects.subject import Subject, dataset_settings, foreign_subject, run_subject
from foolscope.threats import NORMS, parse_epsilon

__all__ = [
    "Images",
    "image_options",
    "model_options",
    "norm_option",
    "print_doubts",
    "seed_option",
    "subject_of",
]

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Images:
    """The images on which a model is evaluated.

    Args:
        dataset: what the person called it; None for a run's own.
        fields: height, width and color of a folder of images.
        split: train, validation or test.
        limit: the first images of the split, at most this many.
    """

    dataset: str | None
    fields: dict[str, Any]
    split: str
    limit: int


def model_options(function: Function) -> Function:
    """Add weights, data set and normalization of a model of anyone's."""
    for option in reversed(
        (
            click.option(
                "--weights",
                type=click.Path(path_type=Path, dir_okay=False),
                help="Weights for a MODEL that a factory builds: safetensors, or a plain state dict.",
            ),
            click.option(
                "--dataset",
                metavar="NAME|PATH",
                help="Images: a data set, a folder of class folders, or an .npz.  [default: a run's own]",
            ),
            click.option(
                "--height", type=click.IntRange(1), help="Height to which a folder's images are resized."
            ),
            click.option(
                "--width", type=click.IntRange(1), help="Width to which a folder's images are resized."
            ),
            click.option("--color", metavar="rgb|grayscale", help="How a folder's images are read."),
            click.option(
                "--mean",
                metavar="X[,X,X]",
                help="MODEL expects (pixels - mean) / std, pixels in [0, 1]; one value, or one per channel.",
            ),
            click.option("--std", metavar="X[,X,X]", help="See --mean."),
        )
    ):
        function = option(function)
    return function


def image_options(function: Function) -> Function:
    """Add which images of the data set."""
    function = click.option(
        "--limit",
        type=click.IntRange(1),
        default=1000,
        show_default=True,
        help="Largest number of images, from the start of the split.",
    )(function)
    return click.option(
        "--split", default="test", show_default=True, help="Which images: train, validation or test."
    )(function)


def norm_option(words: str) -> Callable[[Function], Function]:
    """Return the option that names a norm, with what it is of."""
    return click.option("--norm", default="linf", show_default=True, metavar="|".join(NORMS), help=words)


def seed_option(words: str) -> Callable[[Function], Function]:
    """Return the option for the root of some randomness."""
    return click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help=words)


def subject_of(
    model: str,
    weights: Path | None,
    scaling: tuple[str | None, str | None],
    images: Images,
    session: Session,
) -> Subject:
    """Gather the options into a model with its images.

    Raises:
        RecipeError: options contradict each other, or the model does not fit the images.
    """
    fields = images.fields
    if images.dataset is None and any(value is not None for value in fields.values()):
        raise RecipeError("--height, --width and --color are for a folder of images; add --dataset FOLDER")
    settings = None if images.dataset is None else dataset_settings(images.dataset, **fields)
    mean, std = scaling
    if (mean is None) != (std is None):
        given, lacking = ("--mean", "--std") if std is None else ("--std", "--mean")
        raise RecipeError(f"{given} needs {lacking}, too")
    if is_foreign(model):
        if settings is None:
            raise RecipeError(f"{model} comes without images; name some with --dataset NAME|PATH")
        numbers = None if mean is None or std is None else (_numbers(mean, "mean"), _numbers(std, "std"))
        return foreign_subject(model, weights, settings, images.split, images.limit, numbers, session)
    for option, value in (("--weights", weights), ("--mean and --std", mean)):
        if value is not None:
            raise RecipeError(f"{option} is for a model of your own, file.py:factory; {model} names a run")
    return run_subject(session.store.find(model), settings, images.split, images.limit, session)


def print_doubts(subject: Subject) -> None:
    """Say at once what makes numbers about a model pointless."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for doubt in subject.doubts:
        console.print(f"[yellow]doubt:[/yellow] {escape(doubt)}")


def _numbers(text: str, what: str) -> list[float]:
    """Read numbers or fractions between commas."""
    return [parse_epsilon(part, what=f"--{what}") for part in text.split(",")]
