"""Loads a user's weights, from safetensors or a state dict without code, into a model."""

import hashlib
import io
import pickle
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn

from foolscope.core.errors import RecipeError

__all__ = ["fit_weights", "load_safely", "read_weights", "state_fingerprint"]

_NESTS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params")
_CONVERT = (
    "A pickle can run code when it is opened. Where you trust it, convert it: "
    "safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
)
_UNCOUNTED = "num_batches_tracked"  # of batch normalization: older files lack it, and evaluation ignores it


def read_weights(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Read named tensors from a safetensors file, or from a state dict that ``torch.save`` wrote.

    Args:
        path: the file; its content decides the format, not its name.

    Returns:
        The tensors, on the CPU, and remarks about what was taken from the file.

    Raises:
        RecipeError: the file is missing, damaged, holds no tensors, or would run code when opened.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(9)
    except OSError as error:
        raise RecipeError(f"cannot read the weights {path}: {error.strerror}") from error
    if head[8:] == b"{":
        return _read_safetensors(path), ()
    return _unnested(load_safely(path), path)


def load_safely(path: Path | io.BytesIO) -> Any:
    """Load a file of ``torch.save`` that holds data only, and refuse one that holds code.

    Raises:
        RecipeError: it would run code, or is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about kinds of pickles; what is wrong, the error says
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _begins_as_saved(path):
            raise _no_weights(path, error) from error
        raise RecipeError(
            f"{path} holds more than tensors and was not opened; weights must be safetensors or a state "
            f"dict saved by torch.save(model.state_dict(), …). {_CONVERT}"
        ) from error
    except Exception as error:  # a damaged file may raise anything
        raise _no_weights(path, error) from error


def _begins_as_saved(path: Path | io.BytesIO) -> bool:
    """Return whether the first bytes are those of a zip archive or of a binary pickle."""
    content = path.getvalue() if isinstance(path, io.BytesIO) else path.read_bytes()
    return content.startswith((b"PK", b"\x80"))


def _no_weights(path: Path | io.BytesIO, error: Exception) -> RecipeError:
    reason = " ".join(str(error).split())[:150]
    return RecipeError(
        f"{path} is damaged or no weights file ({reason}); weights must be safetensors or a state dict "
        "saved by torch.save(model.state_dict(), …)"
    )


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safetensors.safe_open(path, framework="pt", device="cpu") as stream:
            return {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise _no_weights(path, error) from error


def _unnested(value: Any, path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Find the model's state dict in a checkpoint, which may hold others beside it."""
    if _is_state(value):
        return dict(value), ()
    if isinstance(value, Mapping):
        for nest in _NESTS:
            if _is_state(value.get(nest)):
                return dict(value[nest]), (f"the weights were taken from {nest!r} in {path.name}",)
        keys = ", ".join(map(str, list(value)[:8])) or "nothing"
        raise RecipeError(f"{path} has no state dict; it holds {keys}. Save model.state_dict() alone")
    raise RecipeError(
        f"{path} holds a {type(value).__name__}; it needs a state dict. Save model.state_dict()"
    )


def _is_state(value: Any) -> bool:
    if not isinstance(value, Mapping) or not value:
        return False
    return all(isinstance(key, str) and isinstance(each, Tensor) for key, each in value.items())


def fit_weights(model: nn.Module, weights: Mapping[str, Tensor], source: str) -> tuple[str, ...]:
    """Load weights into a model; all keys and shapes must agree.

    A prefix that all keys of the file or of the model share, such as ``module.``, is no difference.

    Args:
        model: changed in place.
        weights: by key.
        source: what to call the file in an error.

    Returns:
        Remarks: the prefix that was taken off or put on.

    Raises:
        RecipeError: keys are missing or unexpected, or a shape is another.
    """
    wanted = model.state_dict()
    renamed, remarks = _with_prefix(weights, wanted)
    missing = [key for key in wanted if key not in renamed and not key.endswith(_UNCOUNTED)]
    unexpected = [key for key in renamed if key not in wanted]
    if missing or unexpected:
        parts = [
            f"{len(keys)} of {total} keys {what} ({_some(keys)})"
            for keys, total, what in (
                (missing, len(wanted), "of the model are missing"),
                (unexpected, len(renamed), "of the file are not in the model"),
            )
            if keys
        ]
        raise RecipeError(f"{source} does not fit the model: {'; '.join(parts)}. Are they of another model?")
    for key, tensor in renamed.items():
        if tensor.shape != wanted[key].shape:
            raise RecipeError(
                f"{source} does not fit the model: {key} has shape {tuple(tensor.shape)} in the file and "
                f"{tuple(wanted[key].shape)} in the model"
            )
    model.load_state_dict(renamed, strict=False)
    return remarks


def _with_prefix(
    weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    """Remove a shared prefix from the keys, or add the model's, if all keys then agree."""
    goal = _counted(wanted)
    own = _counted(weights)
    if own == goal or not own or not goal:
        return weights, ()
    surplus = {key.removesuffix(name) for name in [min(goal, key=len)] for key in own if key.endswith(name)}
    for prefix in sorted(surplus - {""}, key=len):
        if {key.removeprefix(prefix) for key in own} == goal and all(key.startswith(prefix) for key in own):
            renamed = {key.removeprefix(prefix): tensor for key, tensor in weights.items()}
            return renamed, (f"the prefix {prefix!r} was removed from the keys of the weights",)
    lacking = {key.removesuffix(name) for name in [min(own, key=len)] for key in goal if key.endswith(name)}
    for prefix in sorted(lacking - {""}, key=len):
        if {prefix + key for key in own} == goal:
            return {prefix + key: tensor for key, tensor in weights.items()}, (
                f"the prefix {prefix!r} was added to the keys of the weights",
            )
    return weights, ()


def _counted(keys: Iterable[str]) -> set[str]:
    return {key for key in keys if not key.endswith(_UNCOUNTED)}


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (" …" if len(keys) > 3 else "")


def state_fingerprint(model: nn.Module, *sources: bytes) -> str:
    """Return a hash of a model's structure, parameters, buffers, and of the bytes of its sources."""
    digest = hashlib.sha256(repr(model).encode())
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    for source in sources:
        digest.update(hashlib.sha256(source).digest())
    return digest.hexdigest()
