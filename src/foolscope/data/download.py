"""Downloads one file: tries mirrors in turn, resumes, and keeps the file only if its SHA-256 is right."""

import errno
import hashlib
import http.client
import io
import shutil
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from foolscope.core.errors import DataError

__all__ = ["DownloadCallback", "download", "file_digest"]

DownloadCallback = Callable[[str, int, int | None], None]
"""Called with the file's name, the bytes so far, and the total where it is known."""

_BLOCK = 1 << 18


class _MirrorError(Exception):
    """A mirror cannot serve the file; the next one is tried."""


def download(
    mirrors: Sequence[str],
    target: Path,
    *,
    size: int,
    sha256: str,
    progress: DownloadCallback | None = None,
    timeout_seconds: float = 30.0,
) -> None:
    """Fetch a file from the first mirror that serves the right bytes.

    Bytes go to ``target`` with ``.partial`` appended, which outlives a failure or an interruption and is
    resumed by an HTTP range request; only a file with the right digest gets the name ``target``. A mirror may
    be silent for ``timeout_seconds``; ``progress`` is called several times a second.

    Raises:
        DataError: no mirror has it, or there is no space or no permission to write.
    """
    partial = target.with_name(f"{target.name}.partial")
    _make_room(partial, size)
    failures = []
    queue = deque(mirrors)
    while queue:
        url = queue.popleft()
        resumed = _length(partial)
        try:
            _transfer(url, partial, size, target.name, progress, timeout_seconds)
        except _MirrorError as error:
            failures.append(f"{urlsplit(url).netloc} ({error})")
            continue
        if file_digest(partial) == sha256:
            partial.replace(target)
            return
        partial.unlink()
        if resumed:
            # The earlier part may have been wrong rather than this mirror: try it again from the start.
            queue.appendleft(url)
        else:
            failures.append(f"{urlsplit(url).netloc} (its bytes have another SHA-256)")
    kept = _length(partial)
    advice = (
        f"run the same command again to go on from {kept:,} bytes"
        if kept
        else "run the same command again later"
    )
    raise DataError(
        f"could not download {target.name}: {', '.join(failures)}; {advice}, "
        f"or get the file elsewhere and put it into {target.parent}"
    )


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(
                stream, lambda: hashlib.new(algorithm, usedforsecurity=False)
            ).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _make_room(partial: Path, size: int) -> None:
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(partial.parent).free
    except OSError as error:
        raise _write_failure(partial, error) from error
    needed = size - _length(partial)
    if free < needed:
        raise DataError(
            f"not enough space in {partial.parent}: {needed:,} bytes are needed, {free:,} are free; "
            "free some, or choose another folder with --data-dir"
        )


def _write_failure(partial: Path, error: OSError) -> DataError:
    advice = "free some space" if error.errno == errno.ENOSPC else "choose another folder with --data-dir"
    return DataError(f"cannot write {partial}: {error.strerror}; {advice} and run the same command again")


def _transfer(
    url: str, partial: Path, size: int, name: str, progress: DownloadCallback | None, timeout_seconds: float
) -> None:
    """Complete the partial file from one mirror."""
    start = _length(partial)
    if start > size:
        partial.unlink()
        start = 0
    if start == size:
        return
    headers = {"User-Agent": "foolscope", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:
            start = _agreed_start(response, start, size)
            _receive(response, partial, start, size, lambda done: progress and progress(name, done, size))
    except urllib.error.HTTPError as error:
        # Its body is an open connection until closed.
        error.close()
        raise _MirrorError(f"HTTP {error.code}") from error
    except urllib.error.URLError as error:
        raise _MirrorError(str(getattr(error.reason, "strerror", None) or error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise _MirrorError(str(error) or type(error).__name__) from error
    done = _length(partial)
    if done < size:
        raise _MirrorError(f"the connection ended after {done:,} of {size:,} bytes")


def _agreed_start(response: http.client.HTTPResponse, start: int, size: int) -> int:
    """Return the byte at which the response starts; reject a mirror that has another file."""
    offset = 0
    if response.status == 206:
        offset = start
        sent = response.headers.get("Content-Range", "")
        if not sent.startswith(f"bytes {start}-"):
            raise _MirrorError(f"it was asked for the bytes from {start:,} and sends {sent or 'others'}")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and offset + int(length) != size:
        raise _MirrorError(f"its file has {offset + int(length):,} bytes, not {size:,}")
    return offset


def _receive(
    response: io.BufferedIOBase, partial: Path, start: int, size: int, report: Callable[[int], object]
) -> None:
    try:
        stream = partial.open("ab" if start else "wb")
    except OSError as error:
        raise _write_failure(partial, error) from error
    with stream:
        done = start
        report(done)
        # One byte beyond the size is asked for, so that too long a file cannot pass for the right one.
        while block := response.read(min(_BLOCK, size + 1 - done)):
            try:
                stream.write(block)
            except OSError as error:
                raise _write_failure(partial, error) from error
            done += len(block)
            report(done)
