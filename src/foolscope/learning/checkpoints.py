"""Checkpoints: tensors and a JSON document in one safetensors file, written whole."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from foolscope.core.errors import StoreError
from foolscope.core.files import whole_file

__all__ = ["load_document", "load_tensors", "save_tensors"]

_KEY = "foolscope"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], document: Any) -> None:
    """Write tensors and a JSON-able document to one file, whole or not at all.

    Raises:
        StoreError: no space or no permission.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as stream:
        stream.write(safetensors.torch.save(contiguous, metadata={_KEY: json.dumps(document)}))


def load_tensors(path: Path, device: torch.device) -> tuple[dict[str, Tensor], Any]:
    """Read what :func:`save_tensors` wrote.

    Raises:
        StoreError: the file is missing, truncated or not one of ours.
    """
    with _opened(path, device) as (stream, document):
        return {name: stream.get_tensor(name) for name in stream.keys()}, document  # noqa: SIM118


def load_document(path: Path) -> Any:
    """Read the document alone, whatever the size of the tensors.

    Raises:
        StoreError: the file is missing, truncated or not one of ours.
    """
    with _opened(path, torch.device("cpu")) as (_, document):
        return document


@contextmanager
def _opened(path: Path, device: torch.device) -> Iterator[tuple[Any, Any]]:
    try:
        with safetensors.safe_open(path, framework="pt", device=str(device)) as stream:
            yield stream, json.loads((stream.metadata() or {})[_KEY])
    except FileNotFoundError as error:
        raise StoreError(f"no such file: {path}") from error
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        raise StoreError(
            f"{path} is not a foolscope checkpoint or is damaged ({error}); "
            "delete it and run the same command again"
        ) from error
