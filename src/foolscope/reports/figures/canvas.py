"""From matplotlib's objects to an SVG that follows the page: variables for colors, own ids, no dates."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from foolscope.reports.figures.svg import themed_svg
from foolscope.reports.text import one_line_text
from foolscope.reports.theme import SERIES, light

if TYPE_CHECKING:
    import matplotlib.figure
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = [
    "NICE_STEPS",
    "WIDTH",
    "Band",
    "LineStyle",
    "Numbers",
    "Sheet",
    "add_legend",
    "annotate",
    "draw_level",
    "drawing",
    "finite",
    "label",
    "line_style",
    "list_rows",
    "power_of_ten",
    "scale_by_powers_of_ten",
]

Numbers = Sequence[Any] | NDArray[Any]
"""Anything that NumPy takes for an array of numbers; None is a gap."""

WIDTH = 840
"""The full width of a report's column, in CSS pixels; figures are drawn at it and shrink with the page."""

NICE_STEPS = (1, 2, 2.5, 5, 10)
"""The distances between ticks, times a power of ten."""

_DIGITS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1.2, 2)))
_LEGEND_LETTER = 6.9  # CSS pixels, a generous mean
_LEGEND_MARK = 50  # the line with its marker, and the space to the next
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


class Band(NamedTuple):
    """A curve with its uncertainty: a mean, and optionally the ends of an interval, at each point."""

    mean: Numbers
    low: Numbers | None = None
    high: Numbers | None = None


class LineStyle(NamedTuple):
    """How one series looks; color, dash and marker all differ, so that no color needs to be seen."""

    color: str
    dash: Any
    marker: str


@dataclass
class Sheet:
    """A figure being drawn; ``svg`` is filled when the ``with`` block of :func:`drawing` ends."""

    figure: "matplotlib.figure.Figure"
    svg: str = ""


@contextmanager
def drawing(width: float, height: float) -> Iterator[Sheet]:
    """Open a figure of a size in CSS pixels, in the report's style whatever matplotlib's settings are."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the browser has other fonts
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(cast(Any, _style()))
        spacing = ConstrainedLayoutEngine(w_pad=3 / 72, h_pad=7 / 72, wspace=0.06, hspace=0.06)
        sheet = Sheet(Figure(figsize=(width / 72, height / 72), dpi=72, layout=spacing))
        canvas = FigureCanvasSVG(sheet.figure)
        yield sheet
        stream = io.BytesIO()
        cast(Any, canvas).print_svg(stream, metadata={"Date": None, "Creator": None})
        sheet.svg = themed_svg(stream.getvalue().decode())


def label(text: str) -> str:
    """Make any text a figure label: one line, no control characters, never empty."""
    return one_line_text(text) or " "


def finite(values: Numbers) -> NDArray[np.float64]:
    """Return values as floats, what is not finite as not-a-number, which leaves a gap."""
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def power_of_ten(value: float) -> str:
    """Write a power of ten as 10⁻³, except near 1."""
    exponent = round(np.log10(value))
    return f"{value:g}" if -1 <= exponent <= 2 else "10" + str(exponent).translate(_DIGITS)


def line_style(position: int) -> LineStyle:
    """Return the line style of a series by its position."""
    return LineStyle(
        light(SERIES[position % len(SERIES)]),
        _DASHES[position % len(_DASHES)],
        _MARKERS[position % len(_MARKERS)],
    )


def add_legend(sheet: Sheet, handles: Sequence["Artist"], names: Sequence[str]) -> None:
    """Put one legend above all panels, in rows that are read from left to right."""
    words = [label(name) for name in names]
    room = sheet.figure.get_figwidth() * 72
    columns = len(words)
    while columns > 1 and _legend_width(words, columns) > room:
        columns -= 1
    rows = -(-len(words) // columns)
    order = [
        row * columns + column for column in range(columns) for row in range(rows)
    ]  # matplotlib fills columns
    order = [position for position in order if position < len(words)]
    sheet.figure.legend(
        [handles[position] for position in order],
        [words[position] for position in order],
        loc="outside upper left",
        ncols=columns,
        borderaxespad=0,
    )


def annotate(
    axes: "Axes",
    words: str,
    place: tuple[float, float],
    within: Any,
    shift: tuple[float, float],
    **style: Any,
) -> None:
    """Write small words at a place: ``within`` names its coordinates, ``shift`` moves it by CSS pixels."""
    look: dict[str, Any] = {"color": light("muted"), "fontsize": 11, **style}
    axes.annotate(words, place, xycoords=within, xytext=shift, textcoords="offset points", **look)


def draw_level(
    axes: "Axes", words: str, height: float, shift: tuple[float, float], *, at: float = 0, **alignment: str
) -> None:
    """Draw a dashed horizontal line, with words at a fraction of its length."""
    axes.axhline(height, color=light("muted"), linewidth=1, linestyle=(0, (2, 2)), zorder=0)
    annotate(axes, label(words), (at, height), ("axes fraction", "data"), shift, **alignment)


def list_rows(axes: "Axes", names: Sequence[str], top: float) -> None:
    """Name the rows of a panel from top to bottom, and draw grid lines across them only."""
    axes.set_yticks(range(len(names)), [label(name) for name in names])
    axes.set_ylim(len(names) - 0.4, top)
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0)


def scale_by_powers_of_ten(axis: "Axis", ticks: int) -> None:
    """Put at most so many ticks on a logarithmic axis, written as powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(numticks=ticks))
    axis.set_major_formatter(FuncFormatter(lambda value, _: power_of_ten(value)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", length=0)


def _legend_width(words: Sequence[str], columns: int) -> float:
    """Estimate a legend's width in CSS pixels; each column is as wide as its longest words."""
    return sum(
        max(map(len, words[column::columns])) * _LEGEND_LETTER + _LEGEND_MARK for column in range(columns)
    )


def _style() -> dict[str, Any]:
    ink, muted, rule, faint = light("ink"), light("muted"), light("rule"), light("faint")
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": "foolscope",
        "text.parse_math": False,
        "font.family": "DejaVu Sans",
        "font.size": 12.5,
        "text.color": ink,
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "axes.facecolor": "none",
        "axes.edgecolor": rule,
        "axes.linewidth": 1.0,
        "axes.labelcolor": muted,
        "axes.labelsize": 12.5,
        "axes.labelpad": 6,
        "axes.titlelocation": "left",
        "axes.titlesize": 13,
        "axes.titleweight": "bold",
        "axes.titlepad": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.formatter.useoffset": False,
        "grid.color": faint,
        "grid.linewidth": 1.0,
        "xtick.color": rule,
        "xtick.labelcolor": muted,
        "xtick.labelsize": 12,
        "ytick.color": rule,
        "ytick.labelcolor": muted,
        "ytick.labelsize": 12,
        "ytick.major.size": 0,
        "xtick.major.size": 4,
        "lines.linewidth": 1.9,
        "lines.markersize": 5,
        "legend.frameon": False,
        "legend.fontsize": 12,
        "legend.handlelength": 1.9,
        "legend.columnspacing": 1.4,
        "legend.borderpad": 0.2,
    }
