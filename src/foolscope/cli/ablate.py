"""``foolscope ablate``: one factor at a time."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from foolscope.cli.console import live_progress, results
from foolscope.cli.options import (
    GroupedCommand,
    recipe_of,
    recipe_options,
    report_option,
    session_of,
    session_options,
)
from foolscope.core.errors import RecipeError
from foolscope.core.files import write_text
from foolscope.experiments.parts.ablations import AblationRecord, LevelRecord, ablate, plan_ablation
from foolscope.experiments.parts.training import METRICS
from foolscope.experiments.recipe import parse_value
from foolscope.experiments.running.explanation import explain_pack
from foolscope.experiments.running.packs import Pack, PackLimits
from foolscope.experiments.running.run import Session
from foolscope.experiments.wording.sentences import POINTS, scale_of
from foolscope.reports import render_html
from foolscope.reports.parts.ablations import ablation_document
from foolscope.reports.phrases import join_words, with_interval

_EXAMPLES = """\b
Examples:
  foolscope ablate --model mlp --vary batch_size=32,128,512 --seeds 5
  foolscope ablate --model mlp --vary hidden=16,64 --vary learning_rate=0.01,0.1 --seeds 5
  foolscope ablate --model mlp --vary 'hidden=[64],[64,64]' --practical-difference 0.01
  foolscope ablate --model mlp --vary learning_rate=0.01,0.1,1 --seeds 20 --explain
"""


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@click.option(
    "--vary",
    "factors",
    multiple=True,
    required=True,
    metavar="FIELD=A,B,C",
    help="A field and its values; repeat for several factors.",
)
@click.option("--seeds", type=click.IntRange(2, 1000), default=5, show_default=True, help="Trials per cell.")
@click.option(
    "--metric",
    default="test_accuracy",
    show_default=True,
    metavar="NAME",
    help=f"Which result decides: {join_words(METRICS, 'or')}.",
)
@click.option(
    "--practical-difference",
    type=click.FloatRange(0, min_open=True),
    default=0.005,
    show_default=True,
    help="The smallest difference that matters, in the metric's own unit.",
)
@click.option("--explain", is_flag=True, help="Print which trials would train side by side, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@report_option
@session_options
@recipe_options
def command(
    factors: Sequence[str],
    seeds: int,
    metric: str,
    practical_difference: float,
    explain: bool,
    as_json: bool,
    page: Path | None,
    store_folder: Path,
    data_dir: Path | None,
    device: str,
    recipe_file: Path | None,
    **flags: Any,
) -> None:
    """Vary one field at a time around a baseline and say which values help, hurt or make no difference."""
    recipe = recipe_of(flags, recipe_file)
    vary = _factors(factors)
    session = session_of(store_folder, data_dir, device)
    if explain:
        _explain(*plan_ablation(recipe, vary, seeds=seeds, session=session), session)
        return
    with live_progress() as observe:
        record = ablate(
            recipe,
            vary,
            seeds=seeds,
            session=session,
            metric=metric,
            practical_difference=practical_difference,
            observe=observe,
        )
    if page is not None:
        write_text(page, render_html(ablation_document(record)))
    if as_json:
        click.echo(json.dumps(record.model_dump(mode="json"), indent=1))
    else:
        _print(record)


def _factors(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Gather the ``--vary`` options; a field that is named twice has the values of both."""
    vary: dict[str, list[Any]] = {}
    for name, values in map(_factor, texts):
        vary.setdefault(name, []).extend(values)
    return vary


def _factor(text: str) -> tuple[str, list[Any]]:
    """Read ``field=a,b,c``; commas inside brackets belong to the value."""
    name, _, values = (part.strip() for part in text.partition("="))
    if not name or not values:
        raise RecipeError(f"--vary must be FIELD=A,B,C, as in batch_size=128,256; got {text!r}")
    parsed = parse_value(f"[{values}]")
    if isinstance(parsed, list):
        return name.replace("-", "_"), parsed
    return name.replace("-", "_"), [parse_value(value.strip()) for value in values.split(",")]


def _explain(packs: Sequence[Pack], stored: int, session: Session) -> None:
    console = results()
    trials = sum(len(pack.trials) for pack in packs)
    console.print(
        f"{trials} {'trial' if trials == 1 else 'trials'} to train in {len(packs)} "
        f"{'pack' if len(packs) == 1 else 'packs'}; {stored} in the store already."
    )
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    table.add_column("pack", justify="right")
    table.add_column("trials", justify="right")
    table.add_column("seeds", justify="right")
    table.add_column("shared", overflow="fold")
    table.add_column("different", overflow="fold")
    table.add_column("MFLOP a step", justify="right")
    limits: dict[str, list[int]] = {}
    sequential: dict[str, list[int]] = {}
    for position, pack in enumerate(packs, 1):
        dataset = session.dataset(pack.trials[0].recipe.dataset)
        words = explain_pack(
            pack, PackLimits.of_device(session.device), dataset.image_shape, len(dataset.classes)
        )
        table.add_row(
            str(position),
            str(words.trials),
            str(words.seeds),
            escape(words.common),
            escape("; ".join(words.differences)) or "the seed only",
            f"{words.step_flops / 1e6:,.1f}",
        )
        limits.setdefault(words.limit, []).append(position)
        if words.sequential_reason is not None:
            sequential.setdefault(words.sequential_reason, []).append(position)
    if packs:
        console.print(table)
    for limit, numbers in limits.items():
        console.print(f"{_pack_numbers(numbers)}: {limit}.")
    for reason, numbers in sequential.items():
        console.print(f"{_pack_numbers(numbers)}: one trial after another, because {reason}.")


def _pack_numbers(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"Pack {numbers[0]}"
    consecutive = list(numbers) == list(range(numbers[0], numbers[-1] + 1))
    return f"Packs {numbers[0]} to {numbers[-1]}" if consecutive else f"Packs {', '.join(map(str, numbers))}"


def _print(record: AblationRecord) -> None:
    console = results()
    scale = scale_of(record.metric)
    unit = " in %" if scale is POINTS else ""
    for factor in record.factors:
        metric = record.metric.replace("_", " ")
        console.print(
            f"\n[bold]{escape(factor.words)}[/bold]: {metric}{unit} over {len(record.seeds)} seeds, "
            f"and the difference from {escape(factor.baseline)}, with 95 % intervals"
        )
        table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
        table.add_column("value", overflow="fold")
        for title in (metric, "difference", "adjusted p"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        for level in factor.levels:
            table.add_row(*_row(level, record))
        console.print(table)
        console.print(escape(factor.summary))
    for doubt in record.doubts:
        console.print(f"[yellow]doubt:[/yellow] {escape(doubt)}")


def _row(level: LevelRecord, record: AblationRecord) -> list[str]:
    scale = scale_of(record.metric)
    bounds = (0.0, 1.0) if scale is POINTS else None
    mean = with_interval(level.mean, level.low, level.high, scale, bounds)
    difference = with_interval(level.difference, level.difference_low, level.difference_high, scale)
    nothing = "" if level.outcome == "baseline" else "–"
    return [escape(level.label), mean or nothing, difference or nothing, _p(level), level.outcome]


def _p(level: LevelRecord) -> str:
    if level.p_different is None or level.difference is None:
        return ""
    return "< 0.001" if level.p_different < 0.001 else f"{level.p_different:.3f}"
