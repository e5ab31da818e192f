"""Layers of a model: filters as pictures, histograms of weights, gradient norms."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.experiments.wording.sentences import POINTS, number
from foolscope.inspection.gradients.gradient_flow import TimeFlow
from foolscope.inspection.gradients.layer_flow import LayerFlow
from foolscope.inspection.layers.filters import Filters
from foolscope.inspection.layers.weights import WeightHistogram
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.pictures import Arrays, viewable
from foolscope.reports.phrases import one_or_many

__all__ = [
    "filter_blocks",
    "flow_blocks",
    "flow_sentence",
    "learned_layers",
    "significant",
    "spread",
    "time_sentence",
    "weight_blocks",
    "weights_sentence",
]

_NORMAL = 0.0797  # erf(0.1 / √2)
_NOTABLE = 0.16  # twice as many as of a normal distribution; of a Laplace distribution it is 0.13
_ROW = 8
_PANELS = 12

_Item = TypeVar("_Item")


def spread(items: Sequence[_Item], most: int) -> list[_Item]:
    """Choose at most ``most`` items, evenly spread, with the first and the last.

    Example:
        >>> spread(range(10), 4)
        [0, 3, 6, 9]
    """
    if len(items) <= most:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, most).round().astype(int)]


def significant(value: float | None) -> str | None:
    """Write a norm with three digits.

    Example:
        >>> significant(0.00012345), significant(None)
        ('0.000123', None)
    """
    return None if value is None else f"{value:.3g}".replace("-", "−")


def filter_blocks(record: Filters, arrays: Arrays) -> list[doc.Block]:
    """Show the filters of the first layer."""
    panels = [
        doc.Panel(_signed(arrays[each.key]), f"unit {each.unit}", [f"norm {each.norm:.2f}"])
        for each in record.shown
        if each.key in arrays
    ]
    if not panels:
        return []
    rows = [panels[start : start + _ROW] for start in range(0, len(panels), _ROW)]
    sees = (
        f"a patch of {record.height} × {record.width} pixels"
        if record.kind == "convolution"
        else f"the whole image of {record.height} × {record.width} pixels"
    )
    which = (
        f"all {record.total} units"
        if len(panels) == record.total
        else f"the {len(panels)} of {record.total} units with the largest norm"
    )
    return [
        doc.Gallery(
            rows,
            f"Weights of the first layer, {record.layer}: {which}. Each unit sees {sees}. Mid-gray is zero; "
            "white and black are plus and minus the largest magnitude of the unit.",
            key="filters",
        )
    ]


def weights_sentence(records: Sequence[WeightHistogram]) -> str:
    """Say which fraction of the weights is near zero."""
    shares = [each.near_zero for each in records]
    low, high = records[int(np.argmin(shares))], records[int(np.argmax(shares))]
    least, most = (number(each.near_zero, POINTS) for each in (low, high))
    found = (
        f"{most} % of the weights of {high.layer} are near zero"
        if least == most
        else f"Between {least} % ({low.layer}) and {most} % ({high.layer}) of a layer's weights are near zero"
    )
    said = f"{found}; for a normal distribution it would be {number(_NORMAL, POINTS)} %"
    many = [each.layer for each in records if each.near_zero > _NOTABLE]
    return f"{said}. {_spikes(many)}" if many else f"{said}."


def _spikes(layers: Sequence[str]) -> str:
    if len(layers) > 3:
        return f"{len(layers)} layers have more than twice that, a spike at zero."
    return f"More than twice that, a spike at zero: {', '.join(layers)}."


def weight_blocks(records: Sequence[WeightHistogram]) -> list[doc.Block]:
    """Show the distribution of the weights of each layer."""
    shown = spread(records, _PANELS)
    part = "" if len(shown) == len(records) else f", {len(shown)} of {len(records)} layers"
    return [
        doc.Paragraph(
            (
                weights_sentence(records),
                " A weight is near zero if its magnitude is below a tenth of the layer's root mean square, "
                "so the fraction depends on the shape of the distribution and not on its scale (",
                doc.Reference("weights-figure"),
                ", ",
                doc.Reference("weights"),
                "); for a Laplace distribution it would be 13.2 %.",
            )
        ),
        doc.Figure(
            draw.later(draw.weight_histograms, shown),
            f"Histograms of the weights of each layer{part}, without biases and scales; the zone near zero "
            "is marked.",
            "One histogram for each layer.",
            key="weights-figure",
        ),
        doc.Table(
            [
                "layer",
                doc.Column("weights", align="right", format=","),
                *doc.right("near zero, %", "root mean square", "largest"),
            ],
            [
                [
                    each.layer,
                    each.count,
                    doc.Cell(number(each.near_zero, POINTS), emphasis=each.near_zero > _NOTABLE),
                    significant(each.root_mean_square),
                    significant(each.largest),
                ]
                for each in records
            ],
            "Weights of the layers.",
            key="weights",
        ),
    ]


def learned_layers(records: Sequence[LayerFlow]) -> list[LayerFlow]:
    """Return the images and the layers with weights; other layers repeat their neighbor's gradient."""
    owners = {each.layer for each in records if each.weight_norm is not None}
    owners |= {name.rpartition(".")[0] for name in owners} | {"images"}
    return [each for each in records if each.layer in owners]


def flow_sentence(record: ModelInspection) -> str:
    """Compare the gradient's norm at the images with that at the last layer."""
    norms = [(each.layer, each.output_norm) for each in record.flow if each.output_norm is not None]
    if not norms or not norms[-1][1]:
        return "The loss has no finite, nonzero gradient."
    if len(norms) == 1:
        at_images = significant(norms[0][1])
        return f"The gradient's norm is {at_images} at the images; the model does not expose its layers."
    factor = norms[0][1] / norms[-1][1]
    return (
        f"The gradient's norm is {significant(norms[-1][1])} at {norms[-1][0]}, the last layer, and "
        f"{significant(norms[0][1])} at the images, {significant(factor)} times as large."
    )


def time_sentence(record: TimeFlow) -> str:
    """Compare the gradient's norm at the first time step with that at the last."""
    norms = record.hidden if record.cell is None else record.cell
    state = "hidden state" if record.cell is None else "cell"
    first, last = norms[0], norms[-1]
    if first is None or not last:
        return f"The gradient at the last {state} is zero or not finite."
    return (
        f"Over {len(norms)} time steps, the gradient at the first {state} is {significant(first / last)} "
        "times that at the last."
    )


def flow_blocks(record: ModelInspection) -> list[doc.Block]:
    """Show the gradient by layer, and by time step where there are steps."""
    layers = learned_layers(record.flow)
    blocks: list[doc.Block] = [
        doc.Paragraph(
            (
                flow_sentence(record),
                " Norms with respect to a layer's output are means over ",
                f"{one_or_many(record.flow_images, 'image')}; those with respect to its weights are of the "
                "mean cross-entropy, also relative to the norm of the weights (",
                doc.Reference("flow-figure"),
                ", ",
                doc.Reference("flow"),
                ").",
            )
        ),
        doc.Figure(
            draw.later(draw.layer_gradients, layers),
            "Norm of the loss's gradient with respect to each layer's output, and with respect to its "
            "weights relative to their norm, from the images at the top to the logits; layers without "
            "weights are not shown.",
            "Points on logarithmic axes, one row for each layer.",
            key="flow-figure",
        ),
        doc.Table(
            ["layer", *doc.right("‖∂L/∂output‖", "‖∂L/∂w‖", "‖∂L/∂w‖ / ‖w‖")],
            [
                [
                    each.layer,
                    significant(each.output_norm),
                    significant(each.weight_norm),
                    significant(each.relative_norm),
                ]
                for each in layers
            ],
            "Gradients of the layers.",
            key="flow",
        ),
    ]
    return [*blocks, *(_time_blocks(record.time_flow) if record.time_flow else [])]


def _time_blocks(record: TimeFlow) -> list[doc.Block]:
    lines = {"hidden state": draw.FlowLine(record.hidden, None if record.cell else record.spectral_norm)}
    if record.cell is not None:
        lines["cell"] = draw.FlowLine(record.cell)
    bounded = record.cell is None and record.spectral_norm is not None
    bound = f" Dashed: the bound from the spectral norm {record.spectral_norm:.3g} of w." if bounded else ""
    return [
        doc.Paragraph((time_sentence(record), " ", doc.Reference("time-figure"), " shows each step.")),
        doc.Figure(
            draw.later(draw.gradient_flow, {"By time step": lines}, width=600),
            "Norm of the loss's gradient with respect to the state at each time step, relative to the last."
            + bound,
            "Norms by time step on a logarithmic axis.",
            key="time-figure",
        ),
    ]


def _signed(weights: NDArray[Any]) -> NDArray[Any]:
    """Turn weights into a picture in which zero is mid-gray."""
    shown = viewable(weights)
    largest = float(np.abs(shown).max()) or 1.0
    return np.asarray(0.5 + shown / (2 * largest))
