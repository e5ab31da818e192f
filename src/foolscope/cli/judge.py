"""``foolscope judge``: verdicts on anyone's numbers."""

import json
from pathlib import Path
from typing import Any

import click

from foolscope.cli.console import print_document
from foolscope.cli.groups import GroupedCommand
from foolscope.cli.options import json_option
from foolscope.verbs.judge import judge

_EXAMPLES = """\b
Examples:
  foolscope judge results.csv --baseline A
  foolscope judge wandb.csv --baseline lr=0.1 --setting lr --metric test_acc --images 10000
  foolscope judge runs.csv --baseline lr=0.1,wd=0 --delta 0.3 --report verdicts
  foolscope judge lightning_logs --baseline adam --epoch last
  foolscope judge results.csv --baseline A --correct bits.npz --claims claims.toml
"""


@click.command(cls=GroupedCommand, epilog=_EXAMPLES)
@click.argument("tables", metavar="TABLE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--baseline",
    metavar="VALUE",
    help="Setting that the others are compared with: a value, or COLUMN=VALUE,...",
)
@click.option("--setting", metavar="COLUMN,...", help="Columns of the settings.  [default: those that vary]")
@click.option(
    "--seed",
    metavar="COLUMN",
    help='Column whose equal values pair runs of different settings; "none" if rows are replicates.',
)
@click.option("--metric", metavar="COLUMN", help="Column of the metric, or what a wide table holds.")
@click.option(
    "--lower-is-better/--higher-is-better",
    "lower_is_better",
    default=None,
    help="How the metric is read.  [default: by its name]",
)
@click.option(
    "--delta",
    metavar="SIZE",
    help="Smallest difference that matters, in the table's unit, or with a percent sign.  "
    "[default: 0.5 points of an accuracy]",
)
@click.option(
    "--unit",
    type=click.Choice(["share", "percent", "plain"]),
    help="Unit of the metric.  [default: by its name and values]",
)
@click.option("--images", type=click.IntRange(1), metavar="N", help="Size of the test set.")
@click.option(
    "--correct",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Which images each run classified correctly: arrays SETTING/SEED, or SETTING (seed, image).",
)
@click.option(
    "--epoch",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="Which value of a run counts, where TABLE has one for each epoch.",
)
@click.option(
    "--duplicates",
    type=click.Choice(["refuse", "first", "last", "mean"]),
    default="refuse",
    show_default=True,
    help="What to do with different values for one setting and seed.",
)
@click.option(
    "--claims", type=click.Path(path_type=Path), metavar="FILE.toml", help="Also test these [[claims]]."
)
@json_option
@click.option(
    "--report",
    "target",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Also write report.html, report.md and judgement.json there; FILE.html gets the page alone.",
)
def command(
    tables: tuple[Path, ...],
    as_json: bool,
    target: Path | None,
    **options: Any,
) -> None:
    """Judge the settings in TABLE against a baseline: who helps, who hurts, and what is undecided.

    TABLE is a CSV file as W&B, MLflow, Optuna or a spreadsheet export it: a row for each run, or settings by
    seeds. Several files, or a folder, are logs of one run each, as Lightning's CSVLogger writes them.
    """
    judgement = judge(list(tables) if len(tables) > 1 else tables[0], **options)
    written = judgement.write(target) if target is not None else []
    if as_json:
        click.echo(json.dumps(judgement.record.model_dump(mode="json"), indent=1))
        return
    print_document(judgement.document, ["effects"])
    if written:
        click.echo(f"\nReport: {written[0]}")
