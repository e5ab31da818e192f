"""``foolscope ablate``: one factor at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from foolscope.cli.console import live_progress, print_document, print_result
from foolscope.cli.groups import GroupedCommand
from foolscope.cli.options import (
    json_option,
    recipe_of,
    recipe_options,
    report_option,
    training_options,
)
from foolscope.core.errors import RecipeError
from foolscope.core.values import parse_values
from foolscope.experiments.parts.ablations import plan_ablation
from foolscope.experiments.parts.training import METRICS
from foolscope.experiments.parts.until_decided import MOST_SEEDS
from foolscope.experiments.running.explanation import explain_pack
from foolscope.experiments.running.memory import pack_limits
from foolscope.experiments.running.packs import Pack
from foolscope.experiments.running.session import Session
from foolscope.reports import document as doc
from foolscope.reports.phrases import join_words, one_or_many
from foolscope.verbs.ablate import ablate

_EXAMPLES = """\b
Examples:
  foolscope ablate --model mlp --vary batch_size=32,128,512 --seeds 5
  foolscope ablate --model mlp --vary hidden=16,64 --vary learning_rate=0.01,0.1 --seeds 5
  foolscope ablate --model mlp --vary 'hidden=[64],[64,64]' --practical-difference 0.01
  foolscope ablate --model mlp --vary learning_rate=0.01,0.1,1 --until-decided --most-seeds 40
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
@click.option(
    "--seeds", type=click.IntRange(2, 1000), default=5, show_default=True, help="Seeds per setting."
)
@click.option(
    "--until-decided",
    is_flag=True,
    help="Add seeds to the settings that are still undecided; the error rates hold at every look.",
)
@click.option(
    "--most-seeds",
    type=click.IntRange(2, 1000),
    help=f"With --until-decided: give up after so many seeds.  [default: {MOST_SEEDS}]",
)
@click.option(
    "--metric",
    default="test_accuracy",
    show_default=True,
    metavar="NAME",
    help=f"Metric that is compared: {join_words(METRICS, 'or')}.",
)
@click.option(
    "--practical-difference",
    type=click.FloatRange(0, min_open=True),
    default=0.005,
    show_default=True,
    help="The smallest difference that matters, in the metric's own unit.",
)
@click.option("--explain", is_flag=True, help="Print which trials would train side by side, and stop.")
@json_option
@report_option
@training_options
@recipe_options
def command(
    factors: Sequence[str],
    seeds: int,
    until_decided: bool,
    most_seeds: int | None,
    metric: str,
    practical_difference: float,
    explain: bool,
    as_json: bool,
    page: Path | None,
    session: Session,
    recipe_file: Path | None,
    **flags: Any,
) -> None:
    """Vary one field at a time around a baseline and say which values help, hurt or make no difference."""
    recipe = recipe_of(flags, recipe_file)
    vary = _factors(factors)
    if explain:
        _explain(*plan_ablation(recipe, vary, seeds=seeds, session=session), session)
        return
    with live_progress() as observe:
        ablation = ablate(
            recipe,
            vary,
            seeds=seeds,
            session=session,
            metric=metric,
            practical_difference=practical_difference,
            until_decided=until_decided,
            most_seeds=most_seeds,
            observe=observe,
        )
    print_result(ablation, ["effects"], page, ablation.record.model_dump(mode="json") if as_json else None)


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
    return name.replace("-", "_"), parse_values(values)


def _explain(packs: Sequence[Pack], stored: int, session: Session) -> None:
    rows: list[list[doc.CellValue]] = []
    said: dict[str, list[int]] = {}
    for position, pack in enumerate(packs, 1):
        dataset = session.dataset(pack.trials[0].recipe.dataset)
        words = explain_pack(pack, pack_limits(session), dataset.image_shape, len(dataset.classes))
        different = "; ".join(words.differences) or "the seed only"
        flops = words.step_flops / 1e6
        rows.append([position, words.trials, words.seeds, words.common, different, flops])
        said.setdefault(f"{words.limit}.", []).append(position)
        if words.sequential_reason is not None:
            said.setdefault(f"one trial after another, because {words.sequential_reason}.", []).append(
                position
            )
    trials = one_or_many(sum(len(pack.trials) for pack in packs), "trial")
    packing = doc.Table(
        ["pack", "trials", "seeds", "shared", "different", doc.Column("MFLOP a step", format=",.1f")],
        rows,
        "Trials that train side by side.",
        key="packs",
    )
    reasons = doc.Bullets([f"{_pack_numbers(numbers)}: {reason}" for reason, numbers in said.items()])
    title = f"{trials} to train in {one_or_many(len(packs), 'pack')}; {stored} in the store already."
    print_document(doc.Document(title, "", lead=[packing, reasons] if packs else []))


def _pack_numbers(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"Pack {numbers[0]}"
    consecutive = list(numbers) == list(range(numbers[0], numbers[-1] + 1))
    return f"Packs {numbers[0]} to {numbers[-1]}" if consecutive else f"Packs {', '.join(map(str, numbers))}"
