"""``foolscope study``: the whole thing, from recipes to report."""

import json
from pathlib import Path

import click

from foolscope.cli.console import live_progress, print_document
from foolscope.cli.options import command_line, json_option, training_options
from foolscope.core.errors import StoreError
from foolscope.core.files import write_text
from foolscope.experiments.running.session import Session
from foolscope.experiments.study_file import FIRST_STUDY, built_in_studies, read_study, renamed
from foolscope.reports.parts.table import PARTS
from foolscope.verbs.study import study

_EXAMPLES = """\b
Examples:
  foolscope study                              the built-in first study
  foolscope study --write my.toml              copy it to edit
  foolscope study my.toml --seeds 10           run yours; only new trials are trained
  foolscope study softmax-cifar10 --write a2.toml
"""


@click.command(epilog=_EXAMPLES)
@click.argument("name", metavar="[STUDY]", default=FIRST_STUDY)
@click.option(
    "--write", "target", type=click.Path(path_type=Path), help="Copy the study file there; run nothing."
)
@click.option("--seeds", type=click.IntRange(1, 1000), help="Seeds per setting, instead of the file's.")
@click.option("--list", "list_only", is_flag=True, help="List the built-in studies; run nothing.")
@json_option
@training_options
def command(
    name: str,
    target: Path | None,
    seeds: int | None,
    list_only: bool,
    as_json: bool,
    session: Session,
) -> None:
    """Run STUDY, a built-in name or a TOML file, and write its report."""
    if list_only:
        names = built_in_studies()
        width = max(map(len, names))
        for each in names:
            click.echo(f"{each:<{width}}  {read_study(each)[0].title}")
        return
    if target is not None:
        plan, text = read_study(name)
        if target.exists():
            raise StoreError(f"{target} is there already; choose another name or delete it first")
        write_text(target, renamed(text, plan.name, target.stem))
        click.echo(f"Wrote {target}. Edit it, then: foolscope study {target}")
        return
    with live_progress() as observe:
        result = study(name, seeds=seeds, session=session, observe=observe, command=command_line())
    if as_json:
        click.echo(json.dumps(result.record.model_dump(mode="json"), indent=1))
        return
    print_document(result.document, [key for part in PARTS.values() for key in part.tables])
    click.echo(f"\nReport: {result.report}")
