"""``foolscope attack``: robust accuracy of a stored run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch
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
    robust_accuracy_curve,
)
from foolscope.cli.console import live_progress, percent, results
from foolscope.cli.options import one_of, place_options, report_option, workplace_of
from foolscope.core.errors import RecipeError
from foolscope.core.files import write_text
from foolscope.core.settings import Settings
from foolscope.experiments.execution import Stage
from foolscope.experiments.robustness import curve_gallery, curve_record
from foolscope.experiments.study import as_attack, attack_from
from foolscope.learning.evaluation import to_pixels
from foolscope.reports import render_html
from foolscope.reports.study_report import attack_document

_EXAMPLES = """\b
Examples:
  foolscope attack 09a8be8551                              a run's first letters are enough
  foolscope attack 09a8be8551 --epsilon 0:16/255:2/255     a range of budgets
  foolscope attack 09a8be8551 --norm l2 --epsilon 0.5,1 --attack pgd --steps 100 --restarts 5
"""


@click.command(epilog=_EXAMPLES)
@click.argument("run")
@click.option(
    "--norm", default="linf", show_default=True, metavar="|".join(NORMS), help="How a change is measured."
)
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
    default=("fgsm", "pgd"),
    show_default=True,
    metavar="|".join(ATTACKS),
    help="Which attacks, cheap ones first; repeat for several.",
)
@click.option("--steps", type=click.IntRange(1), help="Steps of iterated attacks.")
@click.option("--restarts", type=click.IntRange(1), help="Random starts of iterated attacks.")
@click.option("--split", default="test", show_default=True, help="Which images: train, validation or test.")
@click.option(
    "--limit", type=click.IntRange(1), default=1000, show_default=True, help="The first so many images."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Root of the attacks' randomness."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@report_option
@place_options
def command(
    run: str,
    norm: str,
    epsilon: str,
    names: Sequence[str],
    steps: int | None,
    restarts: int | None,
    split: str,
    limit: int,
    seed: int,
    as_json: bool,
    page: Path | None,
    store_folder: Path,
    data_dir: Path | None,
    device: str,
) -> None:
    """Attack the model of RUN, a stored run's identity or its first letters, over a range of budgets."""
    workplace = workplace_of(store_folder, data_dir, device)
    one_of(norm, NORMS, "norm")
    budgets = [Threat(norm, each).epsilon for each in parse_epsilons(epsilon)]
    attacks = _attacks(names, steps, restarts)
    trial = workplace.store.find(run)
    if trial.status == "diverged":
        raise RecipeError(f"run {trial.identity} diverged; there is no model to attack")
    part = workplace.dataset(trial.recipe.dataset).split(split)
    images = to_pixels(part.images[:limit], torch.float32)
    model = trial.model(workplace.device)
    with live_progress() as observe:
        curve = robust_accuracy_curve(
            model,
            images,
            part.labels[:limit],
            norm,
            budgets,
            attacks,
            seed=seed,
            progress=lambda budget, left: observe(
                Stage(
                    "attacking", (budgets.index(budget) + 1) / len(budgets), f"ε = {budget:.3g}, {left} left"
                )
            ),
        )
    if page is not None:
        name, classes = trial.recipe.model.name, trial.provenance["dataset"]["classes"]
        gallery, pixels = curve_gallery(name, curve, images, model, classes)
        arrays = {key: value.cpu().numpy() for key, value in pixels.items()}
        record = curve_record(name, curve, attacks)
        write_text(page, render_html(attack_document(record, gallery, arrays, len(classes))))
    if as_json:
        click.echo(json.dumps(_document(trial.identity, curve), indent=1))
    else:
        _print(trial.identity, trial.recipe.model.name, curve)


def _attacks(names: Sequence[str], steps: int | None, restarts: int | None) -> list[Attack]:
    settings: list[Settings] = []
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


def _document(identity: str, curve: RobustAccuracyCurve) -> dict[str, Any]:
    return {
        "run": identity,
        "norm": curve.norm,
        "attacks": list(curve.attacks),
        "images": len(curve.labels),
        "clean_accuracy": curve.clean_accuracy,
        "robust_accuracy": [
            {"epsilon": epsilon, "accuracy": accuracy, "low": low, "high": high}
            for epsilon, accuracy, (low, high) in zip(
                curve.epsilons, curve.robust_accuracies, curve.intervals(), strict=True
            )
        ],
        "forward_count": curve.forward_count,
        "backward_count": curve.backward_count,
        "doubts": list(curve.doubts),
    }


def _print(identity: str, model: str, curve: RobustAccuracyCurve) -> None:
    console = results()
    console.print(
        f"\n[bold]Robust accuracy of {model}[/bold] (run {identity[:8]}), norm {curve.norm}, "
        f"{len(curve.labels)} images"
    )
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
    console.print(
        f"Clean accuracy {percent(curve.clean_accuracy)}; attacks: {', '.join(curve.attacks)}; "
        f"{curve.forward_count:,} forward and {curve.backward_count:,} backward passes of one image."
    )
    for doubt in curve.doubts:
        console.print(f"[yellow]doubt:[/yellow] {escape(doubt)}")
