"""``foolscope search``: better settings, and whether they hold on fresh seeds."""

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from foolscope.cli.console import live_progress, print_result
from foolscope.cli.groups import GroupedCommand
from foolscope.cli.options import (
    Function,
    json_option,
    recipe_of,
    recipe_options,
    report_option,
    training_options,
)
from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.searches import SAMPLERS, SearchSettings
from foolscope.experiments.running.session import Session
from foolscope.experiments.wording.fields import value_words
from foolscope.experiments.wording.sentences import capitalized
from foolscope.verbs.search import search

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
@_option("metric", metavar="accuracy|balanced_accuracy|f1|auc")
@_option("rounds", click.IntRange(1, 100))
@_option("trials", click.IntRange(1, 1000))
@_option("narrowing", click.FloatRange(0, 1, min_open=True))
@_option("seeds", click.IntRange(1, 1000))
@_option("fresh_seeds", click.IntRange(3, 1000))
@_option("sampler_seed", click.IntRange(0))
@click.option(
    "--practical-difference",
    type=click.FloatRange(0, min_open=True),
    default=0.005,
    show_default=True,
    help="The smallest difference of the test score that matters, as a fraction.",
)
@json_option
@report_option
@training_options
@recipe_options
def command(
    dimensions: Sequence[str],
    practical_difference: float,
    as_json: bool,
    page: Path | None,
    session: Session,
    recipe_file: Path | None,
    **flags: Any,
) -> None:
    """Search for better settings, and train the winner again beside the baseline on fresh seeds."""
    recipe = recipe_of(flags, recipe_file)
    with live_progress() as observe:
        found = search(
            recipe,
            _over(dimensions),
            **{name: flags[name] for name in SearchSettings.model_fields},
            practical_difference=practical_difference,
            session=session,
            observe=observe,
        )
    record = found.record
    print_result(found, ["settings", "fresh"], page, record.model_dump(mode="json") if as_json else None)
    if not as_json and record.winner is not None and record.outcome == "helps":
        flags_of_winner = " ".join(_flag(field, value) for field, value in record.winner.values.items())
        click.echo(f"Use it: {flags_of_winner}")


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


def _flag(field: str, value: Any) -> str:
    """Write a setting as the flag that gives it."""
    written = json.dumps(value) if isinstance(value, list | tuple | bool) else value_words(value)
    return f"--{field.rpartition('.')[2].replace('_', '-')} {shlex.quote(written)}"
