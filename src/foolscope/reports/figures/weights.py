"""Histograms of the weights of each layer, with the zone near zero marked."""

from collections.abc import Sequence

import numpy as np

from foolscope.inspection.layers.weights import WeightHistogram
from foolscope.reports.figures import canvas
from foolscope.reports.theme import light

__all__ = ["weight_histograms"]


def weight_histograms(layers: Sequence[WeightHistogram]) -> str:
    """Draw one histogram per layer, at most three side by side.

    Raises:
        ValueError: there is no layer.
    """
    if not layers:
        raise ValueError("weight_histograms needs at least one layer; got none")
    columns = min(3, len(layers))
    rows = -(-len(layers) // columns)
    with canvas.drawing(canvas.WIDTH, rows * 200) as sheet:
        grid = sheet.figure.subplots(rows, columns, squeeze=False)
        for axes in list(grid.flat)[len(layers) :]:
            axes.remove()
        for axes, layer in zip(grid.flat, layers, strict=False):
            counts, largest = canvas.finite(layer.counts), layer.largest or 1.0
            shares = 100 * counts / max(1.0, float(counts.sum()))
            edges = np.linspace(-largest, largest, counts.size + 1)
            axes.axvspan(-layer.zone, layer.zone, color=light("series-2"), alpha=0.22, linewidth=0)
            axes.stairs(shares, edges, fill=True, color=light("series-1"), alpha=0.32, linewidth=0)
            axes.stairs(shares, edges, color=light("series-1"), linewidth=1.3)
            axes.set_xlim(-1.03 * largest, 1.03 * largest)
            axes.set_ylim(0, 1.06 * float(shares.max()) or 1.0)
            axes.set_title(canvas.label(layer.layer), fontsize=12)
            axes.locator_params(axis="x", nbins=5, steps=canvas.NICE_STEPS)
            axes.locator_params(axis="y", nbins=4, steps=canvas.NICE_STEPS)
        for axes in grid[:, 0]:
            axes.set_ylabel(canvas.label("weights, %"))
        for axes in grid[-1, :]:
            axes.set_xlabel(canvas.label("weight"))
    return sheet.svg
