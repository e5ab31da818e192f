"""Initial weights from a file: the network that a recipe starts from instead of random weights."""

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.subjects.foreign_weights import read_weights
from foolscope.learning.parameters.names import BODY, matching

__all__ = ["initial_weights", "weights_fingerprint"]

_NORMALIZATION = "normalization."  # of the images; files of other tools have none
_UNCOUNTED = "num_batches_tracked"


def weights_fingerprint(path: str) -> str:
    """Return the SHA-256 of a file of weights: what is in it counts, not where it lies.

    Raises:
        RecipeError: it cannot be read.
    """
    file = Path(path).expanduser()
    try:
        facts = file.stat()
        return _digest(file, facts.st_mtime_ns, facts.st_size)
    except OSError as error:
        raise RecipeError(f"initial_weights: cannot read {path}: {error.strerror}") from error


@functools.lru_cache
def _digest(file: Path, changed_ns: int, size: int) -> str:
    """Hash a file once, as long as its time of change and its size are the same."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def initial_weights(recipe: Recipe) -> Callable[[nn.Module], None] | None:
    """Return the function that loads a recipe's file of weights into its model; ``None`` without a file.

    Every parameter and running statistic comes from the file except those that match ``fresh``. Names may
    have the prefix ``module.``, and may lack the ``body.`` that our models have; a file of our own brings the
    normalization of the images that it was trained with.

    Raises:
        RecipeError: the file cannot be read; later, that it does not fit the model.
    """
    if recipe.initial_weights is None:
        if recipe.fresh:
            raise RecipeError(
                "fresh is for parameters that initial_weights does not set; give initial_weights"
            )
        return None
    path = Path(recipe.initial_weights).expanduser()
    weights, _ = read_weights(path)

    def initialize(model: nn.Module) -> None:
        model.load_state_dict(_fitted(model, weights, recipe.fresh, str(path)), strict=False)

    return initialize


def _fitted(
    model: nn.Module, weights: Mapping[str, Tensor], fresh: Sequence[str], source: str
) -> dict[str, Tensor]:
    """Return the tensors of the file under the model's names, without the fresh ones."""
    wanted = model.state_dict()
    drawn = {name for pattern in fresh for name in matching(wanted, pattern)}
    for pattern in fresh:
        if not matching(wanted, pattern):
            raise RecipeError(f"fresh: no parameter matches {pattern!r}; the model has {_some(list(wanted))}")
    renamed = _renamed(weights, wanted)
    renamed = {name: tensor for name, tensor in renamed.items() if not _is_fresh(name, drawn, fresh)}
    missing = [
        name
        for name in wanted
        if name not in renamed and name not in drawn and not name.startswith(_NORMALIZATION)
    ]
    missing = [name for name in missing if not name.endswith(_UNCOUNTED)]
    unexpected = [name for name in renamed if name not in wanted]
    if missing or unexpected:
        what = [
            f"{len(names)} {words} ({_some(names)})"
            for names, words in (
                (missing, "of the model's tensors are not in the file"),
                (unexpected, "of the file's are not in the model"),
            )
            if names
        ]
        raise RecipeError(f"initial_weights: {source} does not fit the model: {'; '.join(what)}")
    for name, tensor in renamed.items():
        if tensor.shape != wanted[name].shape:
            short = name.removeprefix(BODY)
            raise RecipeError(
                f"initial_weights: {short} is {tuple(tensor.shape)} in {source} and "
                f"{tuple(wanted[name].shape)} in the model; to draw it anew, add it to fresh, "
                f'as in fresh = ["{short.rpartition(".")[0]}.*"]'
            )
        if wanted[name].is_floating_point() and not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise RecipeError(
                f"initial_weights: {name.removeprefix(BODY)} holds {kind} in {source}; weights must be "
                "floating-point numbers. Convert the file, or dequantize the network"
            )
        if not tensor.isfinite().all():
            raise RecipeError(
                f"initial_weights: {name.removeprefix(BODY)} holds NaN or infinity in {source}; "
                "take a file of a training that did not diverge"
            )
    return renamed


def _renamed(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the tensors the names that most of the model's have."""
    plain = {name.removeprefix("module."): tensor for name, tensor in weights.items()}
    if not set(plain) & set(wanted):
        return {BODY + name: tensor for name, tensor in plain.items()}
    return plain


def _is_fresh(name: str, drawn: set[str], fresh: Sequence[str]) -> bool:
    return name in drawn or any(matching([name], pattern) for pattern in fresh)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
