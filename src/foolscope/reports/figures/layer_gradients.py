"""Gradient norms by layer, with respect to outputs and to weights, on log scales."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foolscope.inspection.gradients.layer_flow import LayerFlow
from foolscope.reports.figures import canvas
from foolscope.reports.theme import light

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["layer_gradients"]

_NAME_LENGTH = 26


def layer_gradients(layers: Sequence[LayerFlow]) -> str:
    """Draw norms by layer as points, the first layer at the top, on log scales.

    Args:
        layers: from the images to the logits. Norms of 0 are written as such.

    Raises:
        ValueError: there is no layer.
    """
    if not layers:
        raise ValueError("layer_gradients needs at least one layer; got none")
    panels = {
        "‖∂L/∂output‖": [each.output_norm for each in layers],
        "‖∂L/∂w‖ / ‖w‖": [each.relative_norm for each in layers],
    }
    names = [
        name if len(name) <= _NAME_LENGTH else f"…{name[1 - _NAME_LENGTH :]}"
        for name in (canvas.label(each.layer) for each in layers)
    ]
    positions = np.arange(len(layers))
    with canvas.drawing(canvas.WIDTH, 25 * len(layers) + 84) as sheet:
        all_axes = sheet.figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for place, (axes, (title, norms)) in enumerate(zip(all_axes, panels.items(), strict=True)):
            values = canvas.finite(norms)
            style = canvas.line_style(place)
            shown = np.where(values > 0, values, np.nan)
            axes.plot(shown, positions, style.marker, color=style.color, markersize=6.5)
            axes.set_xscale("log")
            _format(axes, shown)
            for position in positions[values == 0]:
                axes.annotate(
                    "0", (0, position), xycoords=("axes fraction", "data"), va="center", color=light("ink")
                )
            axes.set_title(canvas.label(title))
            axes.set_yticks(positions, names)
            axes.set_ylim(len(layers) - 0.4, -0.6)
            axes.grid(visible=True, axis="both")
            axes.tick_params(axis="y", length=0)
    return sheet.svg


def _format(axes: "Axes", values: NDArray[np.float64]) -> None:
    """Show at least two powers of ten, and write them with their exponents."""
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.1, 10.0)
    axes.set_xlim(10 ** np.floor(np.log10(low) - 0.05), 10 ** np.ceil(np.log10(high) + 0.05))
    canvas.scale_by_powers_of_ten(axes.xaxis, 6)
