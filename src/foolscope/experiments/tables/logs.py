"""Training logs, one CSV file a run with a row for each epoch, as Lightning's CSVLogger writes them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from foolscope.core.errors import DataError
from foolscope.experiments.tables import columns as names
from foolscope.experiments.tables.files import read_table
from foolscope.experiments.tables.numbers import is_number, read_numbers
from foolscope.experiments.tables.roles import Epoch
from foolscope.experiments.tables.table import Table, table_of

__all__ = ["find_logs", "read_logs"]

_SEED = re.compile(r"(?P<rest>.*?)[-_. ]*seed[-_=. ]*(?P<seed>\d+)", re.IGNORECASE)
_VERSION = re.compile(r"version_(\d+)", re.IGNORECASE)
_SCALAR = re.compile(r"(?P<indent> *)(?P<key>[\w.\-/]+):(?: +(?P<value>.*))?")


def find_logs(folder: Path) -> list[Path]:
    """List the logs in a folder: every ``metrics.csv`` below it, else every CSV file.

    Raises:
        DataError: there is none.
    """
    found = sorted(folder.rglob("metrics.csv")) or sorted(folder.rglob("*.csv"))
    if not found:
        raise DataError(f"{folder} has no metrics.csv and no other CSV file, at any depth")
    return found


def read_logs(paths: Sequence[Path], *, epoch: Epoch = "last", lower: bool | None = None) -> Table:
    """Put logs into one table, a row for each file.

    A metric is the last value of its column that is not empty, or the best. Settings are taken from
    ``hparams.yaml`` beside a log and from the folders that differ: ``lr=0.1``, ``adam_seed0``; ``version_3``
    only counts runs.

    Args:
        paths: of the files, which share a folder at some depth.
        epoch: which value of a column counts. The best one flatters: it was chosen on what it is judged by.
        lower: whether low values are best; None to go by each name.

    Raises:
        DataError: a file is no table, or a cell no number.
    """
    rows = [
        {
            **_of_folders(parts),
            **_hyperparameters(path.with_name("hparams.yaml")),
            **_metrics(path, epoch, lower),
        }
        for path, parts in zip(paths, _parts(paths), strict=True)
    ]
    header = list(dict.fromkeys(name for row in rows for name in row))
    cells = [(number, [row.get(name, "") for name in header]) for number, row in enumerate(rows, start=1)]
    notes = [
        f"Of every log the {epoch} value of a metric counts.",
        *["The best epoch was chosen on the metric that is judged, which flatters it."] * (epoch == "best"),
        "A row is a file, in the order of their paths.",
    ]
    return table_of(f"{len(paths)} logs", header, cells, notes=notes)


def _parts(paths: Sequence[Path]) -> list[tuple[str, ...]]:
    """Return what names each run: folders below the shared one, and the file if it is not ``metrics.csv``."""
    full = [
        (*path.resolve().parent.parts, *([] if path.name == "metrics.csv" else [path.stem])) for path in paths
    ]
    shared = 0
    while all(len(each) > shared for each in full) and len({each[shared] for each in full}) == 1:
        shared += 1
    return [each[shared:] for each in full]


def _of_folders(parts: Sequence[str]) -> dict[str, str]:
    """Read settings from names of folders."""
    found: dict[str, str] = {}
    plain = 0
    for part in parts:
        pairs = [piece.partition("=") for piece in part.split(",")]
        seeded, version = _SEED.fullmatch(part), _VERSION.fullmatch(part)
        if all(mark and key for key, mark, _ in pairs):
            found.update({key.strip().lstrip("+"): value.strip() for key, _, value in pairs})
        elif version:
            found["version"] = version[1]
        else:
            if seeded:
                found["seed"] = seeded["seed"]
            rest = seeded["rest"] if seeded else part
            if rest:
                plain += 1
                found["folder" if plain == 1 else f"folder {plain}"] = rest
    return found


def _hyperparameters(path: Path) -> dict[str, str]:
    """Read the plain values of a YAML file of nested mappings; lists and anything else are skipped."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, str] = {}
    owners: list[tuple[int, str]] = []
    for line in lines:
        match = _SCALAR.fullmatch(line.rstrip())
        if match is None:
            continue
        indent = len(match["indent"])
        owners = [owner for owner in owners if owner[0] < indent]
        name = ".".join([*(owner for _, owner in owners), match["key"]])
        value = (match["value"] or "").strip().strip("'\"")
        if not value or value.startswith(("!", "&", "|", ">", "{", "[")):
            owners.append((indent, match["key"]))
        else:
            found[name] = "" if value in ("null", "~") else value
    return found


def _metrics(path: Path, epoch: Epoch, lower: bool | None) -> Mapping[str, str]:
    table = read_table(path)
    results = [name for name in table.columns if names.is_metric(name)]
    results = results or [name for name in table.columns if not names.is_bookkeeping(name)]
    return {name: _chosen(table, name, epoch, lower) for name in results}


def _chosen(table: Table, name: str, epoch: Epoch, lower: bool | None) -> str:
    """Return the last or the best cell of a column that is not empty."""
    filled = [(index, cell) for index, cell in enumerate(table.column(name)) if cell]
    if not filled or epoch == "last" or not all(is_number(cell) for _, cell in filled):
        return filled[-1][1] if filled else ""
    places = [f"{table.source}: {table.place(index, name)}" for index, _ in filled]
    numbers = read_numbers([cell for _, cell in filled], places, decimal_comma=table.decimal_comma).values
    known = [(value, cell) for value, (_, cell) in zip(numbers, filled, strict=True) if value is not None]
    finite = [pair for pair in known if pair[0] == pair[0]]
    if not finite:
        return filled[-1][1]
    low = names.lower_is_better(name) if lower is None else lower
    return (min if low else max)(finite, key=lambda pair: pair[0])[1]
