"""``foolscope train``: one model."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import click

from foolscope.cli.console import live_progress, on_interrupt, print_result
from foolscope.cli.groups import GroupedCommand
from foolscope.cli.options import (
    json_option,
    recipe_of,
    recipe_options,
    report_option,
    store_flag,
    training_options,
)
from foolscope.experiments.running.session import Session
from foolscope.verbs.train import Training, train

_EXAMPLES = """\b
Examples:
  foolscope train
  foolscope train --model mlp --hidden '[200, 100]' --learning-rate 0.05 --schedule cosine
  foolscope train --model small-cnn --dataset fashion-mnist --epochs 10
  foolscope train --recipe my.toml --seed 3 --json
  foolscope train --model mlp --engine reference
"""


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@json_option
@report_option
@click.option(
    "--engine",
    type=click.Choice(["torch", "reference"]),
    metavar="torch|reference",
    default="torch",
    show_default=True,
    help="What trains: torch, or NumPy with hand-derived gradients.",
)
@training_options
@recipe_options
def command(
    as_json: bool,
    page: Path | None,
    engine: Literal["torch", "reference"],
    session: Session,
    recipe_file: Path | None,
    **flags: Any,
) -> None:
    """Train one model, or read it from the store if it has been trained, and print its accuracy.

    With --engine reference it is trained in NumPy, in float64 unless --precision is float32, and then by
    torch with the same data type, initial weights and minibatches, to compare the two runs. The exit code is
    1 if they differ by more than rounding. The weights of the torch run are kept; an interrupted run in NumPy
    starts from the beginning.
    """
    recipe = recipe_of(flags, recipe_file)
    guard = (
        on_interrupt("the same command starts from the beginning in NumPy") if engine == "reference" else None
    )
    with guard or nullcontext(), live_progress() as observe:
        training = train(recipe, engine=engine, session=session, observe=observe)
    tables = ["classifiers", "differences", *["classes-*"] * (training.record.largest_class is not None)]
    print_result(training, tables, page, _as_json(training) if as_json else None)
    trial = training.trial
    if not as_json:
        click.echo(f"\nRun {trial.identity}: {trial.folder}")
    if not as_json and trial.status != "diverged":
        command = f"foolscope attack {trial.identity[:8]}{store_flag(session.store.root)}"
        click.echo(f"Attack it with: {command}")
    agrees = training.reference is None or training.reference.record.agrees
    click.get_current_context().exit(0 if agrees else 1)


def _as_json(training: Training) -> dict[str, Any]:
    trial, run = training.trial, training.reference
    if run is None:
        return {
            "identity": trial.identity,
            "recipe": trial.recipe.model_dump(mode="json"),
            **trial.outcome,
            "folder": str(trial.folder),
        }
    return {
        "engine": "reference",
        "recipe": run.reference.recipe.model_dump(mode="json"),
        **run.reference.outcome,
        "torch": {"identity": trial.identity, **trial.outcome, "folder": str(trial.folder)},
        "agrees": run.record.agrees,
        "sentence": run.record.sentence,
        "differences": [each.model_dump(mode="json") for each in run.record.differences],
    }
