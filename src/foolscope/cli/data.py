"""``foolscope data``: which data sets are there, fetch, verify."""

import json
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn
from rich.table import Table

from foolscope.cli.console import results
from foolscope.cli.groups import Group
from foolscope.core.errors import DataError
from foolscope.data import DATASETS, Verification, data_root, get, status, verify

_EXAMPLES = """\b
Examples:
  foolscope data list
  foolscope data get fashion-mnist
  foolscope data verify cifar10 --data-dir ~/datasets
  foolscope data verify npz --path my.npz
"""

_data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the data sets are.  [default: $FOOLSCOPE_DATA, else ~/.cache/foolscope/data]",
)


@click.group(cls=Group, epilog=_EXAMPLES)
def command() -> None:
    """Data sets: which are there, fetch them, verify them."""


@command.command("list")
@_data_dir
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_command(data_dir: Path | None, as_json: bool) -> None:
    """List the data sets and say which are there."""
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
    table = Table(title=f"Data sets in {data_root(data_dir)}", title_justify="left")
    for title in ("name", "state", "classes", "images", "train", "test"):
        table.add_column(title, justify="right" if title in ("classes", "train", "test") else "left")
    for each in states:
        facts = each.facts
        shape = "yours" if facts.image_shape is None else "×".join(map(str, facts.image_shape))
        numbers = [
            "–" if value is None else f"{value:,}"
            for value in (facts.classes, facts.train_count, facts.test_count)
        ]
        table.add_row(each.name, each.state, numbers[0], shape, *numbers[1:])
    console = results()
    console.print(table)
    if any(each.state in ("absent", "incomplete") for each in states):
        console.print("Fetch one with: foolscope data get NAME")


@command.command("get")
@click.argument("name", metavar="|".join(DATASETS))
@_data_dir
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
@_data_dir
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
    console = results()
    console.print(f"[bold]{found.name}[/bold]: {found.verdict}, {len(found.classes)} classes")
    for part in found.splits:
        console.print(
            f"  {part.split:<11} {part.count:>7,} images of {'×'.join(map(str, part.image_shape))}, "
            f"pixels {part.pixel_range[0]} to {part.pixel_range[1]}, labels {part.label_range[0]} to "
            f"{part.label_range[1]}, {part.smallest_class:,} to {part.largest_class:,} a class"
        )
    for file in found.files:
        console.print(f"  {file.state:<11} {file.path.name}  {file.algorithm} {file.got[:16]}…")
