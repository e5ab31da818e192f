"""``foolscope train``: one model."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from foolscope.cli.console import live_progress, percent, results, starting_anew
from foolscope.cli.options import (
    GroupedCommand,
    recipe_of,
    recipe_options,
    report_option,
    session_of,
    session_options,
    store_flag,
)
from foolscope.core.files import write_text
from foolscope.experiments.engines.comparison import ReferenceRun, reference_run
from foolscope.experiments.engines.records import DifferenceRecord
from foolscope.experiments.parts.training import training_record
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import StoredTrial
from foolscope.reports import render_html
from foolscope.reports.engines import engines_document
from foolscope.reports.parts.training import training_document

_EXAMPLES = """\b
Examples:
  foolscope train
  foolscope train --model mlp --hidden '[200, 100]' --learning-rate 0.05 --schedule cosine
  foolscope train --model small-cnn --dataset fashion-mnist --epochs 10
  foolscope train --recipe my.toml --seed 3 --json
  foolscope train --model mlp --engine reference
"""


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@report_option
@click.option(
    "--engine",
    type=click.Choice(["torch", "reference"]),
    metavar="torch|reference",
    default="torch",
    show_default=True,
    help="Who trains: torch, or NumPy with gradients derived by hand.",
)
@session_options
@recipe_options
def command(
    as_json: bool,
    page: Path | None,
    engine: Literal["torch", "reference"],
    store_folder: Path,
    data_dir: Path | None,
    device: str,
    recipe_file: Path | None,
    **flags: Any,
) -> None:
    """Train one model, or read it from the store if it has been trained, and say how good it is.

    With --engine reference it is trained in NumPy, in float64 unless --precision says float32, and then by
    torch in the same data type, from the same weights on the same minibatches, to see how far the two runs
    are apart. The exit code is 1 where that is more than rounding. The weights that are kept are torch's; a
    run in NumPy that is interrupted starts anew.
    """
    recipe = recipe_of(flags, recipe_file)
    session = session_of(store_folder, data_dir, device)
    if engine == "reference":
        run = _train_by_both(recipe, session, as_json, page)
        click.get_current_context().exit(0 if run.record.agrees else 1)
    known = session.store.has(session.identify(recipe))
    with live_progress() as observe:
        (trial,) = run_trials([recipe], session, observe)
    if page is not None:
        record = training_record(recipe.model.name, [trial])
        write_text(page, render_html(training_document(record)))
    if as_json:
        document = {
            "identity": trial.identity,
            "recipe": trial.recipe.model_dump(mode="json"),
            **trial.outcome,
            "folder": str(trial.folder),
        }
        click.echo(json.dumps(document, indent=1))
        return
    console = results()
    _print_outcome(console, trial)
    verb = "trained before" if known else f"trained in {trial.outcome['duration_seconds']:.1f} s"
    console.print(f"Run [bold]{trial.identity}[/bold], {verb}: {escape(str(trial.folder))}", soft_wrap=True)
    _suggest_attack(console, trial)


def _train_by_both(recipe: Recipe, session: Session, as_json: bool, page: Path | None) -> ReferenceRun:
    """Train with both engines, and say what came out."""
    with starting_anew("the same command starts anew in NumPy"), live_progress() as observe:
        run = reference_run(recipe, session, observe)
    if page is not None:
        write_text(page, render_html(engines_document(run.record)))
    if as_json:
        click.echo(json.dumps(_as_document(run), indent=1))
    else:
        _print_comparison(run)
    return run


def _as_document(run: ReferenceRun) -> Mapping[str, Any]:
    return {
        "engine": "reference",
        "recipe": run.reference.recipe.model_dump(mode="json"),
        **run.reference.outcome,
        "torch": {"identity": run.torch.identity, **run.torch.outcome, "folder": str(run.torch.folder)},
        "agrees": run.record.agrees,
        "sentence": run.record.sentence,
        "differences": [each.model_dump(mode="json") for each in run.record.differences],
    }


def _print_outcome(console: Console, trial: StoredTrial, how: str = "") -> None:
    recipe, outcome = trial.recipe, trial.outcome
    console.print(
        f"\n[bold]{recipe.model.name}[/bold] on {recipe.dataset.name}, seed {recipe.seed}, "
        f"{outcome['parameter_count']:,} parameters{how}"
    )
    if trial.status == "diverged":
        epoch = len(outcome["history"])
        console.print(
            f"[red]diverged[/red] in epoch {epoch}: the loss was no longer finite. Lower the learning rate."
        )
        return
    metrics = outcome["metrics"]
    names = [
        name
        for name in ("test", "validation", "robust validation", "training")
        if f"{name.replace(' ', '_')}_accuracy" in metrics
    ]
    width = max(len(name) for name in names) + len(" accuracy")
    for name in names:
        value = percent(metrics[f"{name.replace(' ', '_')}_accuracy"], 2)
        console.print(f"  {name + ' accuracy':<{width}} {value:>8}")
    console.print(f"  {'best epoch':<{width}} {outcome['best_epoch']} of {len(outcome['history'])}")
    for doubt in outcome.get("doubts", ()):
        console.print(f"[yellow]doubt:[/yellow] {escape(doubt)}", soft_wrap=True)


def _print_comparison(run: ReferenceRun) -> None:
    console, record = results(), run.record
    _print_outcome(console, run.reference, f", trained in NumPy, {record.precision}")
    if record.differences:
        table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
        table.add_column("beside PyTorch", no_wrap=True)
        table.add_column("largest difference", justify="right", no_wrap=True)
        table.add_column("where", no_wrap=True)
        tried = any(each.last_digit for each in record.differences)
        if tried:
            table.add_column("by a last digit", justify="right", no_wrap=True)
        for each in record.differences:
            table.add_row(*_row(each), *[_amount(each.largest_of_last_digit)] * tried)
        console.print()
        console.print(table)
    mark = "[green]✓[/green]" if record.agrees else "[red]✗[/red]"
    if record.agrees and record.magnified:
        mark = "[yellow]![/yellow]"
    console.print(f"{mark} {escape(record.sentence)}", soft_wrap=True)
    seconds = [trial.outcome["duration_seconds"] for trial in (run.reference, run.torch)]
    verb = "Trained before" if run.known else "Trained"
    console.print(
        f"{verb} in NumPy in {seconds[0]:.1f} s, by PyTorch in {seconds[1]:.1f} s. PyTorch's run "
        f"[bold]{run.torch.identity}[/bold]: {escape(str(run.torch.folder))}",
        soft_wrap=True,
    )
    _suggest_attack(console, run.torch)


def _row(record: DifferenceRecord) -> tuple[str, str, str]:
    value = _amount(record.largest)
    where = "" if record.largest == 0 else escape(record.where)
    return record.quantity, value if record.agrees else f"[red]{value}[/red]", where


def _amount(value: float | None) -> str:
    if value is None:
        return "not finite"
    return f"{value:.1e}".replace("-", "\N{MINUS SIGN}") if value else "0"


def _suggest_attack(console: Console, trial: StoredTrial) -> None:
    if trial.status != "diverged":
        command = f"foolscope attack {trial.identity[:8]}{store_flag(trial.folder.parents[1])}"
        console.print(f"[dim]Attack it with: {escape(command)}[/dim]", soft_wrap=True)
