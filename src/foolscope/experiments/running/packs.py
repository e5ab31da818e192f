"""Plans packs: which trials train together."""

import hashlib
import itertools
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from foolscope.experiments.recipe import Recipe
from foolscope.learning import AVERAGING, OPTIMIZERS

__all__ = [
    "PACKED_FIELDS",
    "WIDTH_FIELDS",
    "Pack",
    "PackLimits",
    "PendingTrial",
    "pack_identity",
    "pack_size",
    "plan_packs",
]

PACKED_FIELDS: dict[str, frozenset[str]] = {
    "model": frozenset({"dropout"}),
    "loss": frozenset({"label_smoothing", "class_weights", "gamma"}),
    "optimizer": frozenset(field for each in OPTIMIZERS.values() for field in each.settings.model_fields)
    - {"name", "matrices", "companion"},
    "averaging": frozenset(field for each in AVERAGING.values() for field in each.settings.model_fields)
    - {"name"},
    "regularization": frozenset({"l1", "l2"}),
    "defense": frozenset({"epsilon", "attack_step_size", "beta"}),
    "training": frozenset(
        {"clipping", "sharpness_radius", "patience", "keep", "select_by", "threshold", "epochs"}
    ),
}
"""The fields in which the trials of one pack may differ, beside seed, schedule and parameter groups."""

WIDTH_FIELDS: dict[str, frozenset[str]] = {
    "mlp": frozenset({"hidden"}),
    "small-cnn": frozenset({"channels", "units"}),
    "convnet": frozenset({"channels"}),
}
"""Model to the fields that may differ too where padding the narrower trials costs less than another pack."""

_LARGEST_PACK = 128
_LARGEST_PACK_ON_GPU = 512
# assumed where the machine does not tell the size of its last-level cache, and the most that a run uses of
# one, because other programs share it
_CACHE_BYTES = 32 * 2**20
_PADDING_FLOPS = 4e6  # per step: an eighth of the overhead of a pack's step


@dataclass(frozen=True)
class PendingTrial:
    """A trial that has not been run.

    Args:
        identity: hash of what determines it.
        recipe: its recipe.
        parameter_count: of its model.
        flops: floating-point operations of its model's forward pass on one image.
        input_bytes: of a minibatch in float32; each seed of a pack has its own.
        activation_bytes: of all its layers' outputs for a minibatch in float32.
    """

    identity: str
    recipe: Recipe
    parameter_count: int
    flops: float = 0.0
    input_bytes: int = 0
    activation_bytes: int = 0

    @property
    def step_flops(self) -> float:
        """Floating-point operations of a training step: the backward pass costs two forward passes.

        Sharpness-aware minimization takes both twice.
        """
        passes = 3 if self.recipe.training.sharpness_radius is None else 6
        return passes * self.flops * self.recipe.training.batch_size


@dataclass(frozen=True)
class Pack:
    """Trials that train together, ordered by seed."""

    trials: tuple[PendingTrial, ...]

    @property
    def identity(self) -> str:
        """Hash of the trials' identities, in order."""
        return pack_identity([trial.identity for trial in self.trials])

    @property
    def flops_per_image(self) -> float:
        """Floating-point operations of all trials' forward passes on one image."""
        return sum(trial.flops for trial in self.trials)


def pack_identity(trials: Sequence[str]) -> str:
    """Return the identity of a pack of the trials of these identities, in order."""
    return hashlib.sha256(" ".join(trials).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class PackLimits:
    """The memory and the number of trials that a pack may take.

    Args:
        bytes: of the last-level cache, or of a GPU's memory.
        most_trials: beyond which a pack gains nothing.
        in_cache: whether the parameters and half of their gradients are to stay within ``bytes``, as on a
            CPU, where the gain ends there; otherwise all that training allocates.
    """

    bytes: int
    most_trials: int = _LARGEST_PACK
    in_cache: bool = True

    @classmethod
    def of_device(cls, device: torch.device) -> "PackLimits":
        """Return the limits of a device: half of the free memory of a GPU, the last-level cache of a CPU."""
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            return cls(free // 2, _LARGEST_PACK_ON_GPU, in_cache=False)
        return cls(_last_level_cache_bytes())


def pack_size(trial: PendingTrial, limits: PackLimits) -> int:
    """Return how many trials of this shape may share a pack."""
    if limits.in_cache:
        own = 6 * trial.parameter_count
    else:  # parameters, the best ones, gradients, two moments; activations and their gradients
        own = 5 * 4 * trial.parameter_count + 2 * trial.activation_bytes
    return max(1, min(limits.most_trials, limits.bytes // max(1, own)))


def seeds_per_pack(trial: PendingTrial, limits: PackLimits) -> int:
    """Return how many seeds may share a pack: their minibatches must fit into the memory twice.

    A minibatch is written twice on its way to the first product. Past the cache, and past the size at which
    the allocator asks the system for fresh pages each time, that takes longer than the product.
    """
    return max(1, limits.bytes // (2 * max(1, trial.input_bytes)))


def _last_level_cache_bytes() -> int:
    try:
        size = os.sysconf("SC_LEVEL3_CACHE_SIZE")
    except (ValueError, OSError):
        size = 0
    return min(size, _CACHE_BYTES) if size > 0 else _CACHE_BYTES


def plan_packs(pending: Sequence[PendingTrial], limits: PackLimits | None = None) -> list[Pack]:
    """Group trials, given in any order, by shape and cut the groups into packs.

    Trials of different widths share a group as long as padding them costs little. Batch sizes are kept
    apart: sharing the passes over the images was measured to save a fifth to a third of the time (A3,
    digits) at most, before what it costs to hold back the updates of the larger batches.

    The plan of what is left after some packs are done is the rest of the plan, so a killed sweep that starts
    again finds the checkpoint of the pack it was in.
    """
    limits = limits or PackLimits.of_device(torch.device("cpu"))
    families: dict[str, list[PendingTrial]] = {}
    for trial in pending:
        families.setdefault(_shape(trial.recipe, _may_be_padded(trial.recipe)), []).append(trial)
    packs = []
    for _, family in sorted(families.items()):  # the order of arrival changes as trials finish
        for trials in _alike(family):
            widest = trials[-1]
            by_seed: dict[int, list[PendingTrial]] = {}
            for trial in sorted(trials, key=lambda each: each.recipe.seed):
                by_seed.setdefault(trial.recipe.seed, []).append(trial)
            packs += _cut(list(by_seed.values()), pack_size(widest, limits), seeds_per_pack(widest, limits))
    return packs


def _may_be_padded(recipe: Recipe) -> bool:
    """Return whether a model padded with zeros to a larger width computes the same, also after training.

    A sigmoid turns the zeros of a padded unit into one half, dropout draws a mask as wide as the layer, and
    Muon scales its step by the shape of the matrix.
    """
    model = recipe.model
    if recipe.optimizer.name == "muon":
        return False
    activation = getattr(model, "activation", "relu")
    return model.name in WIDTH_FIELDS and activation != "sigmoid" and not getattr(model, "dropout", 0.0)


def _shape(recipe: Recipe, any_width: bool) -> str:
    """Return the settings that trials of one pack share; with ``any_width`` only the number of layers."""
    values = recipe.model_dump(mode="json")
    for part, fields in PACKED_FIELDS.items():
        for field in fields:
            values[part].pop(field, None)
    if any_width:
        for field in WIDTH_FIELDS[recipe.model.name]:
            values["model"][field] = len(values["model"][field])
    del values["seed"], values["schedule"], values["parameter_groups"]
    values["sharp"] = recipe.training.sharpness_radius is not None  # which takes two passes instead of one
    return json.dumps([any_width, values], sort_keys=True)


def _alike(family: Sequence[PendingTrial]) -> list[list[PendingTrial]]:
    """Divide trials of different widths into groups, widest groups first, each with its widest trials last.

    As the widest are trained last, what is left of a group is divided as the whole was.
    """
    shapes = {trial.identity: _shape(trial.recipe, any_width=False) for trial in family}
    ordered = sorted(family, key=lambda trial: (trial.flops, shapes[trial.identity]), reverse=True)
    groups: list[list[PendingTrial]] = []
    for shape, members in itertools.groupby(ordered, key=lambda trial: shapes[trial.identity]):
        own = [trial for trial in family if shapes[trial.identity] == shape]  # in the order they came
        widest = groups[-1][-1] if groups else None
        if widest is not None and _padding_flops(next(members), widest) <= _PADDING_FLOPS:
            groups[-1] = own + groups[-1]
        else:
            groups.append(own)
    return groups


def _padding_flops(narrow: PendingTrial, wide: PendingTrial) -> float:
    return wide.step_flops - narrow.step_flops


def _cut(seeds: list[list[PendingTrial]], size: int, most_seeds: int) -> list[Pack]:
    """Join seeds with the same number of trials while they fit; divide a seed that alone is too large.

    A seed is cut evenly, larger pieces first, and its last piece is treated like a seed: then the pieces that
    are left when some are done are cut and joined in the same way again.
    """
    packs: list[list[PendingTrial]] = []
    joined = 0
    for trials in seeds:
        left = trials
        while len(left) > size:
            length = math.ceil(len(left) / math.ceil(len(left) / size))
            packs.append(left[:length])
            left, joined = left[length:], 0
        fits = joined == len(left) and len(packs[-1]) + len(left) <= min(size, most_seeds * len(left))
        if fits:
            packs[-1] += left
        else:
            packs.append(list(left))
            joined = len(left)
    return [Pack(tuple(trials)) for trials in packs]
