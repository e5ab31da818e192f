"""``foolscope train``: one model."""

import json
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from foolscope.cli.console import live_progress, percent, results
from foolscope.cli.options import (
    GroupedCommand,
    recipe_of,
    recipe_options,
    report_option,
    store_flag,
    workplace_of,
    workplace_options,
)
from foolscope.core.files import write_text
from foolscope.experiments.execution import run_trials
from foolscope.experiments.store import StoredTrial
from foolscope.experiments.study_run import training_record
from foolscope.reports import render_html
from foolscope.reports.study_report import training_document

_EXAMPLES = """\b
Examples:
  foolscope train
  foolscope train --model mlp --hidden '[200, 100]' --learning-rate 0.05 --schedule cosine
  foolscope train --model small-cnn --dataset fashion-mnist --epochs 10
  foolscope train --recipe my.toml --seed 3 --json
"""


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@report_option
@workplace_options
@recipe_options
def command(
    as_json: bool,
    page: Path | None,
    store_folder: Path,
    data_dir: Path | None,
    device: str,
    recipe_file: Path | None,
    **flags: Any,
) -> None:
    """Train one model, or read it from the store if it has been trained, and say how good it is."""
    recipe = recipe_of(flags, recipe_file)
    workplace = workplace_of(store_folder, data_dir, device)
    known = workplace.store.has(workplace.identify(recipe))
    with live_progress() as observe:
        (trial,) = run_trials([recipe], workplace, observe)
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
    else:
        _print(trial, known)


def _print(trial: StoredTrial, known: bool) -> None:
    console = results()
    recipe, outcome = trial.recipe, trial.outcome
    console.print(
        f"\n[bold]{recipe.model.name}[/bold] on {recipe.dataset.name}, seed {recipe.seed}, "
        f"{outcome['parameter_count']:,} parameters"
    )
    if trial.status == "diverged":
        epoch = len(outcome["history"])
        console.print(
            f"[red]diverged[/red] in epoch {epoch}: the loss was no longer finite. Lower the learning rate."
        )
    else:
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
    verb = "trained before" if known else f"trained in {outcome['duration_seconds']:.1f} s"
    console.print(f"Run [bold]{trial.identity}[/bold], {verb}: {escape(str(trial.folder))}", soft_wrap=True)
    if trial.status != "diverged":
        command = f"foolscope attack {trial.identity[:8]}{store_flag(trial.folder.parents[1])}"
        console.print(f"[dim]Attack it with: {escape(command)}[/dim]", soft_wrap=True)
