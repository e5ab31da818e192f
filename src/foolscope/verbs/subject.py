"""Which model a verb is about, and on which images."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.experiments.running.session import Session
from foolscope.experiments.subjects.subject import Subject, dataset_settings, module_subject, run_subject
from foolscope.verbs.train import Training

__all__ = ["session_for", "subject_for"]


def session_for(model: Training | nn.Module, session: Session | None) -> Session:
    """Return the session that is given, else the one in which the model was trained, else the defaults."""
    return session or (model.session if isinstance(model, Training) else Session())


def subject_for(
    model: Training | nn.Module,
    given: tuple[Tensor | None, Tensor | None],
    dataset: str | Path | None,
    split: str,
    limit: int,
    scaling: tuple[Sequence[float] | None, Sequence[float] | None],
    session: Session,
) -> Subject:
    """Return a model with its images.

    A module needs images with labels or a data set; a training has its own data set by default.

    Raises:
        RecipeError: it is no model, it is not clear which images are meant, or the module does not fit them.
    """
    if not isinstance(model, Training | nn.Module):
        raise RecipeError(
            f"a model is what foolscope.train returns, or a torch module; got {model!r}. Of a stored run, "
            "foolscope.train with its recipe reads it from the store"
        )
    chosen = None if dataset is None else dataset_settings(str(dataset))
    if not isinstance(model, Training):
        return module_subject(model, *given, chosen, split, limit, scaling, session)
    if any(each is not None for each in (*given, *scaling)):
        raise RecipeError("a training has its own normalization and data; name others with dataset")
    return run_subject(model.trial, chosen, split, limit, session)
