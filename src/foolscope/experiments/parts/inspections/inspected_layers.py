"""What the layers of a model are like: filters, weights, the gradients that reach them, their spectra."""

from typing import Any

from torch import nn

from foolscope.core.modes import frozen
from foolscope.experiments.parts.inspections.look import Look, or_none
from foolscope.experiments.parts.inspections.records import (
    FiltersRecord,
    LayerFlowRecord,
    SpectrumRecord,
    TimeFlowRecord,
    UnitRecord,
    WeightsRecord,
)
from foolscope.inspection.filters import first_layer_filters
from foolscope.inspection.gradient_flow import flow_through_time
from foolscope.inspection.layer_flow import FlowByLayer, flow_by_layer
from foolscope.inspection.spectrum import spectra
from foolscope.inspection.weights import weight_histograms
from foolscope.models.recurrent_layers import LSTMLayer, RNNLayer

__all__ = ["filters_record", "flow_records", "spectrum_records", "weights_records"]

_FLOW_IMAGES = 200
_FILTERS = 24


def filters_record(look: Look) -> dict[str, Any]:
    """Keep the strongest filters of the first layer."""
    model = look.subject.model
    with frozen(model):
        found = first_layer_filters(model, look.subject.images[0])
    if found is None:
        look.notes.append(
            "The first layer's weights are no pictures: it does not multiply patches or images."
        )
        return {}
    norms = found.weights.double().flatten(1).norm(dim=1)
    strongest = norms.argsort(descending=True, stable=True)[:_FILTERS].sort().values.tolist()
    units = []
    for unit in strongest:
        key = f"filter-{unit}"
        look.arrays[key] = found.weights[unit].float().cpu().numpy()
        units.append(UnitRecord(unit=unit, key=key, norm=float(norms[unit])))
    height, width = found.weights.shape[2:]
    return {
        "filters": FiltersRecord(
            layer=found.layer,
            kind=found.kind,
            height=height,
            width=width,
            total=len(norms),
            shown=units,
        )
    }


def weights_records(look: Look) -> dict[str, Any]:
    """Count the weights of every layer by their size."""
    records = [
        WeightsRecord(
            layer=each.name,
            count=sum(each.counts),
            largest=each.largest,
            counts=list(each.counts),
            root_mean_square=each.root_mean_square,
            zone=each.zone,
            near_zero=each.near_zero,
        )
        for each in weight_histograms(look.subject.model)
    ]
    if not records:
        look.notes.append("The model hands out no weights; an archive of torch.export does not.")
    return {"weights": records}


def flow_records(look: Look) -> dict[str, Any]:
    """Follow the gradient of the cross-entropy back through layers, and through the steps of a recurrence."""
    model = look.subject.model
    images, labels = look.subject.images[:_FLOW_IMAGES], look.subject.labels[:_FLOW_IMAGES]
    flow = flow_by_layer(model, images, labels)
    records: dict[str, Any] = {"flow_images": len(labels), "flow": _by_layer(flow)}
    if sum(isinstance(layer, RNNLayer | LSTMLayer) for layer in model.modules()) == 1:
        steps = flow_through_time(model, images, labels)
        records["time_flow"] = TimeFlowRecord(
            hidden=[or_none(each) for each in steps.hidden],
            cell=None if steps.cell is None else [or_none(each) for each in steps.cell],
            spectral_norm=or_none(steps.spectral_norm),
        )
    elif any(isinstance(layer, nn.RNNBase) for layer in model.modules()):
        look.notes.append(
            "The gradient by time step is not shown: torch's recurrent layers do not hand out their states."
        )
    return records


def _by_layer(flow: FlowByLayer) -> list[LayerFlowRecord]:
    """Put what reaches a layer's output and its weights side by side; tensors beside their layer."""
    left = {each.name: each for each in flow.weights}
    records = []

    def tell(name: str, output: float | None) -> None:
        weight = left.pop(name, None)
        records.append(
            LayerFlowRecord(
                layer=name,
                output_norm=output,
                weight_norm=None if weight is None else or_none(weight.norm),
                relative_norm=None if weight is None else or_none(weight.relative),
            )
        )

    for name, norm in zip(flow.layers, flow.norms, strict=True):
        tell(name, or_none(norm))
        for tensor in [each for each in left if each.startswith(f"{name}.")]:
            tell(tensor, None)
    for tensor in list(left):
        tell(tensor, None)
    return records


def spectrum_records(look: Look) -> dict[str, Any]:
    """Return the spectrum of every layer that has a weight matrix."""
    records = [
        SpectrumRecord(
            layer=each.name,
            rows=each.shape[0],
            columns=each.shape[1],
            singular_values=list(each.singular_values),
            effective_rank=each.effective_rank,
            energy_rank=each.energy_rank,
        )
        for each in spectra(look.subject.model)
    ]
    if not records:
        look.notes.append(
            "The model shows no affine layer or convolution, whose weights would have singular values."
        )
    return {"spectra": records}
