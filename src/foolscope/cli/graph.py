"""The option that draws the computational graph of a model that is looked into."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from foolscope.core.errors import RecipeError
from foolscope.experiments.graphs import graph_record
from foolscope.experiments.subjects import Subject
from foolscope.experiments.workplace import Workplace
from foolscope.reports.graph_files import svg_path, write_graph

__all__ = ["draw_graph", "graph_option"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def graph_option(function: _Function) -> _Function:
    """Add ``--graph [FILE.svg]``, whose value is a path or None."""
    return click.option(
        "--graph",
        metavar="[FILE.svg]",
        is_flag=False,
        flag_value="graph.svg",
        callback=_path,
        help="Draw its layers, with what goes forward and what flows back; after RUN.  [graph.svg]",
    )(function)


def _path(context: click.Context, option: click.Parameter, value: str | None) -> Path | None:
    """Refuse what is no SVG file, such as a RUN that was written after the option, before any work."""
    if value is None:
        return None
    try:
        return svg_path(value)
    except RecipeError as error:
        raise RecipeError(f"--graph: {error}; RUN goes before it") from error


def draw_graph(subject: Subject, path: Path, workplace: Workplace) -> str:
    """Write the graph of a model on its first images, and return a sentence that says so.

    Args:
        subject: a run, whose own loss is used, or anyone's model, with cross-entropy.
        path: of the SVG file.
        workplace: has the run.

    Raises:
        RecipeError: the model cannot be followed layer by layer.
    """
    run = subject.facts.get("run")
    loss = workplace.store.find(run).recipe.loss if run else None
    record = graph_record(subject.name, subject.model, subject.images, subject.labels, loss=loss)
    write_graph(record, path)
    return f"The computational graph, for {record.images} images, is in {path}."
