"""``foolscope data``: which data sets are there, fetch, verify, show."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from foolscope.cli.console import print_document
from foolscope.cli.data_show import show_command
from foolscope.cli.groups import Group
from foolscope.cli.options import data_option, json_option
from foolscope.core.errors import DataError
from foolscope.data import DATASETS, DatasetStatus, Verification, data_root, get, status, verify
from foolscope.reports import document as doc

_EXAMPLES = """\b
Examples:
  foolscope data list
  foolscope data get fashion-mnist
  foolscope data verify cifar10 --data-dir ~/datasets
  foolscope data verify npz --path my.npz
  foolscope data show cifar10 --augment rand
"""


@click.group(cls=Group, epilog=_EXAMPLES)
def command() -> None:
    """List, fetch, verify and show data sets."""


command.add_command(show_command)


@command.command("list")
@data_option
@json_option
def list_command(data_dir: Path | None, as_json: bool) -> None:
    """List the data sets, and which of them are present."""
    states = status(data_dir)
    if as_json:
        click.echo(
            json.dumps(
                [
                    {
                        "name": each.name,
                        "state": each.state,
                        "classes": each.facts.classes,
                        "image_shape": each.facts.image_shape,
                        "train": each.facts.train_count,
                        "test": each.facts.test_count,
                        "locations": [str(path) for path in each.locations],
                    }
                    for each in states
                ],
                indent=1,
            )
        )
        return
    absent = any(each.state in ("absent", "incomplete") for each in states)
    hint = [doc.Paragraph("Fetch one with: foolscope data get NAME")] if absent else []
    print_document(doc.Document("Data sets", "", lead=[_table(states, data_root(data_dir)), *hint]))


def _table(states: Sequence[DatasetStatus], folder: Path) -> doc.Table:
    rows: list[list[doc.CellValue]] = [
        [
            each.name,
            each.state,
            each.facts.classes,
            "yours" if each.facts.image_shape is None else "×".join(map(str, each.facts.image_shape)),
            each.facts.train_count,
            each.facts.test_count,
        ]
        for each in states
    ]
    columns: list[doc.Column | str] = [
        "name",
        "state",
        "classes",
        "images",
        doc.Column("train", format=","),
        doc.Column("test", format=","),
    ]
    return doc.Table(columns, rows, f"Data sets in {folder}.", key="data-sets")


@command.command("get")
@click.argument("name", metavar="|".join(DATASETS))
@data_option
def get_command(name: str, data_dir: Path | None) -> None:
    """Fetch the official files of a data set that are not there yet, resuming what was interrupted."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, total=total)
                if not console.is_terminal:
                    click.echo(f"fetching {file}", err=True)
            bars.update(tasks[file], completed=done, total=total)

        fetched = get(name, data_dir, tell)
    for path in fetched.downloaded:
        click.echo(f"fetched  {path}")
    for path in fetched.already_there:
        click.echo(f"present  {path}")
    if not fetched.downloaded and not fetched.already_there:
        click.echo(f"{fetched.name} needs no files")


@command.command("verify")
@click.argument("name", metavar="|".join(DATASETS))
@data_option
@click.option("--path", help="The folder or file, for data sets of your own (folder, npz).")
def verify_command(name: str, data_dir: Path | None, path: str | None) -> None:
    """Read a data set, check counts, shapes and labels, and compare its files with the published digests."""
    settings = None
    if path is not None:
        if name not in ("folder", "npz"):
            raise DataError(f"--path is for folder and npz; got {name}. Use --data-dir for {name}")
        settings = DATASETS[name].settings.model_validate({"name": name, "path": path})
    found = verify(name, data_dir, settings)
    if found.problem is not None:
        raise DataError(found.problem)
    _print(found)


def _print(found: Verification) -> None:
    click.echo(f"{found.name}: {found.verdict}, {len(found.classes)} classes")
    for part in found.splits:
        click.echo(
            f"  {part.split:<11} {part.count:>7,} images of {'×'.join(map(str, part.image_shape))}, "
            f"pixels {part.pixel_range[0]} to {part.pixel_range[1]}, labels {part.label_range[0]} to "
            f"{part.label_range[1]}, {part.smallest_class:,} to {part.largest_class:,} per class"
        )
    for file in found.files:
        click.echo(f"  {file.state:<11} {file.path.name}  {file.algorithm} {file.got[:16]}…")
