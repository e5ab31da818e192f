"""Loads models from TorchScript files and ``torch.export`` archives."""

import io
import json
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.experiments.subjects.foreign_weights import load_safely

__all__ = ["ARCHIVES", "load_archive"]

ARCHIVES = (".pt", ".pth", ".pt2")
"""Ends of names under which a whole model may come."""

# What torch.export writes of a model without compiled code or objects of Python.
_PLAIN_ENTRY = re.compile(
    r"archive_(format|version)|byteorder|\.data/\w+|models/\w+\.json"
    r"|data/(weights|constants)/((weight|tensor)_\d+|\w+_config\.json)|data/sample_inputs/\w+\.pt"
)


class _Exported(nn.Module):
    """Wraps an exported program, so that ``train()`` and ``eval()``, which it refuses, do nothing."""

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self._program = (program,)  # in a tuple, so that it is no submodule

    def forward(self, inputs: Tensor) -> Any:
        return self._program[0](inputs)


def load_archive(path: Path, device: torch.device) -> nn.Module:
    """Load a TorchScript file or an archive of ``torch.export``, told apart by their content.

    Raises:
        RecipeError: the file is missing, damaged, or holds a pickle or weights alone.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            inside = {name.partition("/")[2]: name for name in archive.namelist()}
            is_exported = any(name.startswith("models/") for name in inside)
            if is_exported:
                _refuse_pickles(path, archive, inside)
    except zipfile.BadZipFile as error:
        raise RecipeError(f"{path} is neither a TorchScript file nor a torch.export archive") from error
    except OSError as error:
        raise RecipeError(f"cannot read the model {path}: {error.strerror or error}") from error
    if is_exported:
        return _exported(path, device)
    if not any(name.startswith("code/") for name in inside):
        raise RecipeError(
            f"{path} contains no program: it is a state dict or a pickled model. Give the code that builds "
            f"the model and the weights beside it: file.py:factory --weights {path.name}"
        )
    return _scripted(path, device)


def _scripted(path: Path, device: torch.device) -> nn.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is, and says so
            model: nn.Module = torch.jit.load(str(path), map_location=device)  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise _unreadable(path, error) from error
    return model


def _exported(path: Path, device: torch.device) -> nn.Module:
    try:
        program = torch.export.load(path)
        graph = program.graph_module.graph
        module = program.module().to(device)
    except Exception as error:  # torch names no errors for archives it cannot read
        raise _unreadable(path, error) from error
    for node in graph.nodes:
        if "batch_norm" in str(node.target) and True in node.args[5:6]:
            raise RecipeError(
                f"{path} was exported in train mode; call model.eval() before torch.export.export"
            )
        if "dropout" in str(node.target) and True in node.args[2:3]:
            raise RecipeError(
                f"{path} was exported in train mode; call model.eval() before torch.export.export"
            )
    return _Exported(module)


def _unreadable(path: Path, error: Exception) -> RecipeError:
    reason = " ".join(str(error).split())[:200]
    return RecipeError(f"cannot load the model {path}: {reason}; export it again with this torch")


def _refuse_pickles(path: Path, archive: zipfile.ZipFile, inside: dict[str, str]) -> None:
    """Refuse an archive that holds pickles, before torch opens it and unpickles them."""
    names = archive.namelist()
    if len(inside) < len(names) or len({name.partition("/")[0] for name in names}) > 1:
        raise RecipeError(f"{path} names an entry twice, as no export does, and was not opened")
    for short, name in inside.items():
        if not _PLAIN_ENTRY.fullmatch(short):
            raise RecipeError(f"{path} holds {short}, which is not plain data, and was not opened")
        if short.endswith("_config.json"):
            if _has_pickles(path, archive.read(name)):
                raise RecipeError(f"{path} holds pickled tensors and was not opened; export it again")
        elif short.startswith("data/sample_inputs/"):
            try:
                load_safely(io.BytesIO(archive.read(name)))
            except RecipeError as error:
                raise RecipeError(
                    f"{path} holds a pickle ({short}) and was not opened; a pickle can run code"
                ) from error


def _has_pickles(path: Path, config: bytes) -> bool:
    try:
        entries = json.loads(config)["config"].values()
        return any(entry["use_pickle"] is not False for entry in entries)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(path, error) from error
