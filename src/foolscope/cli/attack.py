"""``foolscope attack``: robust accuracy of a stored run, or of anyone's model."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from foolscope.attacks import (
    ATTACKS,
    NORMS,
    Attack,
    RobustAccuracyCurve,
    Threat,
    parse_epsilons,
)
from foolscope.cli.console import live_progress, percent, results, starting_anew
from foolscope.cli.options import one_of, place_options, report_option, session_of
from foolscope.cli.subject_options import (
    Images,
    image_options,
    model_options,
    norm_option,
    say_doubts,
    seed_option,
    subject_of,
)
from foolscope.core.errors import RecipeError
from foolscope.core.files import write_text
from foolscope.core.settings import Settings
from foolscope.experiments.parts.attacks.kept import Attacked, attack_subject, curve_summary, evaluate_subject
from foolscope.experiments.parts.attacks.plans import as_attack, attack_from
from foolscope.experiments.parts.attacks.robustness import curve_gallery, curve_record
from foolscope.experiments.running.run import Session, StageEvent
from foolscope.experiments.subjects.subject import Subject
from foolscope.reports import render_html
from foolscope.reports.parts.attacks.part import attack_document

_EXAMPLES = """\b
Examples:
  foolscope attack 09a8be8551                              a run's first letters are enough
  foolscope attack 09a8be8551 --epsilon 0:16/255:2/255     a range of budgets
  foolscope attack 09a8be8551 --norm l2 --epsilon 0.5 --surrogate 51c0ffee --time-budget 600
  foolscope attack 09a8be8551 --attack fgsm --attack pgd --steps 100 --restarts 5

\b
Anyone's model: a factory in a file or a package, with weights; or TorchScript or torch.export
  foolscope attack nets.py:build --weights net.safetensors --dataset cifar10
  foolscope attack nets:resnet --weights net.pt --dataset cifar10 --mean .5,.5,.5 --std .5,.5,.5
  foolscope attack net.pt2 --dataset photos/ --height 64 --width 64 --epsilon 8/255
"""


@click.command(epilog=_EXAMPLES)
@click.argument("model", metavar="RUN|MODEL")
@model_options
@norm_option("How a change is measured.")
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
    help="Not the full evaluation, but these attacks, cheap ones first; repeat for several: "
    f"{', '.join(ATTACKS)}.",
)
@click.option("--steps", type=click.IntRange(1), help="Steps of iterated attacks.")
@click.option("--restarts", type=click.IntRange(1), help="Random starts of iterated attacks.")
@click.option("--surrogate", metavar="RUN|MODEL", help="Try images that fool this other model, too.")
@click.option("--8-bit", "eight_bit", is_flag=True, help="Fooling images count as files of 8 bits a pixel.")
@click.option(
    "--time-budget",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="Stop after this long; the same command goes on where it stopped.",
)
@image_options
@seed_option("Root of the attacks' randomness.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@report_option
@place_options
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
    seed: int,
    as_json: bool,
    page: Path | None,
    store_folder: Path,
    data_dir: Path | None,
    device: str,
) -> None:
    """Measure the accuracy that attacks leave a model, over a range of budgets.

    Without --attack everything is tried, in the order that costs least, and the model is searched for signs
    that it hides its gradients.

    The model is a stored RUN, by its identity or its first letters, or a MODEL of anyone's:
    package.module:factory, file.py:factory, or a TorchScript or torch.export file. It takes images in
    [0, 1] and returns logits.
    """
    session = session_of(store_folder, data_dir, device)
    one_of(norm, NORMS, "norm")
    budgets = [Threat(norm, each).epsilon for each in parse_epsilons(epsilon)]
    attacks = _attacks(names, steps, restarts)
    evaluation = {"--surrogate": surrogate, "--8-bit": eight_bit or None, "--time-budget": time_budget}
    for option, value in evaluation.items():
        if attacks and value is not None:
            raise RecipeError(f"{option} is for the full evaluation; leave out --attack, or {option}")
    images = Images(dataset, {"height": height, "width": width, "color": color}, split, limit)
    subject = subject_of(model, weights, (mean, std), images, session)
    say_doubts(subject)
    other = None if surrogate is None else _surrogate(surrogate, subject, images, session)
    with live_progress() as observe:
        if attacks:
            with starting_anew():
                attacked = attack_subject(
                    subject,
                    norm,
                    budgets,
                    attacks,
                    seed=seed,
                    store=session.store,
                    progress=lambda budget, left: observe(
                        StageEvent(
                            "attacking",
                            (budgets.index(budget) + 1) / len(budgets),
                            f"ε = {budget:.3g}, {left} left",
                        )
                    ),
                )
        else:
            attacked = evaluate_subject(
                subject,
                norm,
                budgets,
                seed=seed,
                store=session.store,
                surrogate=other,
                levels=255 if eight_bit else None,
                time_budget_seconds=time_budget,
                progress=lambda name, done, left: observe(StageEvent(name, done, f"{left} hold")),
            )
        if attacked.was_stored:
            observe(StageEvent("attacking", 1.0, "was done before; read from the store"))
    if page is not None:
        _write_page(page, subject, attacked.curve, attacks)
    if as_json:
        click.echo(json.dumps(_document(subject, attacked), indent=1))
    else:
        _print(subject, attacked)


def _surrogate(model: str, subject: Subject, images: Images, session: Session) -> Subject:
    """Return another model that takes the same images."""
    dataset = images.dataset or str(subject.facts["dataset"])
    other = subject_of(model, None, (None, None), replace(images, dataset=dataset), session)
    if other.identity == subject.identity:
        raise RecipeError(f"the surrogate {model} is the model itself; name another one")
    return other


def _write_page(page: Path, subject: Subject, curve: RobustAccuracyCurve, attacks: Sequence[Attack]) -> None:
    gallery, pixels = curve_gallery(subject.name, curve, subject.images, subject.model, subject.classes)
    arrays = {key: value.cpu().numpy() for key, value in pixels.items()}
    record = curve_record(subject.name, curve, attacks, subject.classes, subject.facts)
    write_text(page, render_html(attack_document(record, gallery, arrays, len(subject.classes))))


def _attacks(names: Sequence[str], steps: int | None, restarts: int | None) -> list[Attack]:
    settings: list[Settings] = []
    if not names:
        for option, value in (("--steps", steps), ("--restarts", restarts)):
            if value is not None:
                raise RecipeError(
                    f"{option} is for an attack; name it with --attack pgd, or leave {option} out"
                )
        return []
    given = {name: value for name, value in (("steps", steps), ("restarts", restarts)) if value is not None}
    for name in names:
        one_of(name, ATTACKS, "attack")
        accepted = {field: value for field, value in given.items() if field in ATTACKS[name].model_fields}
        settings.append(attack_from({"name": name, **accepted}))
    unused = [field for field in given if not any(field in type(each).model_fields for each in settings)]
    if unused:
        raise RecipeError(
            f"--{unused[0]} means nothing to {', '.join(names)}; add --attack pgd or leave it out"
        )
    return [as_attack(each) for each in settings]


def _document(subject: Subject, attacked: Attacked) -> dict[str, Any]:
    return {
        **subject.facts,
        "remarks": list(subject.remarks),
        **curve_summary(attacked.curve),
        "results": str(attacked.folder),
    }


def _print(subject: Subject, attacked: Attacked) -> None:
    console, curve = results(), attacked.curve
    run = subject.facts.get("run")
    console.print(
        f"\n[bold]Robust accuracy of {escape(subject.name)}[/bold]{f' (run {run[:8]})' if run else ''}, "
        f"norm {curve.norm}, {len(curve.labels)} images of {escape(str(subject.facts['dataset']))}"
    )
    for doubt in curve.doubts:
        console.print(f"[yellow]doubt:[/yellow] {escape(doubt)}")
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for title in ("ε", "ε · 255", "robust accuracy", "95 % interval"):
        table.add_column(title, justify="right", no_wrap=True)
    for epsilon, accuracy, (low, high) in zip(
        curve.epsilons, curve.robust_accuracies, curve.intervals(), strict=True
    ):
        table.add_row(
            f"{epsilon:.4g}", f"{epsilon * 255:.4g}", percent(accuracy), f"{percent(low)} to {percent(high)}"
        )
    console.print(table)
    largest = curve.epsilons[-1]
    taken = [
        f"{name} {count}" for name, count in zip(curve.attacks, curve.taken(largest), strict=True) if count
    ]
    console.print(
        f"Clean accuracy {percent(curve.clean_accuracy)}. At ε = {largest:.4g} fell to "
        f"{', '.join(taken) if taken else 'no attack: none'}."
    )
    console.print(
        f"{curve.forward_count:,} forward and {curve.backward_count:,} backward passes of one image."
    )
    if curve.checks:
        fired = [check.name for check in curve.checks if check.fired]
        console.print(
            f"{len(curve.checks)} checks for hidden gradients: "
            + (f"[yellow]seen: {escape(', '.join(fired))}[/yellow]." if fired else "nothing seen.")
        )
    for remark in subject.remarks:
        console.print(f"Note: {escape(remark)}.")
    if curve.unfinished:
        console.print("Not finished: the same command goes on where it stopped.")
    else:
        console.print(f"Every image's result is in {escape(str(attacked.folder))}.")
