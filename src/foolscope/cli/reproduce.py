"""``foolscope reproduce``: the published experiments, their figures beside ours, and the verdicts."""

import json

import click

from foolscope.cli.console import live_progress, print_document
from foolscope.cli.options import command_line, json_option, training_options
from foolscope.experiments.reproduction import EXPERIMENTS, Reproduction, claims_about, reproductions
from foolscope.experiments.running.session import Session
from foolscope.reports.reproduction import reproduction_document
from foolscope.verbs.study import StudyResult, study

_EXAMPLES = """\b
Examples:
  foolscope reproduce          what can be reproduced
  foolscope reproduce A3       one experiment: published figures beside ours, and the verdicts
  foolscope reproduce D        all that begin with D
  foolscope reproduce all      everything; nothing is trained twice
"""


@click.command(epilog=_EXAMPLES)
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--seeds", type=click.IntRange(2, 1000), help="Seeds per setting, instead of the study's.")
@json_option
@training_options
def command(
    name: str | None,
    seeds: int | None,
    as_json: bool,
    session: Session,
) -> None:
    """Run the published experiment NAME, or list all of them."""
    if name is None:
        for number, experiment in EXPERIMENTS.items():
            click.echo(f"{number:<4} {experiment.title:<52} {experiment.study}")
        click.echo(f"\nRun one, all of a letter, or all: foolscope reproduce {next(iter(EXPERIMENTS))}")
        return
    answers = []
    for reproduction in reproductions(name):
        with live_progress() as observe:
            result = study(
                reproduction.study, seeds=seeds, session=session, observe=observe, command=command_line()
            )
        if as_json:
            answers.append(_as_json(reproduction, result))
            continue
        print_document(reproduction_document(result.record, reproduction.experiments))
        click.echo(f"\nReport: {result.report}")
    if as_json:
        click.echo(json.dumps(answers, indent=1))


def _as_json(reproduction: Reproduction, result: StudyResult) -> dict[str, object]:
    claims = claims_about(result.record.claims, reproduction.experiments)
    return {
        "experiments": list(reproduction.experiments),
        "study": reproduction.study,
        "seeds": result.record.seeds,
        "claims": [claim.model_dump(mode="json") for claim in claims],
        "report": str(result.report),
    }
