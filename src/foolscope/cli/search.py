"""``foolscope search``: better settings, and whether they hold on fresh seeds."""

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from foolscope.cli.console import live_progress, percent, results
from foolscope.cli.options import (
    Function,
    GroupedCommand,
    recipe_of,
    recipe_options,
    report_option,
    session_of,
    session_options,
)
from foolscope.core.errors import RecipeError
from foolscope.core.files import write_text
from foolscope.experiments.parts.searches import SAMPLERS, SearchSettings, search, search_settings
from foolscope.experiments.parts.searches.records import ContenderRecord, SearchRecord
from foolscope.experiments.wording.fields import value_words
from foolscope.experiments.wording.sentences import POINTS, capitalized, number
from foolscope.reports import render_html
from foolscope.reports.parts.searches import search_document

_SHOWN = 5  # of the settings tried

_EXAMPLES = """\b
Examples:
  foolscope search --model mlp --over learning_rate=1e-3:10:log
  foolscope search --model mlp --over learning_rate=1e-3:10:log --over l2=1e-6:0.1:log
  foolscope search --over batch_size=16,32,64 --over momentum=0:0.9:linear --sampler tpe
"""


def _option(name: str, kind: Any = None, **attributes: Any) -> Callable[[Function], Function]:
    """Add a flag for a field of :class:`SearchSettings`, which knows its default and what it means."""
    field = SearchSettings.model_fields[name]
    return click.option(
        f"--{name.replace('_', '-')}",
        type=kind,
        default=field.default,
        show_default=True,
        help=f"{capitalized(field.description or '')}.",
        **attributes,
    )


@click.command("search", cls=GroupedCommand, epilog=_EXAMPLES)
@click.option(
    "--over",
    "dimensions",
    multiple=True,
    required=True,
    metavar="FIELD=LOW:HIGH:log|linear",
    help="A field and its range, or its values as FIELD=A,B,C; repeat for several fields.",
)
@_option("sampler", metavar="|".join(SAMPLERS))
@_option("rounds", click.IntRange(1, 100))
@_option("trials", click.IntRange(1, 1000))
@_option("narrowing", click.FloatRange(0, 1, min_open=True))
@_option("seeds", click.IntRange(1, 1000))
@_option("fresh_seeds", click.IntRange(2, 1000))
@_option("sampler_seed", click.IntRange(0))
@click.option(
    "--practical-difference",
    type=click.FloatRange(0, min_open=True),
    default=0.005,
    show_default=True,
    help="The smallest difference of test accuracy that matters, as a fraction.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@report_option
@session_options
@recipe_options
def command(
    dimensions: Sequence[str],
    practical_difference: float,
    as_json: bool,
    page: Path | None,
    store_folder: Path,
    data_dir: Path | None,
    device: str,
    recipe_file: Path | None,
    **flags: Any,
) -> None:
    """Search for better settings, and re-run the winner beside the baseline on fresh seeds."""
    recipe = recipe_of(flags, recipe_file)
    over = _over(dimensions)
    settings = search_settings({name: flags[name] for name in SearchSettings.model_fields})
    with live_progress() as observe:
        record = search(
            recipe,
            over,
            session=session_of(store_folder, data_dir, device),
            settings=settings,
            practical_difference=practical_difference,
            observe=observe,
        )
    if page is not None:
        write_text(page, render_html(search_document(record)))
    if as_json:
        click.echo(json.dumps(record.model_dump(mode="json"), indent=1))
    else:
        _print(record)


def _over(texts: Sequence[str]) -> dict[str, str]:
    """Gather the ``--over`` options."""
    over: dict[str, str] = {}
    for text in texts:
        name, _, values = (part.strip() for part in text.partition("="))
        if not name or not values:
            raise RecipeError(
                f"--over must be FIELD=LOW:HIGH:log, FIELD=LOW:HIGH:linear or FIELD=A,B,C, as in "
                f"learning_rate=1e-4:1:log; got {text!r}"
            )
        if name in over:
            raise RecipeError(f"--over {name} is given twice; give it one range or one list of values")
        over[name] = values
    return over


def _print(record: SearchRecord) -> None:
    console = results()
    tried = [(position, trial) for position, each in enumerate(record.rounds, 1) for trial in each.trials]
    finished = [(position, trial) for position, trial in tried if trial.accuracy is not None]
    finished.sort(key=lambda each: (-(each[1].accuracy or 0.0), each[1].loss or 0.0))
    seeds = "1 seed" if len(record.seeds) == 1 else f"{len(record.seeds)} seeds"
    diverged = f"; {len(tried) - len(finished)} diverged" if len(finished) < len(tried) else ""
    console.print(
        f"\n[bold]best of {len(tried)} settings[/bold] by validation accuracy over {seeds}{diverged}"
    )
    table = _table([dimension.words for dimension in record.dimensions], "validation accuracy", "round")
    for position, trial in finished[:_SHOWN]:
        values = [escape(value_words(trial.values[dimension.field])) for dimension in record.dimensions]
        table.add_row(*values, percent(trial.accuracy or 0.0), str(position))
    console.print(table)
    if record.winner is not None:
        console.print(f"\n[bold]on {len(record.fresh_seeds)} fresh seeds[/bold], in %, with 95 % intervals")
        table = _table(
            ["", *(dimension.words for dimension in record.dimensions)], "test accuracy", "validation"
        )
        for name, own in (("winner", record.winner), ("baseline", record.baseline)):
            values = [escape(value_words(own.values[dimension.field])) for dimension in record.dimensions]
            table.add_row(name, *values, _mean(own, "test_accuracy"), _mean(own, "validation_accuracy"))
        console.print(table)
    console.print(escape(record.summary))
    for doubt in record.doubts:
        console.print(f"[yellow]doubt:[/yellow] {escape(doubt)}")
    if record.winner is not None and record.outcome == "helps":
        flags = " ".join(_flag(field, value) for field, value in record.winner.values.items())
        console.print(f"Use it: {escape(flags)}", soft_wrap=True)


def _table(left: Sequence[str], *right: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for title in left:
        table.add_column(escape(title), overflow="fold")
    for title in right:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _mean(own: ContenderRecord, metric: str) -> str:
    mean, low, high = own.means[metric]
    if mean is None or low is None or high is None:
        return f"{own.diverged} diverged"
    half = (high - low) / 2
    return f"{number(mean, POINTS, half)} ({number(low, POINTS, half)} to {number(high, POINTS, half)})"


def _flag(field: str, value: Any) -> str:
    """Write a setting as the flag that gives it."""
    written = json.dumps(value) if isinstance(value, list | tuple | bool) else value_words(value)
    return f"--{field.rpartition('.')[2].replace('_', '-')} {shlex.quote(written)}"
