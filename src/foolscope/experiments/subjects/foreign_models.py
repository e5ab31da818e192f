"""Loads a user's model: from a factory in a package or file, with weights, or from an archive."""

import contextlib
import copy
import hashlib
import importlib
import importlib.machinery
import importlib.util
import sys
import traceback
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.core.modes import frozen
from foolscope.experiments.subjects.foreign_archives import ARCHIVES, load_archive
from foolscope.experiments.subjects.foreign_weights import fit_weights, read_weights, state_fingerprint
from foolscope.models import Normalize

__all__ = ["ForeignModel", "is_foreign", "load_foreign", "module_fingerprint", "normalized"]

_FEW = 4  # images whose outputs and gradients identify a module in memory


@dataclass(frozen=True)
class ForeignModel:
    """A user's model as loaded, without added normalization.

    Args:
        name: what the person called it.
        body: from inputs to logits, in evaluation mode.
        fingerprint: hash of its parameters and of the code that it is made of; empty for one in memory, see
            :func:`module_fingerprint`.
        remarks: what was done to make it fit, in words.
        has_weights: whether it came with weights, and not from a factory alone.
    """

    name: str
    body: nn.Module
    fingerprint: str
    remarks: tuple[str, ...]
    has_weights: bool


def is_foreign(text: str) -> bool:
    """Return whether a text names the place of a model rather than the identity of a run.

    Example:
        >>> is_foreign("nets.py:build"), is_foreign("timm.models:resnet18"), is_foreign("09a8be8551")
        (True, True, False)
    """
    return ":" in text or text.endswith((".py", *ARCHIVES))


def load_foreign(place: str, weights: Path | None, device: torch.device) -> ForeignModel:
    """Load a model.

    A file of Python is run as a module of its own; its folder can be imported from while it runs and while
    the factory does, and what it imported from there is forgotten afterwards.

    Args:
        place: ``package.module:factory`` or ``path/to/file.py:factory``, where the factory is a module, or
            returns one when it is called without arguments; or the path of a TorchScript file or of an
            archive of ``torch.export``.
        weights: safetensors, or a state dict from ``torch.save``; every key must fit.
        device: where the model goes.

    Raises:
        RecipeError: anything is wrong with place or weights, in one line; an error in the person's own code
            is told with its file and line.
    """
    if place.endswith(ARCHIVES):
        if weights is not None:
            raise RecipeError(f"{place} contains its weights; omit --weights, or give file.py:factory")
        body = load_archive(Path(place).expanduser(), device)
        content = hashlib.sha256(Path(place).expanduser().read_bytes()).hexdigest()
        return ForeignModel(place, body.eval(), content, (), has_weights=True)
    source, colon, factory = place.rpartition(":")
    if not colon or not source or not factory:
        example = f"{place.strip(':') or 'nets.py'}:build"
        raise RecipeError(f"{place} does not say which factory builds the model; write it as {example}")
    with contextlib.redirect_stdout(sys.stderr):  # what their code prints is no result of ours
        if source.endswith(".py"):
            body, sources = _from_file(Path(source).expanduser(), factory)
        else:
            body, sources = _from_package(source, factory)
    remarks: tuple[str, ...] = ()
    if weights is not None:
        tensors, remarks = read_weights(weights.expanduser())
        remarks += fit_weights(body, tensors, str(weights))
    fingerprint = state_fingerprint(body, factory.encode(), *sources, *_sources_of_layers(body))
    return ForeignModel(place, body.eval().to(device), fingerprint, remarks, weights is not None)


def module_fingerprint(body: nn.Module, images: Float[Tensor, "batch channel height width"]) -> str:
    """Return a hash of a module in memory: its parameters, the files of its layers, and what it computes.

    Two modules may differ in an attribute, or in code that is in no file, such as a notebook's. Their outputs
    tell them apart, or their gradients where only the backward pass differs. A module with random outputs
    has a new fingerprint each time.
    """
    modes = bytes(layer.training for layer in body.modules())  # an attack in train mode says so
    computed: list[Tensor] = []
    if len(images):
        with frozen(body), torch.enable_grad():
            inputs = images[:_FEW].detach().clone().requires_grad_()
            outputs = body(inputs)
            computed.append(outputs.detach())
            if outputs.requires_grad:
                gradients = torch.autograd.grad(outputs.square().sum(), inputs, allow_unused=True)
                computed += [each for each in gradients if each is not None]
    values = [each.cpu().contiguous().numpy().tobytes() for each in computed]
    return state_fingerprint(body, modes, *values, *_sources_of_layers(body))


def normalized(
    body: nn.Module, mean: Sequence[float], deviation: Sequence[float], channels: int
) -> nn.Module:
    """Put a normalization in front of a model, so that it takes images in [0, 1].

    Args:
        body: wants inputs (pixels − mean) / deviation.
        mean: one value, or one per channel, in pixel units.
        deviation: positive, of the same length.
        channels: of the images.

    Raises:
        RecipeError: another number of values, a deviation that is not positive, or values in [0, 255] units.
    """
    parts = []
    for option, values in (("mean", mean), ("std", deviation)):
        if len(values) not in (1, channels):
            raise RecipeError(
                f"{option} needs one value, or one for each of the {channels} channels; got {len(values)}"
            )
        if max(map(abs, values)) > 2:
            raise RecipeError(
                f"{option} is in pixel units, images in [0, 1]; got {max(values):g}. "
                f"Did you mean {max(values):g}/255?"
            )
        parts.append(torch.tensor(list(values) * (channels // len(values))))
    if bool((parts[1] <= 0).any()):
        raise RecipeError(f"std must be above 0; got {min(deviation):g}")
    tensor = next(body.parameters(), torch.empty(0))
    wrapped = OrderedDict(normalization=Normalize(*parts).to(tensor.device), body=body)
    return nn.Sequential(wrapped).train(body.training)


# ------------------------------------------------------------------ their code


def _from_file(path: Path, factory: str) -> tuple[nn.Module, list[bytes]]:
    """Run a file as a module, with its folder on the import path, and build the model."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RecipeError(f"cannot read the model's code {path}: {error.strerror}") from error
    folder = path.resolve().parent
    name = f"_foolscope_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    before = set(sys.modules)
    sys.modules[name] = module  # where dataclasses and others look for the module of a class
    try:
        with _importable(folder):
            try:
                # Not through the loader: its cache takes a file changed within a second for the old one.
                exec(compile(text, str(path), "exec"), module.__dict__)
            except (Exception, SystemExit) as error:
                _tell(error, f"cannot import {path}", folder)
            body = _build(module, factory, str(path), folder)
    finally:
        siblings = {
            key: sys.modules.pop(key) for key in _from_folder(folder, set(sys.modules) - before - {name})
        }
    return body, [text, *(_source(siblings[key]) for key in sorted(siblings))]


def _from_folder(folder: Path, names: set[str]) -> list[str]:
    files = {name: getattr(sys.modules[name], "__file__", None) for name in names}
    return [name for name, file in files.items() if file and folder in Path(file).resolve().parents]


def _from_package(source: str, factory: str) -> tuple[nn.Module, list[bytes]]:
    """Import a module as Python would in the current folder, and build the model."""
    folder = Path.cwd()
    with _importable(folder):
        try:
            module = importlib.import_module(source)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{source}.".startswith(f"{error.name}."):
                _tell(error, f"cannot import {source}", folder)
            raise RecipeError(
                f"there is no module {error.name!r}; install it, or give the file: path/to/file.py:{factory}"
            ) from error
        except (Exception, SystemExit) as error:
            _tell(error, f"cannot import {source}", folder)
        body = _build(module, factory, source, folder)
    return body, [_source(module)]


def _build(module: ModuleType, factory: str, source: str, folder: Path) -> nn.Module:
    made = module
    for part in factory.split("."):
        if not hasattr(made, part):
            known = [name for name in vars(module) if not name.startswith("_") and _builds(module, name)]
            raise RecipeError(f"{source} has no {factory!r}. {did_you_mean(factory, known)}")
        made = getattr(made, part)
    if isinstance(made, nn.Module):
        return copy.deepcopy(made)  # theirs stays as it is
    if not callable(made):
        raise RecipeError(
            f"{source}: {factory} must be a module or a function that returns one; got {made!r}"
        )
    try:
        built = made()
    except (Exception, SystemExit) as error:
        _tell(error, f"{factory}() of {source} failed", folder)
    if not isinstance(built, nn.Module):
        raise RecipeError(
            f"{factory}() of {source} must return a torch.nn.Module; got {type(built).__name__}"
        )
    return built


def _builds(module: ModuleType, name: str) -> bool:
    value = getattr(module, name)
    return callable(value) and getattr(value, "__module__", "") == module.__name__


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Put a folder on the import path; write no bytecode there and keep the global random state."""
    entry, writes_nothing = str(folder), sys.dont_write_bytecode
    importlib.invalidate_caches()  # files may have been written within the clock's last tick
    sys.path.insert(0, entry)
    sys.dont_write_bytecode = True
    try:
        with torch.random.fork_rng(devices=[]):  # constructors of torch layers draw from the global generator
            yield
    finally:
        sys.dont_write_bytecode = writes_nothing
        with contextlib.suppress(ValueError):  # their code may have taken it out
            sys.path.remove(entry)


def _tell(error: BaseException, what: str, folder: Path) -> NoReturn:
    """Raise an error of the user's code as a RecipeError of one line, with its place there."""
    reason = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())[:300]
    advice = ""
    if "no known parent package" in reason:
        advice = "; give a file that is part of a package as package.module:factory"
    raise RecipeError(
        f"{what}: {type(error).__name__}{': ' if reason else ''}{reason}{place_of(error, folder)}{advice}"
    ) from error


def place_of(error: BaseException, folder: Path | None = None) -> str:
    """Return ``(file, line n)`` of the last line of the user's code in an error's traceback.

    Args:
        error: that was raised.
        folder: where their code is; without it, whatever is neither torch's, ours, nor Python's.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename}, line {error.lineno})"
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    ours = str(Path(__file__).parents[1])
    theirs = [
        (name, line)
        for name, line in frames
        if not name.startswith(("<", ours)) and "site-packages" not in name and name != importlib.__file__
    ]
    inside = [
        (name, line) for name, line in theirs if folder is not None and folder in Path(name).resolve().parents
    ]
    name, line = (inside or theirs or [("", 0)])[-1]
    return f" ({name}, line {line})" if name else ""


def _source(module: Any) -> bytes:
    file = getattr(module, "__file__", None)
    return Path(file).read_bytes() if file and Path(file).is_file() else b""


def _sources_of_layers(body: nn.Module) -> list[bytes]:
    """Return the source files of the layers that are not torch's own."""
    names = {type(layer).__module__ for layer in body.modules()}
    return [
        _source(sys.modules[name])
        for name in sorted(names)
        if name in sys.modules and name.partition(".")[0] != "torch"
    ]
