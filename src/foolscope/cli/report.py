"""``foolscope report``: rebuild a report from the store."""

from pathlib import Path

import click

from foolscope.cli.options import store_option
from foolscope.core.errors import StoreError
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_record import read_study_record
from foolscope.reports.pages import read_pictures, write_study_report

_EXAMPLES = """\b
Examples:
  foolscope report                         the first study's, as HTML
  foolscope report softmax-cifar10 --format html --format markdown --format latex
  foolscope report first-study --output paper/
"""


@click.command(epilog=_EXAMPLES)
@click.argument("name", default="first-study")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["html", "markdown", "latex"]),
    default=("html",),
    show_default=True,
    help="Repeat for several.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder.  [default: in the store]"
)
@store_option
def command(name: str, formats: tuple[str, ...], output: Path | None, store_folder: Path) -> None:
    """Write the report of the stored study NAME again, without training."""
    store = Store(store_folder)
    record = read_study_record(name, store)
    folder = store.study_folder(name)
    pictures = folder / "pictures.safetensors"
    if not pictures.exists():
        raise StoreError(f"{pictures} is missing; run the study again (nothing is trained twice)")
    for path in write_study_report(record, read_pictures(pictures), output or folder, formats).values():
        click.echo(path)
