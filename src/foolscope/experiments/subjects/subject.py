"""The subject of an attack or inspection: a model with images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from foolscope.core.errors import DataError, RecipeError, did_you_mean
from foolscope.core.modes import frozen
from foolscope.core.settings import one_line
from foolscope.data import DATASETS, Dataset, DatasetSettings
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.subjects.foreign_models import (
    ForeignModel,
    load_foreign,
    module_fingerprint,
    normalized,
    place_of,
)
from foolscope.experiments.subjects.plausibility import clean_doubts, usual_scalings
from foolscope.learning.measuring.evaluation import channel_statistics, to_pixels
from foolscope.threats.threat import Threat, check_images

__all__ = ["Subject", "check_fit", "dataset_settings", "foreign_subject", "module_subject", "run_subject"]


@dataclass(frozen=True)
class Subject:
    """A model and the images on which it is attacked or inspected.

    Args:
        name: what to call the model.
        facts: what the result records: the run, or the model's place and weights; data set, split.
        identity: hash of everything that determines the model's outputs.
        model: from images in [0, 1] to logits.
        images: the first ones of the split.
        labels: their classes.
        classes: the names of the classes; empty for images in memory.
        remarks: what was done to make the model fit.
        doubts: reasons not to trust the numbers, known before any attack.
        seed: root of the attacks' randomness where none is given: a run's own, as a study attacks it.
    """

    name: str
    facts: Mapping[str, Any]
    identity: str
    model: nn.Module
    images: Float[Tensor, "batch channel height width"]
    labels: Int64[Tensor, " batch"]
    classes: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    seed: int = 0


def dataset_settings(name: str, **fields: Any) -> DatasetSettings:
    """Return the settings of a data set, given its name or the path of an ``.npz`` file or folder.

    Args:
        name: of a data set, or a path.
        fields: settings of it, such as ``height``; those that are None are left out.

    Raises:
        DataError: there is no such data set.
        RecipeError: a field means nothing to it, or its value is out of range.

    Example:
        >>> dataset_settings("cifar10").name, dataset_settings("mine/arrays.npz").name
        ('cifar10', 'npz')
    """
    values: dict[str, Any] = {key: value for key, value in fields.items() if value is not None}
    known = [key for key, source in DATASETS.items() if not source.own_files]
    if name in known:
        kind = name
    elif name.endswith(".npz"):
        kind, values["path"] = "npz", name
    elif "/" in name or Path(name).expanduser().is_dir():
        kind, values["path"] = "folder", name
    else:
        raise DataError(
            f"unknown data set {name!r}. {did_you_mean(name, known)}; or the path of an .npz, or of a folder "
            "of class folders (./NAME where it is relative)"
        )
    settings = DATASETS[kind].settings
    for key in values:
        if key not in settings.model_fields:
            raise RecipeError(f"--{key} does not apply to {name}; it is for a folder of class folders")
    try:
        return settings.model_validate({"name": kind, **values})
    except pydantic.ValidationError as error:
        raise RecipeError(f"{name}: {one_line(error)}") from error


def run_subject(
    trial: StoredTrial, dataset: DatasetSettings | None, split: str, limit: int, session: Session
) -> Subject:
    """Return the model of a run with images of its data set, or of another of the same shape.

    Raises:
        RecipeError: the run diverged, or the model does not fit the images.
    """
    if trial.status == "diverged":
        raise RecipeError(f"run {trial.identity} diverged; there is no model to attack")
    data = session.dataset(dataset or trial.recipe.dataset)
    model = trial.model(session.device)
    images, labels = _images(data, split, limit, torch.float32)
    if dataset is not None:
        check_fit(model, images, len(data.classes), f"run {trial.identity[:10]}", data.name)
    facts = {"run": trial.identity, "dataset": data.name, "split": split}
    return Subject(
        trial.recipe.model.name,
        facts,
        trial.identity,
        model,
        images,
        labels,
        data.classes,
        doubts=_doubts_about_images(labels, data.classes),
        seed=trial.recipe.seed,
    )


def foreign_subject(
    place: str,
    weights: Path | None,
    dataset: DatasetSettings,
    split: str,
    limit: int,
    scaling: tuple[Sequence[float], Sequence[float]] | None,
    session: Session,
) -> Subject:
    """Load a user's model; check that it fits the images and gets the inputs that it was trained on.

    The mean and deviation with which the model wants its inputs normalized are in pixel units.

    Raises:
        RecipeError: the model cannot be loaded, or does not fit the images.
        DataError: the data cannot be read.
    """
    foreign = load_foreign(place, weights, session.device)
    data = session.dataset(dataset)
    return _subject(foreign, data, split, limit, scaling, session)


def module_subject(
    model: nn.Module,
    images: Tensor | None,
    labels: Tensor | None,
    dataset: DatasetSettings | None,
    split: str,
    limit: int,
    scaling: tuple[Sequence[float] | None, Sequence[float] | None],
    session: Session,
) -> Subject:
    """Return a module in memory with given images, or with those of a data set.

    Raises:
        RecipeError: both or neither are given, or the model does not fit the images.
    """
    mean, deviation = scaling
    if (mean is None) != (deviation is None):
        raise RecipeError("mean and std belong together; give both or neither")
    full = None if mean is None or deviation is None else (mean, deviation)
    if (images is None) == (dataset is None) or (images is None) != (labels is None):
        raise RecipeError("a module needs either images and labels, or the name of a data set")
    name = type(model).__name__
    if dataset is not None:
        foreign = ForeignModel(name, model, "", (), has_weights=True)
        return _subject(foreign, session.dataset(dataset), split, limit, full, session, remember=False)
    assert images is not None
    assert labels is not None
    check_images(images, labels, Threat("linf", 0))
    used = model if full is None else normalized(model, *full, images.shape[1])
    images, labels = images[:limit], labels[:limit]
    return Subject(name, {"model": name}, module_fingerprint(used, images), used, images, labels, ())


def _subject(
    foreign: ForeignModel,
    data: Dataset,
    split: str,
    limit: int,
    scaling: tuple[Sequence[float], Sequence[float]] | None,
    session: Session,
    *,
    remember: bool = True,
) -> Subject:
    body, channels = foreign.body, data.image_shape[0]
    model = body if scaling is None else normalized(body, *scaling, channels)
    device = next((each.device for each in body.parameters()), session.device)
    images, labels = (each.to(device) for each in _images(data, split, limit, _dtype(body, foreign.name)))
    check_fit(model, images, len(data.classes), foreign.name, data.name)
    mean, deviation = (tuple(values.tolist()) for values in channel_statistics(data.train))

    def doubts() -> list[str]:
        scalings = usual_scalings(channels, (mean, deviation))
        return [
            *clean_doubts(
                model, body, images, labels, data.classes, scalings, has_weights=foreign.has_weights
            )
        ]

    said = None if scaling is None else {"mean": list(scaling[0]), "std": list(scaling[1])}
    facts = {"model": foreign.name, "dataset": data.name, "split": split, "normalization": said}
    identity = f"{foreign.fingerprint or module_fingerprint(body, images)} {said}"
    determinants = {
        "model": identity,
        "data": data.fingerprint,
        "split": split,
        "images": len(labels),
        "version": 1,
    }
    found = session.store.remembered("plausibility", determinants, doubts) if remember else doubts()
    return Subject(
        foreign.name.rpartition("/")[2],
        facts,
        identity,
        model,
        images,
        labels,
        data.classes,
        foreign.remarks,
        (*found, *_doubts_about_images(labels, data.classes)),
    )


def check_fit(model: nn.Module, images: Tensor, classes: int, name: str, dataset: str) -> None:
    """Check on a few images that a model returns one logit per class.

    Raises:
        RecipeError: it fails on them, or returns something else.
    """
    shape = "×".join(map(str, images.shape[1:]))
    for part in (images[:3], images[:1]):
        try:
            with frozen(model), torch.no_grad():
                logits = model(part)
        except Exception as error:  # it is their code, and may raise anything
            reason = " ".join(str(error).split())[:200]
            raise RecipeError(
                f"{name} fails on {len(part)} images of shape {shape} of {dataset}: {type(error).__name__}: "
                f"{reason}{place_of(error)}{_advice(reason)}"
            ) from error
        if not isinstance(logits, Tensor):
            raise RecipeError(f"{name} must return a tensor of logits; got {type(logits).__name__}. Wrap it")
        if logits.shape != (len(part), classes):
            raise RecipeError(
                f"{name} must return logits of shape ({len(part)}, {classes}), one for each of the {classes} "
                f"classes of {dataset}; got {tuple(logits.shape)}" + _class_advice(logits, classes, dataset)
            )


def _advice(reason: str) -> str:
    if "Guard failed" in reason and "size()[0]" in reason:
        return "; export it with a batch of any size: dynamic_shapes=({0: torch.export.Dim('batch')},)"
    return ""


def _class_advice(logits: Tensor, classes: int, dataset: str) -> str:
    if logits.dim() != 2 or logits.shape[1] < classes or dataset != "npz":
        return ". Is it a model for other images?"
    return "; an array 'classes' in the .npz can name classes without images"


def _images(data: Dataset, split: str, limit: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    part = data.split(split)
    return to_pixels(part.images[:limit], dtype), part.labels[:limit]


def _dtype(model: nn.Module, name: str) -> torch.dtype:
    """Return the data type of a model's parameters, float32 if it has none."""
    kinds = [each.dtype for each in model.parameters() if each.is_floating_point()]
    dtype = kinds[0] if kinds else torch.float32
    if dtype not in (torch.float32, torch.float64):
        raise RecipeError(
            f"{name} has parameters of {dtype}, too coarse to tell budgets apart; call model.float() first"
        )
    return dtype


def _doubts_about_images(labels: Tensor, classes: Sequence[str]) -> tuple[str, ...]:
    """Return a doubt if all images are of one class, as in files sorted by class."""
    present = len(set(labels.tolist()))
    if present > 1 or len(labels) < 10 or len(classes) < 2:
        return ()
    return (
        f"The first {len(labels)} images are all of the class {classes[int(labels[0])]}; raise --limit to "
        "include others.",
    )
