"""``foolscope study``: the whole thing, from recipes to report."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from foolscope.cli.console import live_progress, results
from foolscope.cli.options import command_line, session_of, session_options
from foolscope.core.errors import StoreError
from foolscope.core.files import write_text
from foolscope.experiments.claims.records import ClaimRecord
from foolscope.experiments.running.run import Session
from foolscope.experiments.study import Study
from foolscope.experiments.study_file import FIRST_STUDY, built_in_studies, read_study, renamed
from foolscope.experiments.study_record import StudyRecord
from foolscope.experiments.study_run import run_study
from foolscope.reports.pages import read_pictures, write_study_report
from foolscope.reports.parts import PARTS
from foolscope.reports.parts.part import Shown

_EXAMPLES = """\b
Examples:
  foolscope study                              the built-in first study
  foolscope study --write my.toml              copy it to edit
  foolscope study my.toml --seeds 10           run yours; only new trials are trained
  foolscope study softmax-cifar10 --write a2.toml
"""

OUTCOME_COLORS = {"upheld": "green", "contradicted": "red", "undecided": "yellow"}


@click.command(epilog=_EXAMPLES)
@click.argument("study", default=FIRST_STUDY)
@click.option(
    "--write", "target", type=click.Path(path_type=Path), help="Copy the study file there; run nothing."
)
@click.option("--seeds", type=click.IntRange(1, 1000), help="Trials per cell, instead of the file's.")
@click.option("--list", "list_only", is_flag=True, help="List the built-in studies; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole record as JSON.")
@session_options
def command(
    study: str,
    target: Path | None,
    seeds: int | None,
    list_only: bool,
    as_json: bool,
    store_folder: Path,
    data_dir: Path | None,
    device: str,
) -> None:
    """Run STUDY, a built-in name or a TOML file, and write its report."""
    if list_only:
        names = built_in_studies()
        width = max(map(len, names))
        for name in names:
            click.echo(f"{name:<{width}}  {read_study(name)[0].title}")
        return
    plan, text = read_study(study)
    if target is not None:
        if target.exists():
            raise StoreError(f"{target} is there already; choose another name or delete it first")
        write_text(target, renamed(text, plan.name, target.stem))
        click.echo(f"Wrote {target}. Edit it, then: foolscope study {target}")
        return
    if seeds is not None:
        plan = plan.model_copy(update={"seeds": seeds})
    record, report = run_and_report(plan, text, session_of(store_folder, data_dir, device))
    if as_json:
        click.echo(json.dumps(record.model_dump(mode="json"), indent=1))
    else:
        _print(record, report)


def run_and_report(plan: Study, text: str, session: Session) -> tuple[StudyRecord, Path]:
    """Run a study with live progress and write its report; return its record and the page."""
    with live_progress() as observe:
        record = run_study(plan, session, text=text, command=command_line(), observe=observe)
    folder = session.store.study_folder(record.name)
    files = write_study_report(record, read_pictures(folder / "pictures.safetensors"), folder)
    return record, files["html"]


def _print(record: StudyRecord, report: Path) -> None:
    console = results()
    console.print(f"\n[bold]{escape(record.title)}[/bold]\n{escape(record.question)}\n")
    if record.claims:
        console.print(_claims(record.claims))
    shown = Shown(record, {})
    for name, part in PARTS.items():
        records = record.of(name)
        for sentence in part.sentences(records, shown) if records else ():
            console.print(f"\n{escape(sentence)}")
        for doubt in part.doubts(records) if records else ():
            console.print(f"[yellow]doubt:[/yellow] {escape(doubt)}")
    trained = f"{record.trial_count} trials, " if record.recipes else ""
    console.print(f"\n{trained}{record.duration_seconds:.0f} s")
    console.print(f"Report: [bold]{escape(str(report))}[/bold]", soft_wrap=True)


def _claims(claims: Sequence[ClaimRecord]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for claim in claims:
        outcome = f"[{OUTCOME_COLORS[claim.outcome]}]{claim.outcome}[/]"
        table.add_row(outcome, f"{escape(claim.sentence)}\n[dim]{escape(claim.reason)}[/dim]")
    return table
