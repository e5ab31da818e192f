"""Packed programs of models that are attacked side by side, made once and used where they pay."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from foolscope.attacks.runner.low_precision import InBfloat16
from foolscope.core.modes import frozen
from foolscope.learning.packs.packed_layers import Context
from foolscope.learning.packs.packing import pack_program, solo_reason
from foolscope.learning.packs.stacking import stacked_constants, stacked_parameters

__all__ = ["PAYS_UP_TO", "Packed", "Packs", "packed_program", "pays"]

Packed = Callable[[Tensor, Sequence[int]], Tensor]
"""From points, those of the first model first, and each model's number of points to logits."""

PAYS_UP_TO = (2_000_000, 50_000)
"""Multiplications of a model's forward pass, of all rows and of one: above, one after another is as fast.

For a CPU, where a packed pass saves the calls of small operations and nothing else; measured in
``benchmarks/side_by_side.py``. On other devices, where calls dominate, every pass is packed.
"""

_COMPARED = 4  # rows of each model on which program and models are compared
_SAME = 1e-4  # of the largest logit; in bfloat16 four units in the last place


class Packs:
    """Makes packed programs when they are first needed, and counts the multiplications of models."""

    def __init__(self) -> None:
        self._programs: dict[tuple[nn.Module, ...], Packed | None] = {}
        self._multiplications: dict[nn.Module, float] = {}

    def where_it_pays(self, models: Sequence[nn.Module], rows: int, points: Tensor) -> Packed | None:
        """Return the program of some models for passes of so many rows each; None where it does not pay."""
        one = points[:1].detach()
        if one.device.type == "cpu" and not pays(rows, self.multiplications(models[0], one)):
            return None
        key = tuple(models)
        if key not in self._programs:
            self._programs[key] = packed_program(models, points[:_COMPARED].detach())
        return self._programs[key]

    def multiplications(self, model: nn.Module, image: Tensor) -> float:
        """Return how many multiplications a forward pass takes for one image; infinity if unknown."""
        if model not in self._multiplications:
            self._multiplications[model] = _multiplications(model, image)
        return self._multiplications[model]


def pays(rows: int, multiplications: float) -> bool:
    """Return whether packed passes of so many rows pay on a CPU, by the multiplications of one row."""
    all_rows, one_row = PAYS_UP_TO
    return rows * multiplications <= all_rows and multiplications <= one_row


def _multiplications(model: nn.Module, image: Tensor) -> float:
    try:
        with frozen(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(image)
    except Exception:  # anyone's code, which may not bear to be watched
        return float("inf")
    return float(counter.get_total_flops()) / 2  # PyTorch counts a multiply-add as two operations


def packed_program(models: Sequence[nn.Module], points: Tensor) -> Packed | None:
    """Return the program of models that differ in values only; None if it is not what the models compute.

    Both are compared on a few points; this takes passes that no attack is charged with.
    """
    bodies = [model.body if isinstance(model, InBfloat16) else model for model in models]
    if solo_reason(bodies[0]) is not None or len({_structure(model) for model in models}) > 1:
        return None
    tensors = {**stacked_constants(bodies), **stacked_parameters(bodies)}
    if not tensors:
        return None
    pack, dtype = pack_program(bodies), next(iter(tensors.values())).dtype
    context = Context(training=False, dtype=dtype)

    def program(images: Tensor) -> Tensor:
        return pack(tensors, images.to(dtype), context).to(images.dtype)

    def packed(points: Tensor, counts: Sequence[int]) -> Tensor:
        most = max(counts)
        if min(counts) == most:
            return program(torch.unflatten(points, 0, (len(counts), most))).flatten(0, 1)
        parts = torch.split(points, list(counts))
        padding = (0,) * (2 * (points.dim() - 1))
        padded = [nn.functional.pad(part, (*padding, 0, most - len(part))) for part in parts]
        logits = program(torch.stack(padded))
        return torch.cat([own[:count] for own, count in zip(logits, counts, strict=True)])

    tolerance = max(_SAME, 4 * torch.finfo(dtype).eps)
    return packed if _agrees(packed, models, points, tolerance) else None


def _structure(model: nn.Module) -> str:
    """Describe layers and shapes, which must be the same within a pack."""
    shapes = [(name, tuple(each.shape), each.dtype) for name, each in model.state_dict().items()]
    return f"{model!r} {shapes}"


def _agrees(packed: Packed, models: Sequence[nn.Module], points: Tensor, tolerance: float) -> bool:
    """Compare program and models on a few points, with hooks and all that a trace does not see."""
    with torch.no_grad():
        ours = packed(points.repeat(len(models), *[1] * (points.dim() - 1)), [len(points)] * len(models))
        theirs = torch.cat([model(points) for model in models])
    return ours.shape == theirs.shape and bool((ours - theirs).abs().max() <= tolerance * theirs.abs().max())
