"""``foolscope inspect``: the spectra of a trained model's layers, and what lower ranks keep of it."""

import json
from pathlib import Path

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from foolscope.attacks import NORMS, Threat
from foolscope.cli.console import live_progress, percent, results
from foolscope.cli.options import one_of, place_options, report_option, workplace_of
from foolscope.core.errors import RecipeError
from foolscope.core.files import write_text
from foolscope.experiments.execution import Stage
from foolscope.experiments.inspecting import compression_records, spectrum_records
from foolscope.experiments.inspection_records import InspectionRecord
from foolscope.experiments.subjects import run_subject
from foolscope.reports import render_html
from foolscope.reports.sections.spectrum import inspection_document

_EXAMPLES = """\b
Examples:
  foolscope inspect 09a8be8551                             singular values and ranks of each layer
  foolscope inspect 09a8be8551 --compress 1,0.5,0.2,0.1    what is left at lower ranks
  foolscope inspect 09a8be8551 --compress 0.5 --epsilon 8/255 --report page.html
"""


@click.command(epilog=_EXAMPLES)
@click.argument("run", metavar="RUN")
@click.option(
    "--spectrum", is_flag=True, help="Singular values and effective rank of each layer (the default)."
)
@click.option(
    "--compress",
    metavar="X[,X]",
    help="Replace each layer by its best factors of these parts of its full rank, such as 0.5,0.25.",
)
@click.option(
    "--norm", default="linf", show_default=True, metavar="|".join(NORMS), help="Of the attack on them."
)
@click.option("--epsilon", default="2/255", show_default=True, help="Budget of the attack, pixels in [0, 1].")
@click.option("--split", default="test", show_default=True, help="Which images: train, validation or test.")
@click.option(
    "--limit", type=click.IntRange(1), default=1000, show_default=True, help="The first so many images."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the attack.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@report_option
@place_options
def command(
    run: str,
    spectrum: bool,
    compress: str | None,
    norm: str,
    epsilon: str,
    split: str,
    limit: int,
    seed: int,
    as_json: bool,
    page: Path | None,
    store_folder: Path,
    data_dir: Path | None,
    device: str,
) -> None:
    """Look into a trained model: how many directions each layer uses, and what is left without the others.

    RUN is a stored run, by its identity or its first letters.
    """
    workplace = workplace_of(store_folder, data_dir, device)
    one_of(norm, NORMS, "norm")
    threat = Threat(norm, epsilon)
    fractions = [] if compress is None else [_fraction(part) for part in compress.split(",")]
    subject = run_subject(workplace.store.find(run), None, split, limit, workplace)
    with live_progress() as observe:
        record = InspectionRecord(
            name=subject.name,
            facts={key: None if value is None else str(value) for key, value in subject.facts.items()},
            images=len(subject.labels),
            norm=norm,
            epsilon=threat.epsilon,
            spectra=spectrum_records(subject.model) if spectrum or not fractions else [],
            compression=compression_records(
                subject,
                fractions,
                threat,
                seed=seed,
                tell=lambda done, detail: observe(Stage("compressing", done, detail)),
            ),
        )
    if page is not None:
        write_text(page, render_html(inspection_document(record)))
    if as_json:
        click.echo(json.dumps(record.model_dump(mode="json"), indent=1))
    else:
        _print(record)


def _fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise RecipeError(f"--compress takes numbers such as 0.5,0.25; got {text!r}") from error
    if not 0 < value <= 1:
        raise RecipeError(f"--compress takes parts of the full rank, above 0 and at most 1; got {text}")
    return value


def _print(record: InspectionRecord) -> None:
    console = results()
    console.print(f"\n[bold]{escape(record.name)}[/bold] (run {str(record.facts['run'])[:8]})")
    if record.spectra:
        table = _table("layer", "weights", "rank", "effective rank", "99 % of energy in", "largest")
        for each in record.spectra:
            shape = f"{each.rows} × {each.columns}"
            rank = str(len(each.singular_values))
            largest = f"{each.singular_values[0]:.3g}"
            table.add_row(
                each.layer, shape, rank, f"{each.effective_rank:.1f}", str(each.energy_rank), largest
            )
        console.print(table)
    if record.compression:
        under = f"under PGD, ε = {record.epsilon:.3g}"
        table = _table("part of the rank", "parameters", "accuracy", under, "ms a batch")
        for row in record.compression:
            table.add_row(
                f"{100 * row.fraction:g} %",
                f"{row.parameters:,}",
                percent(row.accuracy),
                percent(row.robust_accuracy),
                f"{row.milliseconds:.2f}",
            )
        console.print(table)
        console.print(f"Accuracies on the first {record.images:,} images, norm {record.norm}.")


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for place, title in enumerate(titles):
        table.add_column(title, justify="left" if place == 0 else "right", no_wrap=True)
    return table
