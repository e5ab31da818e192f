"""Live progress on standard error, bars on a terminal, plain lines elsewhere; results on standard output."""

import json
import shutil
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)
from rich.table import Column

from foolscope.core.files import write_text
from foolscope.experiments.running.run import EpochEvent, Observer, StageEvent
from foolscope.reports import Document, render_html, render_terminal
from foolscope.verbs.result import Result

__all__ = ["live_progress", "on_interrupt", "print_document", "print_result"]

_LINE_SECONDS = 5.0
_NARROW = 110


def print_document(document: Document, tables: Collection[str] = ()) -> None:
    """Print the opening of a document on standard output, with the tables that are named by their keys.

    In a pipe or a file no line is broken.
    """
    if sys.stdout is None:  # closed by the caller, as in ``foolscope data list >&-``
        return
    text = render_terminal(document, tables=tables, width=_width(), color=sys.stdout.isatty())
    sys.stdout.write(text)  # click would write UTF-8 where the stream says ASCII


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def print_result(
    result: Result, tables: Collection[str], page: Path | None, as_json: Mapping[str, Any] | None
) -> None:
    """Write the report of a result if a page was asked for, and print its opening, or JSON in its place."""
    if page is not None:
        write_text(page, render_html(result.document))
    if as_json is not None:
        click.echo(json.dumps(as_json, indent=1))
        return
    print_document(result.document, tables)
    if page is not None:
        click.echo(f"\nReport: {page}")


@contextmanager
def live_progress() -> Iterator[Observer]:
    """Show progress while the ``with`` block runs."""
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with _bars(console) as bars:
            yield _BarObserver(bars)
    else:
        yield _LineObserver(console)


@contextmanager
def on_interrupt(words: str = "the same command starts from the beginning") -> Iterator[None]:
    """Say after Ctrl-C what becomes of work that is not kept, instead of that it goes on.

    Raises:
        click.Abort: in place of the interrupt, with these words.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise click.Abort(words) from error


def _bars(console: Console) -> Bars:
    """Return bars that leave what they can of a line for the detail, which alone may be cut off."""
    narrow = console.width < _NARROW
    times = [TimeRemainingColumn()] if narrow else [TimeElapsedColumn(), TimeRemainingColumn()]
    return Bars(
        TextColumn("[bold]{task.description}", table_column=Column(width=20, no_wrap=True)),
        BarColumn(bar_width=10 if narrow else 24),
        TextColumn("{task.percentage:>3.0f} %", table_column=Column(width=5, no_wrap=True)),
        *times,
        TextColumn("[dim]{task.fields[detail]}", table_column=Column(ratio=1, no_wrap=True)),
        console=console,
        expand=True,
    )


def _describe(event: EpochEvent | StageEvent) -> tuple[str, str]:
    """Return the stage's name and what is going on in it."""
    if isinstance(event, StageEvent):
        return event.name, event.detail
    models = sorted({recipe.model.name for recipe in event.trials})
    accuracies = [value for value in event.report.validation_accuracies if value is not None]
    losses = [value for value in event.report.running_losses if value is not None]
    count = len(event.trials)
    parts = [", ".join(models) + (f" × {count}" if count > 1 else "")]
    parts.append(f"epoch {event.report.epoch}/{event.report.epochs}")
    if losses:
        parts.append(f"loss {sum(losses) / len(losses):.4g}")
    if accuracies:
        parts.append(f"validation {100 * sum(accuracies) / len(accuracies):.1f} %")
    if len(losses) < count:
        parts.append(f"{count - len(losses)} diverged")
    return "training", ", ".join(parts)


class _BarObserver:
    """One bar per stage."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: EpochEvent | StageEvent) -> None:
        name, detail = _describe(event)
        if isinstance(event, StageEvent) and event.stays:
            self._bars.console.print(detail, soft_wrap=True)
            return
        if name not in self._tasks:
            for task in self._tasks.values():
                self._bars.update(task, completed=1.0, detail="")
            self._tasks[name] = self._bars.add_task(name, total=1.0, detail="")
        self._bars.update(self._tasks[name], completed=event.done_fraction, detail=detail)


class _LineObserver:
    """A line when a stage begins and every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._last = 0.0

    def __call__(self, event: EpochEvent | StageEvent) -> None:
        name, detail = _describe(event)
        now = time.monotonic()
        if isinstance(event, StageEvent) and event.stays:
            self._console.print(detail, soft_wrap=True)
            return
        if name == self._stage and now - self._last < _LINE_SECONDS:
            return
        self._stage, self._last = name, now
        self._console.print(f"{name}: {100 * event.done_fraction:3.0f} %  {detail}".rstrip(), soft_wrap=True)
