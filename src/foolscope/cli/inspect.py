"""``foolscope inspect``: a model's answers, its layers, and its accuracy at lower ranks."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from foolscope.cli.console import live_progress, percent, results, starting_anew
from foolscope.cli.graph import graph_of, graph_option
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
from foolscope.experiments.parts.inspections.model import inspect_subject
from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.experiments.running.run import StageEvent
from foolscope.reports import render_html, write_graph
from foolscope.reports.parts.inspections.inspection import inspection_document, inspection_sentences
from foolscope.reports.parts.inspections.layers import learned_layers, significant, spread
from foolscope.threats import NORMS, Threat

_EXAMPLES = """\b
Examples:
  foolscope inspect 09a8be8551                             everything but --compress, --graph
  foolscope inspect 09a8be8551 --report page.html          the same with figures and pictures
  foolscope inspect 09a8be8551 --calibration --confusion   these parts alone
  foolscope inspect 09a8be8551 --compress 1,0.5,0.2,0.1    accuracy at lower ranks
  foolscope inspect 09a8be8551 --graph net.svg             its computational graph as a picture
  foolscope inspect nets.py:build --weights net.safetensors --dataset cifar10
"""

_PARTS = {
    "confusion": "Predicted classes of the images of each class.",
    "calibration": "Confidence against accuracy.",
    "input-gradients": "Whether the gradient with respect to pixels traces edges; pictures in the report.",
    "filters": "The first layer's weights as pictures, in the report.",
    "histograms": "Histogram of each layer's weights, and the fraction near zero.",
    "gradient-flow": "The gradient at each layer, and at each time step of a recurrent model.",
    "spectrum": "Singular values and effective rank of each layer.",
}
_ROWS = 24


def _part_options(function: Callable[..., None]) -> Callable[..., None]:
    for name, words in reversed(_PARTS.items()):
        function = click.option(f"--{name}", is_flag=True, help=words)(function)
    return function


@click.command(epilog=_EXAMPLES)
@click.argument("model", metavar="RUN|MODEL")
@_part_options
@click.option(
    "--compress",
    metavar="X[,X]",
    help="Replace each layer by its best factors at these fractions of its full rank, such as 0.5,0.25.",
)
@graph_option
@norm_option("Of the attack on compressed models.")
@click.option("--epsilon", default="2/255", show_default=True, help="Its budget, pixels in [0, 1].")
@model_options
@image_options
@seed_option("Root of all randomness.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@report_option
@place_options
def command(
    model: str,
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
    store_folder: Path,
    data_dir: Path | None,
    device: str,
    **flags: bool,
) -> None:
    """Inspect a model: its mistakes and confidence, its weights, its gradients, its spectra.

    All parts are shown unless some are named. The model is a stored RUN, by its identity or its first
    letters, or a MODEL of anyone's: package.module:factory, file.py:factory, or a TorchScript or
    torch.export file. It takes images in [0, 1] and returns logits.
    """
    session = session_of(store_folder, data_dir, device)
    one_of(norm, NORMS, "norm")
    threat = Threat(norm, epsilon)
    fractions = [] if compress is None else _fractions(compress)
    named = [name for name in _PARTS if flags[name.replace("-", "_")]]
    images = Images(dataset, {"height": height, "width": width, "color": color}, split, limit)
    subject = subject_of(model, weights, (mean, std), images, session)
    say_doubts(subject)
    followed = None if graph is None else graph_of(subject, session)
    with starting_anew(), live_progress() as observe:
        record, arrays = inspect_subject(
            subject,
            named if named or fractions or graph else None,
            fractions,
            threat,
            seed=seed,
            tell=lambda done, detail: observe(StageEvent("inspecting", done, detail)),
        )
    if graph is not None and followed is not None:
        write_graph(followed, graph)
    if page is not None:
        write_text(page, render_html(inspection_document(record, arrays)))
    if as_json:
        click.echo(json.dumps(record.model_dump(mode="json"), indent=1))
    else:
        _print(record, page, record.doubts[len(subject.doubts) :])
        if followed is not None:
            words = f"The computational graph, for {followed.images} images, is in {graph}."
            results().print(escape(words))


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


def _print(record: ModelInspection, page: Path | None, doubts: Sequence[str]) -> None:
    console = results()
    run = record.facts.get("run")
    console.print(f"\n[bold]{escape(record.name)}[/bold]{f' (run {run[:8]})' if run else ''}")
    for doubt in doubts:
        console.print(f"[yellow]doubt:[/yellow] {escape(doubt)}")
    for sentence in (*inspection_sentences(record), *record.notes):
        console.print(escape(sentence))
    for show in _TABLES:
        show(record, console)
    if page is None and (record.filters is not None or record.input_gradients is not None):
        console.print("Pictures of filters and gradients are in the page that --report FILE.html writes.")


def _print_mistakes(record: ModelInspection, console: Console) -> None:
    if record.confusion is None:
        return
    names, counts = record.confusion.classes, record.confusion.counts
    pairs = sorted(
        ((counts[true][taken], true, taken) for true in range(len(names)) for taken in range(len(names))),
        key=lambda pair: (-pair[0], *pair[1:]),
    )
    worst = [pair for pair in pairs if pair[0] and pair[1] != pair[2]][:_MISTAKES]
    if worst:
        table = _table("true class", "predicted", "images", "of the class")
        table.columns[1].justify = "left"
        for count, true, taken in worst:
            share = percent(count / sum(counts[true]))
            table.add_row(escape(names[true]), escape(names[taken]), str(count), share)
        console.print("", table)


def _print_layers(record: ModelInspection, console: Console) -> None:
    """Print weights and gradients of each layer in one table."""
    weights = {each.layer: each for each in record.weights}
    flows = {each.layer: each for each in learned_layers(record.flow)}
    names = list(flows) + [name for name in weights if name not in flows]
    if not names:
        return
    titles = ["layer"] + ["weights", "near zero"] * bool(weights)
    table = _table(*titles, *["‖∂L/∂output‖", "‖∂L/∂w‖ / ‖w‖"] * bool(flows))
    shown = spread(names, _ROWS)
    for name in shown:
        row, weight, flow = [escape(name)], weights.get(name), flows.get(name)
        if weights:
            row += [f"{weight.count:,}", percent(weight.near_zero)] if weight else ["", ""]
        if flows:
            row += [
                (flow and significant(flow.output_norm)) or "",
                (flow and significant(flow.relative_norm)) or "",
            ]
        table.add_row(*row)
    console.print("", table)
    _print_skipped(len(shown), len(names), console)


def _print_spectra(record: ModelInspection, console: Console) -> None:
    if not record.spectra:
        return
    table = _table("layer", "weights", "rank", "effective rank", "rank of 99 % energy", "largest")
    shown = spread(record.spectra, _ROWS)
    for each in shown:
        shape = f"{each.rows} × {each.columns}"
        rank = str(len(each.singular_values))
        largest = f"{each.singular_values[0]:.3g}"
        table.add_row(
            escape(each.layer), shape, rank, f"{each.effective_rank:.1f}", str(each.energy_rank), largest
        )
    console.print("", table)
    _print_skipped(len(shown), len(record.spectra), console)


def _print_compression(record: ModelInspection, console: Console) -> None:
    if not record.compression:
        return
    under = f"under PGD, ε = {record.epsilon:.3g}"
    table = _table("fraction of the rank", "parameters", "accuracy", under, "ms per batch")
    for row in record.compression:
        table.add_row(
            f"{100 * row.fraction:g} %",
            f"{row.parameters:,}",
            percent(row.accuracy),
            percent(row.robust_accuracy),
            f"{row.milliseconds:.2f}",
        )
    console.print("", table)
    console.print(f"Accuracies on the first {record.images:,} images, norm {record.norm}.")


_TABLES = (_print_mistakes, _print_layers, _print_spectra, _print_compression)
_MISTAKES = 3


def _print_skipped(shown: int, total: int, console: Console) -> None:
    if shown < total:
        console.print(f"{shown} of {total} layers; all are in --json and in --report.")


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for place, title in enumerate(titles):
        table.add_column(escape(title), justify="left" if place == 0 else "right", no_wrap=True)
    return table
