"""``foolscope check``: is a recipe implemented correctly, and which learning rates suit it?"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from foolscope.cli.console import live_progress, percent, results
from foolscope.cli.options import (
    GroupedCommand,
    place_options,
    recipe_of,
    recipe_options,
    report_option,
    session_of,
)
from foolscope.core.errors import RecipeError
from foolscope.core.files import write_text
from foolscope.experiments.parts.checks import check_records, range_test_record
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.run import StageEvent
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.inspection.check import Check
from foolscope.inspection.checks.learning_rate_range import DEFAULT_STEPS, log_spaced
from foolscope.inspection.checks.learning_rates import LearningRateRange
from foolscope.reports import render_html
from foolscope.reports.parts.checks import check_document

_EXAMPLES = """\b
Exit code: 0 if every check passed, 1 if one failed, 2 for a mistake in the command.

\b
Examples:
  foolscope check                                  the default recipe
  foolscope check my.toml --learning-rate 0.5      a recipe in a file, one field changed
  foolscope check 09a8be8551                       a stored run, gradients at its weights
  foolscope check --model small-cnn --dataset cifar10 --report checks.html
  foolscope check --model mlp --rates 0.01:1:10 --steps 300
"""
_BAR = 24
_SHARE = 0.25  # of the time that the sanity checks take
_MOST_RATES = 200


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@click.argument("subject", required=False, metavar="[RECIPE.toml|RUN]")
@click.option(
    "--rates",
    default="1e-5:10:25",
    show_default=True,
    metavar="LOW:HIGH:COUNT",
    help="Learning rates to try, evenly spaced on a log scale.",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 100_000),
    default=DEFAULT_STEPS,
    show_default=True,
    help="Training steps at each of them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@report_option
@place_options
@recipe_options
def command(
    subject: str | None,
    rates: str,
    steps: int,
    as_json: bool,
    page: Path | None,
    store_folder: Path,
    data_dir: Path | None,
    device: str,
    recipe_file: Path | None,
    **flags: Any,
) -> None:
    """Check a recipe, or that of a stored run, before its numbers are believed.

    Is the loss before training that of uniform guessing? Can the network fit one batch, and a small subset,
    perfectly? Do its gradients agree with hand-derived ones and with finite differences? At which learning
    rates does the loss fall, and is the recipe's own stable?
    """
    session = session_of(store_folder, data_dir, device)
    grid = _rates(rates)
    recipe, trial = _recipe(subject, flags, recipe_file, session)
    model = None if trial is None or trial.status == "diverged" else trial.model(session.device)
    name = recipe.model.name
    with live_progress() as observe:

        def tell(done: float, what: str) -> None:
            observe(StageEvent("checking", done, what))

        checks = check_records(
            name, recipe, session, lambda done, what: tell(_SHARE * done, what), model=model
        )
        range_test = range_test_record(
            name,
            recipe,
            session,
            grid,
            steps,
            tell=lambda done, what: tell(_SHARE + (1.0 - _SHARE) * done, what),
        )
    if page is not None:
        classes = len(session.dataset(recipe.dataset).classes)
        write_text(page, render_html(check_document(checks, range_test, classes)))
    passed = range_test.passed and all(check.passed for check in checks)
    if as_json:
        document = {
            "recipe": recipe.model_dump(mode="json"),
            "passed": passed,
            "checks": [check.model_dump(mode="json", exclude={"recipe"}) for check in checks],
            "learning_rates": range_test.model_dump(mode="json", exclude={"recipe"}),
        }
        click.echo(json.dumps(document, indent=1))
    else:
        _print(recipe, checks, range_test)
    click.get_current_context().exit(0 if passed else 1)


def _rates(text: str) -> tuple[float, ...]:
    """Read LOW:HIGH:COUNT."""
    try:
        low, high, count = (part.strip() for part in text.split(":"))
        ends, number = (float(low), float(high)), int(count)
    except ValueError as error:
        raise RecipeError(f"--rates must be LOW:HIGH:COUNT, as in 1e-5:10:25; got {text!r}") from error
    if not (0 < ends[0] < ends[1] < float("inf") and 2 <= number <= _MOST_RATES):
        raise RecipeError(
            f"--rates LOW:HIGH:COUNT needs 0 < LOW < HIGH and 2 to {_MOST_RATES} rates; got {text!r}"
        )
    return log_spaced(*ends, number)


def _recipe(
    subject: str | None, flags: dict[str, Any], recipe_file: Path | None, session: Session
) -> tuple[Recipe, StoredTrial | None]:
    """Return the recipe of a file with flags, or a stored run with its recipe as it is."""
    if subject is None:
        return recipe_of(flags, recipe_file), None
    if recipe_file is not None:
        raise RecipeError(f"--recipe {recipe_file} and {subject} are two things to check; leave one out")
    if subject.endswith(".toml") or Path(subject).is_file():
        return recipe_of(flags, Path(subject)), None
    given = [name for name, value in flags.items() if value is not None]
    if given:
        flag = "--" + given[0].removeprefix("recipe_").replace("_", "-")
        raise RecipeError(f"a stored run is checked as it was trained; leave out {flag}, or check a recipe")
    trial = session.store.find(subject)
    return trial.recipe, trial


def _print(recipe: Recipe, checks: Sequence[Check], range_test: LearningRateRange) -> None:
    console = results()
    console.print(
        f"\n[bold]Checks of {recipe.model.name}[/bold] on {recipe.dataset.name}, seed {recipe.seed}\n"
    )
    verdicts = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    verdicts.add_column(no_wrap=True)
    verdicts.add_column(no_wrap=True)
    verdicts.add_column()
    for check in checks:
        trained = " With trained weights." if check.weights == "trained" else ""
        mark = "[dim]–[/dim]" if check.left_out else _mark(check.passed)
        verdicts.add_row(mark, check.check, escape(check.sentence + trained))
    doubtful = range_test.standing in ("too small", "above the range")
    verdicts.add_row(_mark(range_test.passed, doubtful), "learning rate", range_test.sentence)
    console.print(verdicts)
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for title in ("learning rate", "loss", "accuracy"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column(f"fall of the loss in {range_test.steps} steps", no_wrap=True)
    for row in _rows(range_test):
        table.add_row(*row)
    console.print()
    console.print(table)


def _mark(passed: bool, doubtful: bool = False) -> str:
    if not passed:
        return "[red]✗[/red]"
    return "[yellow]![/yellow]" if doubtful else "[green]✓[/green]"


def _rows(record: LearningRateRange) -> list[tuple[str, str, str, str]]:
    """Write the range test as rows, with a bar for how far the loss has fallen."""
    lowest = min((loss for loss in record.losses if loss is not None), default=record.initial_loss)
    greatest = record.initial_loss - lowest
    rows = []
    for rate, loss, accuracy in zip(record.rates, record.losses, record.accuracies, strict=True):
        fall = 0.0 if loss is None or greatest <= 0 else max(0.0, (record.initial_loss - loss) / greatest)
        inside = record.suggestion is not None and record.suggestion[0] <= rate <= record.suggestion[1]
        bar = ("█" if inside else "░") * round(_BAR * fall)
        own = "◀ this recipe" if rate == record.own_rate else ""
        rows.append(
            (
                f"{rate:.3g}",
                "diverged" if loss is None else f"{loss:.4g}",
                "" if accuracy is None else percent(accuracy),
                f"{bar:<{_BAR}} {own}".rstrip(),
            )
        )
    return rows
