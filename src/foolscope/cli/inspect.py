"""``foolscope inspect``: what a model answers, what its layers are like, and what lower ranks preserve."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from foolscope.cli.console import live_progress, on_interrupt, print_result
from foolscope.cli.options import json_option, report_option, session_options
from foolscope.cli.subject_options import (
    Images,
    image_options,
    model_options,
    norm_option,
    print_doubts,
    seed_option,
    subject_of,
)
from foolscope.core.errors import RecipeError, require_known
from foolscope.experiments.parts.graphs import graph_record
from foolscope.experiments.parts.inspections.methods import methods_from, settings_of_methods
from foolscope.experiments.parts.inspections.model import ATTRIBUTING, inspect_subject
from foolscope.experiments.running.run import StageEvent
from foolscope.experiments.running.session import Session
from foolscope.experiments.subjects.subject import Subject
from foolscope.experiments.wording.sentences import capitalized
from foolscope.inspection.attribution import ATTRIBUTIONS, Attribution
from foolscope.inspection.graph.computational_graph import ModelGraph
from foolscope.reports.graph_files import svg_path, write_graph
from foolscope.threats import NORMS, Threat
from foolscope.verbs.inspect import Inspection

_EXAMPLES = """\b
Examples:
  foolscope inspect 09a8be8551                             all that is quick
  foolscope inspect 09a8be8551 --report page.html          the same with figures and pictures
  foolscope inspect 09a8be8551 --calibration --confusion   these parts only
  foolscope inspect 09a8be8551 --compress 1,0.5,0.2,0.1    accuracy at lower ranks
  foolscope inspect 09a8be8551 --attribution-sanity        do the maps depend on the weights?
  foolscope inspect 09a8be8551 --method occlusion --patch 4 --report page.html
  foolscope inspect 09a8be8551 --graph net.svg             its computational graph as a picture
  foolscope inspect nets.py:build --weights net.safetensors --dataset cifar10
"""

_PARTS = {
    "confusion": "The confusion matrix.",
    "calibration": "Whether its confidence matches its accuracy.",
    "modes": "How the logits of an image change in training mode, and with the rest of the batch.",
    "input-gradients": "Whether the gradient with respect to the pixels follows edges; pictures in --report.",
    "attributions": "Maps of the pixels that a logit depends on, by several methods; pictures in --report.",
    "attribution-sanity": "Whether these maps change where weights are randomized.",
    "filters": "The first layer's weights as pictures, in the report.",
    "histograms": "Histogram of each layer's weights, and the fraction near zero.",
    "gradient-flow": "The gradient at each layer, and at each time step of a recurrent model.",
    "spectrum": "Singular values and effective rank of each layer.",
    "tree": "A prototype tree's patches, and the paths of images through it; pictures in --report.",
}
_TABLES = ("mistakes-*", "weights", "flow", "ranks", "compression", "attributions", "attribution-sanity")


def _graph_path(context: click.Context, option: click.Parameter, value: str | None) -> Path | None:
    """Refuse what is no SVG file, such as a RUN that was written after the option, before any work."""
    if value is None:
        return None
    try:
        return svg_path(value)
    except RecipeError as error:
        raise RecipeError(f"--graph: {error}; RUN goes before it") from error


def _graph_of(subject: Subject, session: Session) -> ModelGraph:
    """Follow the first images of a subject: with a run's own loss, else with cross-entropy."""
    run = subject.facts.get("run")
    loss = session.store.find(run).recipe.loss if run else None
    return graph_record(subject.name, subject.model, subject.images, subject.labels, loss=loss)


def _part_options(function: Callable[..., None]) -> Callable[..., None]:
    for name, words in reversed(_PARTS.items()):
        function = click.option(f"--{name}", is_flag=True, help=words)(function)
    return function


def _method_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add one option for each setting of an attribution method."""
    for setting, method in reversed(settings_of_methods().items()):
        field = ATTRIBUTIONS[method].model_fields[setting]
        default = "" if field.default is None else f"  [default: {field.default:g}]"
        function = click.option(
            f"--{setting.replace('_', '-')}",
            setting,
            metavar="NAME" if setting == "layer" else "X",
            help=f"{capitalized(ATTRIBUTIONS[method].title)}: {field.description}.{default}",
        )(function)
    return function


def _methods(names: Sequence[str], given: Mapping[str, Any]) -> list[Attribution] | None:
    """Return the methods named, each with the options that it has; None if neither is given."""
    owners = settings_of_methods()
    for setting in given:
        if names and owners[setting] not in names:
            flag = f"--{setting.replace('_', '-')}"
            raise RecipeError(
                f"{flag} is for {owners[setting]}; add --method {owners[setting]}, or omit {flag}"
            )
    chosen = names or tuple(dict.fromkeys(owners[setting] for setting in given))
    if not chosen:
        return None
    return methods_from(
        [
            {
                "name": name,
                **{setting: value for setting, value in given.items() if owners.get(setting) == name},
            }
            for name in chosen
        ]
    )


@click.command(epilog=_EXAMPLES)
@click.argument("model", metavar="RUN|MODEL")
@_part_options
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help=f"Only this attribution method; repeat for several: {', '.join(ATTRIBUTIONS)}.",
)
@_method_options
@click.option(
    "--compress",
    metavar="X[,X]",
    help="Replace each layer by its best approximation at these fractions of the full rank, as in 0.5,0.25.",
)
@click.option(
    "--graph",
    metavar="[FILE.svg]",
    is_flag=False,
    flag_value="graph.svg",
    callback=_graph_path,
    help="Draw its computational graph into a file; write this after RUN.  [file: graph.svg]",
)
@norm_option("Norm of the attack on compressed models.")
@click.option(
    "--epsilon", default="2/255", show_default=True, help="Budget of that attack, pixels in [0, 1]."
)
@model_options
@image_options
@seed_option("Seed of all randomness.")
@json_option
@report_option
@session_options
def command(
    model: str,
    methods: tuple[str, ...],
    compress: str | None,
    graph: Path | None,
    norm: str,
    epsilon: str,
    weights: Path | None,
    dataset: str | None,
    height: int | None,
    width: int | None,
    color: str | None,
    mean: str | None,
    std: str | None,
    split: str,
    limit: int,
    seed: int,
    as_json: bool,
    page: Path | None,
    session: Session,
    **others: Any,
) -> None:
    """Inspect a model: its mistakes and confidence, the pixels that it uses, its weights and spectra.

    All parts but the sanity of attributions are shown unless some are named. The model is a stored RUN, by
    the first characters of its identity, or any other MODEL: package.module:factory, file.py:factory, or a
    TorchScript or torch.export file. It takes images in [0, 1] and returns logits.
    """
    require_known(norm, NORMS, "norm")
    threat = Threat(norm, epsilon)
    fractions = [] if compress is None else _fractions(compress)
    named = [name for name in _PARTS if others[name.replace("-", "_")]]
    given = {name: others[name] for name in settings_of_methods() if others[name] is not None}
    chosen = _methods(methods, given)
    if chosen is not None and not ATTRIBUTING.intersection(named):
        named.append("attributions")
    images = Images(dataset, {"height": height, "width": width, "color": color}, split, limit)
    subject = subject_of(model, weights, (mean, std), images, session)
    print_doubts(subject)
    followed = None if graph is None else _graph_of(subject, session)
    with on_interrupt(), live_progress() as observe:
        record, arrays = inspect_subject(
            subject,
            named if named or fractions or graph else None,
            fractions,
            threat,
            chosen,
            seed=seed,
            tell=lambda done, detail: observe(StageEvent("inspecting", done, detail)),
        )
    if graph is not None and followed is not None:
        write_graph(followed, graph)
    inspection = Inspection(record, arrays)
    print_result(inspection, _TABLES, page, record.model_dump(mode="json") if as_json else None)
    if as_json:
        return
    if page is None and (record.filters or record.input_gradients or record.attributions):
        click.echo(
            "\nPictures of filters, gradients and attributions are in the page that --report FILE.html "
            "writes."
        )
    if followed is not None:
        click.echo(f"The computational graph, for {followed.images} images, is in {graph}.")


def _fractions(text: str) -> list[float]:
    fractions = []
    for part in text.split(","):
        try:
            value = float(part)
        except ValueError as error:
            raise RecipeError(f"--compress takes numbers such as 0.5,0.25; got {part!r}") from error
        if not 0 < value <= 1:
            raise RecipeError(
                f"--compress takes fractions of the full rank, above 0 and at most 1; got {part}"
            )
        fractions.append(value)
    return list(dict.fromkeys(fractions))
