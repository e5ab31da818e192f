"""``foolscope reproduce``: the published experiments, their figures beside ours, and the verdicts."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from foolscope.cli.console import results
from foolscope.cli.options import session_of, session_options
from foolscope.cli.study import OUTCOME_COLORS, run_and_report
from foolscope.experiments.claims.records import ClaimRecord, FigureRecord
from foolscope.experiments.reproduction import EXPERIMENTS, Reproduction, claims_about, reproductions
from foolscope.experiments.study_file import read_study
from foolscope.experiments.study_record import StudyRecord
from foolscope.experiments.wording.sentences import POINTS, scale_of
from foolscope.reports.phrases import join_words, one_or_many, with_interval

_EXAMPLES = """\b
Examples:
  foolscope reproduce          what can be reproduced
  foolscope reproduce A3       one experiment: published figures beside ours, and the verdicts
  foolscope reproduce D        all that begin with D
  foolscope reproduce all      everything; what has been run before is not run again
"""

_WITHIN = "within noise"


@click.command(epilog=_EXAMPLES)
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--seeds", type=click.IntRange(2, 1000), help="Trials per cell, instead of the study's.")
@click.option("--json", "as_json", is_flag=True, help="Print claims and figures as JSON.")
@session_options
def command(
    name: str | None,
    seeds: int | None,
    as_json: bool,
    store_folder: Path,
    data_dir: Path | None,
    device: str,
) -> None:
    """Run the published experiment NAME, or list those there are."""
    if name is None:
        _print_experiments()
        return
    session = session_of(store_folder, data_dir, device)
    documents = []
    for reproduction in reproductions(name):
        plan, text = read_study(reproduction.study)
        if seeds is not None:
            plan = plan.model_copy(update={"seeds": seeds})
        record, report = run_and_report(plan, text, session)
        if as_json:
            documents.append(_document(reproduction, record, report))
        else:
            _print(reproduction, record, report)
    if as_json:
        click.echo(json.dumps(documents, indent=1))


def _print_experiments() -> None:
    for number, experiment in EXPERIMENTS.items():
        click.echo(f"{number:<4} {experiment.title:<52} {experiment.study}")
    click.echo(f"\nRun one, all of a letter, or all: foolscope reproduce {next(iter(EXPERIMENTS))}")


def _document(reproduction: Reproduction, record: StudyRecord, report: Path) -> dict[str, object]:
    claims = claims_about(record.claims, reproduction.experiments)
    return {
        "experiments": list(reproduction.experiments),
        "study": reproduction.study,
        "seeds": record.seeds,
        "claims": [claim.model_dump(mode="json") for claim in claims],
        "report": str(report),
    }


def _print(reproduction: Reproduction, record: StudyRecord, report: Path) -> None:
    console = results()
    claims = claims_about(record.claims, reproduction.experiments)
    names = join_words(list(reproduction.experiments))
    console.print(
        f"\n[bold]{names}: {escape(record.title)}[/bold], {one_or_many(len(record.seeds), 'seed')}\n"
    )
    if claims:
        console.print(_table(claims))
    for experiment in reproduction.experiments:
        if not claims_about(claims, [experiment]):
            console.print(f"\n{experiment}, {EXPERIMENTS[experiment].title}: no figures were published.")
            for search in record.of("searches"):
                console.print(escape(search.summary))
    if any(claim.noise is not None and claim.noise.rests_on_noise for claim in claims):
        console.print(
            f"\n[yellow]{_WITHIN}[/]: single runs differ by as much by chance, so that one run per setting, "
            "as was published, could not have shown it."
        )
    console.print(f"Report: [bold]{escape(str(report))}[/bold]", soft_wrap=True)


def _table(claims: Sequence[ClaimRecord]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    table.add_column("claim")
    table.add_column("published", justify="right", no_wrap=True)
    table.add_column("ours (95 % interval)", justify="right", no_wrap=True)
    table.add_column("verdict")
    for position, claim in enumerate(claims):
        if position:
            table.add_row()
        sentence = escape(claim.sentence)
        if len(claim.figures) == 1:
            (figure,) = claim.figures
            table.add_row(sentence, _published(figure), _ours(figure), _verdict(claim))
            continue
        table.add_row(sentence, "", "", _verdict(claim))
        for figure in claim.figures:
            table.add_row(f"  [dim]{escape(figure.label)}[/]", _published(figure), _ours(figure), "")
    return table


def _verdict(claim: ClaimRecord) -> str:
    outcome = f"[{OUTCOME_COLORS[claim.outcome]}]{claim.outcome}[/]"
    noisy = claim.noise is not None and claim.noise.rests_on_noise
    return f"{outcome}, [yellow]{_WITHIN}[/]" if noisy else outcome


def _published(figure: FigureRecord) -> str:
    if figure.published is None:
        return ""
    scale = scale_of(figure.metric)
    return f"{figure.published * scale.factor:.6g}{scale.level_unit}"


def _ours(figure: FigureRecord) -> str:
    scale = scale_of(figure.metric)
    unit = scale.unit if figure.is_change else scale.level_unit
    bounds = (0.0, 1.0) if scale is POINTS and not figure.is_change else None
    written = with_interval(figure.value, figure.low, figure.high, scale, bounds)
    return "diverged" if written is None else f"{written}{unit}"
