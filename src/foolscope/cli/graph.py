"""The option that draws the computational graph of an inspected model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from foolscope.core.errors import RecipeError
from foolscope.experiments.parts.graphs import graph_record
from foolscope.experiments.running.session import Session
from foolscope.experiments.subjects.subject import Subject
from foolscope.inspection.graph.computational_graph import ModelGraph
from foolscope.reports.graph_files import svg_path

__all__ = ["graph_of", "graph_option"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def graph_option(function: _Function) -> _Function:
    """Add ``--graph [FILE.svg]``, whose value is a path or None."""
    return click.option(
        "--graph",
        metavar="[FILE.svg]",
        is_flag=False,
        flag_value="graph.svg",
        callback=_path,
        help="Draw its computational graph into a file; write this after RUN.  [file: graph.svg]",
    )(function)


def _path(context: click.Context, option: click.Parameter, value: str | None) -> Path | None:
    """Refuse what is no SVG file, such as a RUN that was written after the option, before any work."""
    if value is None:
        return None
    try:
        return svg_path(value)
    except RecipeError as error:
        raise RecipeError(f"--graph: {error}; RUN goes before it") from error


def graph_of(subject: Subject, session: Session) -> ModelGraph:
    """Follow the first images of a subject through its model.

    Args:
        subject: a run, whose own loss is used, or anyone's model, with cross-entropy.
        session: has the run.

    Raises:
        RecipeError: the model cannot be followed layer by layer.
    """
    run = subject.facts.get("run")
    loss = session.store.find(run).recipe.loss if run else None
    return graph_record(subject.name, subject.model, subject.images, subject.labels, loss=loss)
