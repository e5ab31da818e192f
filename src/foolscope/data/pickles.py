"""A restricted unpickler: it can build NumPy arrays, bytes and Python containers, and nothing else.

A pickle is a program, and unpickling runs it. This one finds no function except those below, none of which
can be changed by the pickle, so that a hostile file fails instead of running.
"""

import io
import pickle
from typing import Any, NoReturn

import numpy as np

from foolscope.core.errors import DataError

__all__ = ["load_arrays"]

# The function that pickled arrays name as numpy.core.multiarray._reconstruct, or numpy._core since NumPy 2.
_RECONSTRUCT = np.empty(0).__reduce__()[0]


class _Dtype:
    """Stands in for ``numpy.dtype``: NumPy 2.4.0 to 2.4.4 warn of the integer flags of Python 2."""

    __slots__ = ()

    def __call__(self, kind: str | bytes, align: object = False, copy: object = False) -> np.dtype[Any]:
        return np.dtype(kind.decode("ascii") if isinstance(kind, bytes) else kind, bool(align), bool(copy))


class _Encode:
    """Stands in for ``_codecs.encode``, by which Python 3 writes bytes into protocol 2."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str | bytes) -> bytes:
        if encoding not in ("latin1", b"latin1"):
            raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
        return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): _Dtype(),
    ("_codecs", "encode"): _Encode(),
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        allowed = _ALLOWED.get((module, name))
        if allowed is None:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no data file needs, and was not run"
            )
        return allowed

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError(f"it refers to a persistent object ({pid!r})")


def load_arrays(stream: io.BufferedIOBase, source: str) -> dict[bytes, Any]:
    """Read a pickled dictionary of arrays, lists, numbers and bytes, such as a CIFAR batch.

    The keys are bytes, as Python 2 wrote them.

    Raises:
        DataError: it is no pickle, is cut short, is not such a dictionary, or asks for anything but arrays.
    """
    try:
        value = _ArrayUnpickler(stream, encoding="bytes").load()
    # A damaged pickle is a damaged program: there is no telling what it raises.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{source} is not a usable pickle of arrays: {reason[:200]}") from error
    if not isinstance(value, dict):
        raise DataError(
            f"{source} is not a usable pickle of arrays: it holds a {type(value).__name__}, not a dict"
        )
    return {key.encode() if isinstance(key, str) else key: item for key, item in value.items()}
