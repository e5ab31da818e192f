"""Where data sets are on disk, and the errors for missing and unreadable files."""

import os
from pathlib import Path

from foolscope.core.errors import DataError

__all__ = ["ENVIRONMENT_VARIABLE", "data_root", "missing", "own_path", "read_failure"]

ENVIRONMENT_VARIABLE = "FOOLSCOPE_DATA"


def data_root(explicit: Path | None = None) -> Path:
    """Return the data folder, whether or not it exists.

    Args:
        explicit: what the person named; else the environment variable ``FOOLSCOPE_DATA``; else
            ``~/.cache/foolscope/data``.
    """
    if explicit is not None:
        return explicit.expanduser()
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".cache" / "foolscope" / "data"


def own_path(path: str, root: Path) -> Path:
    """Find a file or folder that the user named: as given, or else relative to the data folder.

    Raises:
        DataError: it is at neither place.
    """
    candidates = (Path(path).expanduser(), root / Path(path).expanduser())
    for candidate in candidates:
        if candidate.exists():
            return candidate
    places = " nor ".join(dict.fromkeys(str(candidate.absolute()) for candidate in candidates))
    raise DataError(f"no such file or folder: {places}; set path to where your data are")


def missing(name: str, *looked_for: Path) -> DataError:
    """Return the error for missing files of a data set: where they were looked for, and the next step."""
    places = " or ".join(str(path) for path in looked_for)
    return DataError(
        f"{name}: there is no {places}; run 'foolscope data get {name}', "
        "or name the folder that has it with --data-dir"
    )


def read_failure(path: Path, problem: str, name: str) -> DataError:
    """Return the error for an official file that cannot be read, with the next step."""
    return DataError(f"cannot read {path}: {problem}; delete it and run 'foolscope data get {name}'")
