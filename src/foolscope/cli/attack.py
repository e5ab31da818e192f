"""``foolscope attack``: robust accuracy of a stored run, or of any other PyTorch model."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from foolscope.attacks import ATTACKS
from foolscope.cli.console import live_progress, on_interrupt, print_result
from foolscope.cli.options import json_option, report_option, session_options
from foolscope.cli.subject_options import (
    Images,
    image_options,
    model_options,
    norm_option,
    print_doubts,
    subject_of,
)
from foolscope.core.errors import RecipeError, require_known
from foolscope.core.settings import Settings
from foolscope.experiments.parts.attacks.plans import attack_from
from foolscope.experiments.parts.attacks.stored import StoredAttack, attack_subject, curve_summary
from foolscope.experiments.running.run import StageEvent
from foolscope.experiments.running.session import Session
from foolscope.experiments.subjects.subject import Subject
from foolscope.threats import NORMS, Threat, parse_epsilons
from foolscope.verbs.attack import Robustness

_EXAMPLES = """\b
Examples:
  foolscope attack 09a8be8551                              the first characters of a run
  foolscope attack 09a8be8551 --epsilon 0:16/255:2/255     a range of budgets
  foolscope attack 09a8be8551 --norm l2 --epsilon 0.5 --surrogate 51c0ffee --time-budget 600
  foolscope attack 09a8be8551 --attack fgsm --attack pgd --steps 100 --restarts 5

\b
Any other model: a factory in a file or a package, with weights; TorchScript or torch.export
  foolscope attack nets.py:build --weights net.safetensors --dataset cifar10
  foolscope attack nets:resnet --weights net.pt --dataset cifar10 --mean .5,.5,.5 --std .5,.5,.5
  foolscope attack net.pt2 --dataset photos/ --height 64 --width 64 --epsilon 8/255
"""


@click.command(epilog=_EXAMPLES)
@click.argument("model", metavar="RUN|MODEL")
@model_options
@norm_option("Norm of the perturbation.")
@click.option(
    "--epsilon",
    default="0,1/255,2/255,4/255,8/255,16/255",
    show_default=True,
    help="Budgets in pixel units, images in [0, 1]: a list A,B or a range START:STOP:STEP.",
)
@click.option(
    "--attack",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this attack, not the full evaluation; repeat for several, the cheap ones first: "
    f"{', '.join(ATTACKS)}.",
)
@click.option("--steps", type=click.IntRange(1), help="Steps of iterated attacks.")
@click.option("--restarts", type=click.IntRange(1), help="Random starts of iterated attacks.")
@click.option("--surrogate", metavar="RUN|MODEL", help="Also try images that fool this other model.")
@click.option("--8-bit", "eight_bit", is_flag=True, help="Round fooling images to 8 bits per pixel.")
@click.option(
    "--time-budget",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Stop after this time; repeat the command to continue.",
)
@image_options
@click.option(
    "--seed",
    type=click.IntRange(0),
    help="Seed of the attacks.  [default: the run's own seed; 0 for a MODEL]",
)
@json_option
@report_option
@session_options
def command(
    model: str,
    weights: Path | None,
    dataset: str | None,
    height: int | None,
    width: int | None,
    color: str | None,
    mean: str | None,
    std: str | None,
    norm: str,
    epsilon: str,
    names: Sequence[str],
    steps: int | None,
    restarts: int | None,
    surrogate: str | None,
    eight_bit: bool,
    time_budget: float | None,
    split: str,
    limit: int,
    seed: int | None,
    as_json: bool,
    page: Path | None,
    session: Session,
) -> None:
    """Measure the robust accuracy of a model over a range of budgets.

    Without --attack this is the full evaluation: an ensemble of attacks, the cheap ones first, and checks for
    masked gradients. Results are stored and shared with studies and scripts: nothing is attacked twice.

    The model is a stored RUN, by the first characters of its identity, or any other MODEL:
    package.module:factory, file.py:factory, or a TorchScript or torch.export file. It takes images in
    [0, 1] and returns logits.
    """
    require_known(norm, NORMS, "norm")
    budgets = [Threat(norm, each).epsilon for each in parse_epsilons(epsilon)]
    attacks = _attacks(names, steps, restarts)
    evaluation = {"--surrogate": surrogate, "--8-bit": eight_bit or None, "--time-budget": time_budget}
    for option, value in evaluation.items():
        if attacks and value is not None:
            raise RecipeError(f"{option} is for the full evaluation; omit --attack, or {option}")
    images = Images(dataset, {"height": height, "width": width, "color": color}, split, limit)
    subject = subject_of(model, weights, (mean, std), images, session)
    print_doubts(subject)
    other = None if surrogate is None else _surrogate(surrogate, subject, images, session)
    ended = on_interrupt() if attacks else nullcontext()  # a full evaluation goes on where it stopped
    with live_progress() as observe, ended:
        attacked = Robustness(
            attack_subject(
                subject,
                norm,
                budgets,
                attacks,
                store=session.store,
                seed=seed,
                surrogate=other,
                levels=255 if eight_bit else None,
                time_budget_seconds=time_budget,
                progress=lambda stage, done, left: observe(StageEvent(stage, done, f"{left} not fooled")),
            )
        )
        if attacked.attack.was_stored:
            observe(StageEvent("attacking", 1.0, "read from the store"))
    attack = attacked.attack
    tables = ["robust-table-*", "taken-table-*", "masking*"]
    print_result(attacked, tables, page, _as_json(attack) if as_json else None)
    if as_json:
        return
    for remark in subject.remarks:
        click.echo(f"Note: {remark}.")
    if attack.curve.unfinished:
        click.echo("Not finished: run the same command again to continue.")
    else:
        click.echo(f"The result for each image is in {attack.folder}.")


def _surrogate(model: str, subject: Subject, images: Images, session: Session) -> Subject:
    """Return another model with the same images."""
    dataset = images.dataset or str(subject.facts["dataset"])
    return subject_of(model, None, (None, None), replace(images, dataset=dataset), session)


def _attacks(names: Sequence[str], steps: int | None, restarts: int | None) -> list[Settings]:
    """Return the settings of the attacks named, each with the options that it has."""
    given = {name: value for name, value in (("steps", steps), ("restarts", restarts)) if value is not None}
    for name in names:
        require_known(name, ATTACKS, "attack")
    unused = [name for name in given if not any(name in ATTACKS[each].model_fields for each in names)]
    if unused:
        means = f"does not apply to {', '.join(names)}" if names else "is for an attack by name"
        raise RecipeError(f"--{unused[0]} {means}; add --attack pgd, or omit --{unused[0]}")
    return [
        attack_from(
            {"name": name, **{each: given[each] for each in given if each in ATTACKS[name].model_fields}}
        )
        for name in names
    ]


def _as_json(attack: StoredAttack) -> dict[str, Any]:
    return {
        **attack.subject.facts,
        "remarks": list(attack.subject.remarks),
        **curve_summary(attack.curve),
        "results": str(attack.folder),
    }
