"""``foolscope check``: is a recipe implemented correctly, and which learning rates suit it?"""

from pathlib import Path
from typing import Any

import click

from foolscope.cli.console import live_progress, print_result
from foolscope.cli.groups import GroupedCommand
from foolscope.cli.options import (
    json_option,
    recipe_of,
    recipe_options,
    report_option,
    session_options,
)
from foolscope.core.errors import RecipeError
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.inspection.checks.learning_rate_range import DEFAULT_STEPS, log_spaced
from foolscope.verbs.check import CheckResult, check

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
@json_option
@report_option
@session_options
@recipe_options
def command(
    subject: str | None,
    rates: str,
    steps: int,
    as_json: bool,
    page: Path | None,
    session: Session,
    recipe_file: Path | None,
    **flags: Any,
) -> None:
    """Check a recipe, or that of a stored run, before trusting its results.

    Is the loss before training that of uniform predictions? Can the network fit one batch, and a small
    subset, perfectly? Do its gradients agree with hand-derived ones and with finite differences? At which
    learning rates does the loss fall, and is the recipe's own stable?
    """
    grid = _rates(rates)
    with live_progress() as observe:
        checked = check(
            _subject(subject, flags, recipe_file, session),
            rates=grid,
            steps=steps,
            session=session,
            observe=observe,
        )
    print_result(checked, ["checks", "rates-*"], page, _as_json(checked) if as_json else None)
    click.get_current_context().exit(0 if checked.passed else 1)


def _as_json(checked: CheckResult) -> dict[str, Any]:
    return {
        "recipe": checked.recipe.model_dump(mode="json"),
        "passed": checked.passed,
        "checks": [each.model_dump(mode="json", exclude={"recipe"}) for each in checked.checks],
        "learning_rates": checked.range_test.model_dump(mode="json", exclude={"recipe"}),
    }


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


def _subject(
    subject: str | None, flags: dict[str, Any], recipe_file: Path | None, session: Session
) -> Recipe | StoredTrial:
    """Return the recipe of a file with flags, or a stored run."""
    if subject is None:
        return recipe_of(flags, recipe_file)
    if recipe_file is not None:
        raise RecipeError(f"--recipe {recipe_file} and {subject} are two things to check; omit one")
    if subject.endswith(".toml") or Path(subject).is_file():
        return recipe_of(flags, Path(subject))
    given = [name for name, value in flags.items() if value is not None]
    if given:
        flag = "--" + given[0].removeprefix("recipe_").replace("_", "-")
        raise RecipeError(f"a stored run is checked as it was trained; omit {flag}, or check a recipe")
    return session.store.find(subject)
