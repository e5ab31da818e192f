"""Files written atomically: each goes to a temporary name beside it, is flushed and renamed."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from foolscope.core.errors import StoreError

__all__ = ["read_json", "sweep_partials", "whole_file", "write_json", "write_text"]


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only when it is complete.

    Args:
        path: the final name; its folders are made.

    Raises:
        StoreError: no space, or no permission. Nothing half-written stays behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "free some space" if full else "choose another folder (for runs: --store)"
        reason = error.strerror or error
        raise StoreError(f"cannot write {path}: {reason}; {advice} and run the same command again") from error


def sweep_partials(folder: Path) -> None:
    """Delete the unfinished files of processes that have ended, anywhere in a folder.

    A process that is killed cannot delete its own unfinished files.
    """
    for partial in folder.rglob(".*.partial"):
        process = partial.name.split(".")[-2]
        if process.isdigit() and not _is_alive(int(process)):
            partial.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # the process exists but belongs to another user
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, in UTF-8."""
    with whole_file(path) as stream:
        stream.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file whole, with sorted keys; NaN and infinity are errors."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        StoreError: the file is missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"no such file: {path}") from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StoreError(
            f"{path} is not valid JSON ({error}); delete it and run the same command again"
        ) from error
