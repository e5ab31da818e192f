"""The store: finished trials by identity, packs in progress, and studies, as JSON and safetensors on disk.

STORE/trials/<identity>/trial.json           recipe and results; written last, so it marks a finished trial
STORE/trials/<identity>/weights.safetensors  the tested checkpoint
STORE/packs/<identity>.safetensors           the state of a pack in progress, out of which trials can be cut
STORE/packs/<identity>.json                  the results of a finished pack while its trials are written
STORE/studies/<name>/                        study.json and the report
"""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from foolscope.core.errors import StoreError
from foolscope.core.files import read_json, sweep_partials, write_json
from foolscope.experiments.recipe import Recipe, recipe_from
from foolscope.experiments.running.initial_weights import weights_fingerprint
from foolscope.learning import TrialOutcome
from foolscope.learning.checkpoints import load_tensors, save_tensors
from foolscope.learning.pack_checkpoints import StoredPack, stored_packs
from foolscope.models import build_model
from foolscope.statistics.classification import f1_by_class, precision_by_class, recall_by_class

__all__ = ["CLASS_METRICS", "TRAINING_VERSION", "Store", "StoredTrial", "trial_identity"]

TRAINING_VERSION = 2
"""Raised when a change to training makes old results incomparable."""

_COUNTED_BY_CLASS = {
    "test_recall": recall_by_class,
    "test_precision": precision_by_class,
    "test_f1": f1_by_class,
}

CLASS_METRICS = (*_COUNTED_BY_CLASS, "test_auc")
"""What a trial measures of each class; all but the area follows from its confusion matrix."""


def trial_identity(recipe: Recipe, fingerprint: str, precision: str) -> str:
    """Return the hash of what determines a trial's result.

    Args:
        recipe: of the trial, seed included.
        fingerprint: of the pixels and labels; where files lie does not matter, what is in them does.
        precision: as resolved on this machine.
    """
    determinants = recipe.model_dump(mode="json")
    determinants["dataset"].pop("path", None)
    if recipe.initial_weights is not None:
        determinants["initial_weights"] = weights_fingerprint(recipe.initial_weights)
    determinants |= {"precision": precision, "fingerprint": fingerprint, "training_version": TRAINING_VERSION}
    return hashlib.sha256(json.dumps(determinants, sort_keys=True).encode()).hexdigest()[:20]


@dataclass(frozen=True)
class StoredTrial:
    """A finished trial in the store.

    Args:
        identity: hash of what determines it.
        recipe: its recipe.
        outcome: status, history, metrics, confusion and so on; see :class:`~foolscope.learning.TrialOutcome`.
        provenance: versions, machine, data set facts.
        folder: where its files are.
    """

    identity: str
    recipe: Recipe
    outcome: Mapping[str, Any]
    provenance: Mapping[str, Any]
    folder: Path

    @property
    def status(self) -> Literal["finished", "stopped early", "diverged"]:
        """How it ended."""
        status: Literal["finished", "stopped early", "diverged"] = self.outcome["status"]
        return status

    def step(self, name: str) -> float:
        """Return by how much an accuracy on validation or test images changes with one image; 0 for others."""
        split, _, quantity = name.partition("_")
        images = self.provenance["dataset"].get("counts", {}).get(split, 0)
        return 1 / images if quantity == "accuracy" and split != "train" and images else 0.0

    def metric(self, name: str) -> float:
        """Return a metric of the tested checkpoint, as in ``test_recall@cat`` of one class; NaN if diverged.

        Raises:
            StoreError: there is no such metric.
        """
        if self.status == "diverged":
            return float("nan")
        quantity, of_class, name_of_class = name.partition("@")
        if of_class:
            return self._class_metric(quantity, name_of_class)
        metrics: dict[str, float] = self.outcome["metrics"]
        if name not in metrics:
            raise StoreError(
                f"trial {self.identity} has no metric {name!r}; it has {', '.join(sorted(metrics))}"
            )
        return metrics[name]

    def _class_metric(self, quantity: str, name: str) -> float:
        """Return ``test_recall`` and the like of one class."""
        classes: list[str] = self.provenance["dataset"]["classes"]
        if quantity not in CLASS_METRICS or name not in classes:
            raise StoreError(f"trial {self.identity} has no metric {quantity!r} of a class {name!r}")
        own = classes.index(name)
        if quantity == "test_auc":
            area: float | None = self.outcome["auc_by_class"][own]
            return float("nan") if area is None else area
        return float(_COUNTED_BY_CLASS[quantity](np.array(self.outcome["confusion"]))[own])

    def model(self, device: torch.device | str = "cpu") -> nn.Module:
        """Rebuild the trained model.

        Raises:
            StoreError: the weights are missing, damaged or of another model.
        """
        path = self.folder / "weights.safetensors"
        try:
            weights, document = load_tensors(path, torch.device("cpu"))
        except StoreError as error:
            raise StoreError(
                f"{path} is missing or damaged; delete the trial's folder and train it again"
            ) from error
        facts = self.provenance["dataset"]
        channels = facts["image_shape"][0]
        model = build_model(
            self.recipe.model,
            tuple(facts["image_shape"]),
            len(facts["classes"]),
            seed=self.recipe.seed,
            mean=torch.zeros(channels),
            deviation=torch.ones(channels),
        )
        expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in weights.items()}
        if found != expected or not isinstance(document, dict) or document.get("identity") != self.identity:
            raise StoreError(
                f"{path} holds the weights of another model than its run ({self.recipe.model.name}); "
                "delete the trial's folder and train it again"
            )
        model.load_state_dict(weights)
        return model.eval().to(device)


class Store:
    """A folder of finished trials, packs in progress and studies."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def trial_folder(self, identity: str) -> Path:
        """Return the folder of a trial, which may not exist."""
        return self.root / "trials" / identity

    def pack_checkpoint(self, identity: str) -> Path:
        """Return the checkpoint path of a pack, which may not exist."""
        return self.root / "packs" / f"{identity}.safetensors"

    def study_folder(self, name: str) -> Path:
        """Return the folder of a study, which may not exist."""
        return self.root / "studies" / name

    def has(self, identity: str) -> bool:
        """Return whether a trial is finished."""
        return (self.trial_folder(identity) / "trial.json").exists()

    def load(self, identity: str) -> StoredTrial:
        """Read a finished trial.

        Raises:
            StoreError: there is none, or its file is damaged.
        """
        folder = self.trial_folder(identity)
        path = folder / "trial.json"
        document = read_json(path)
        try:
            recipe = recipe_from(dict(document["recipe"]))
            outcome, provenance = dict(document["outcome"]), dict(document["provenance"])
            return StoredTrial(identity, recipe, outcome, provenance, folder)
        except (KeyError, TypeError, ValueError) as error:  # what is wrong with a recipe is a ValueError
            raise StoreError(
                f"{path} is damaged or from another version ({error}); delete its folder"
            ) from error

    def save_pack(
        self, pack: str, trials: Sequence[tuple[str, Recipe, TrialOutcome]], provenance: Mapping[str, Any]
    ) -> None:
        """Write the finished trials of a pack, all or none even if the process is killed meanwhile.

        A part of a pack would leave the rest to be trained in a smaller pack, with other rounding. So the
        weights come first, then one file with all results, then each trial's own, which marks it as finished.

        Raises:
            StoreError: no space or no permission.
        """
        documents = []
        for identity, recipe, outcome in trials:
            save_tensors(self._weights(identity), outcome.weights, {"identity": identity})
            documents.append(
                {
                    "identity": identity,
                    "recipe": recipe.model_dump(mode="json"),
                    "outcome": outcome.as_document(),
                    "provenance": dict(provenance),
                }
            )
        results = self.pack_checkpoint(pack).with_suffix(".json")
        write_json(results, documents)
        self._complete(results)

    def complete_packs(self) -> None:
        """Finish writing the results of packs whose process was killed while it wrote them."""
        sweep_partials(self.root)
        for results in sorted((self.root / "packs").glob("*.json")):
            self._complete(results)

    def _complete(self, results: Path) -> None:
        try:
            documents = read_json(results)
        except StoreError:
            if results.exists():
                raise
            return  # another process has completed it meanwhile
        for document in documents:
            write_json(self.trial_folder(document["identity"]) / "trial.json", document)
        self.pack_checkpoint(results.stem).unlink(missing_ok=True)
        results.unlink(missing_ok=True)
        for pack in self.checkpoints():  # of packs that were composed differently
            if pack.identities and all(map(self.has, pack.identities)):
                pack.path.unlink(missing_ok=True)

    def checkpoint_paths(self) -> list[Path]:
        """Return the checkpoints of packs in progress, damaged ones among them."""
        return sorted((self.root / "packs").glob("*.safetensors"))

    def checkpoints(self) -> list[StoredPack]:
        """Return what the checkpoints of packs in progress say, of whatever version, without damaged ones."""
        return stored_packs(self.root / "packs")

    def _weights(self, identity: str) -> Path:
        return self.trial_folder(identity) / "weights.safetensors"

    def remembered(self, kind: str, determinants: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
        """Return the result of a computation, made at most once for the same JSON-able determinants."""
        text = json.dumps(dict(determinants), sort_keys=True)
        path = self.root / kind / f"{hashlib.sha256(text.encode()).hexdigest()[:20]}.json"
        if path.exists():
            return read_json(path)["result"]
        result = compute()
        write_json(path, {"determinants": dict(determinants), "result": result})
        return result

    def remembered_by_seed(
        self,
        kind: str,
        determinants: Mapping[str, Any],
        compute: Callable[[StoredTrial], Any],
        trials: Sequence[StoredTrial],
        progress: Callable[[float, str], None],
    ) -> dict[int, Any]:
        """Return by seed the result for each trial that did not diverge, computed at most once.

        The progress is told before each seed; see :meth:`remembered`.
        """
        finished = [trial for trial in trials if trial.status != "diverged"]
        results = {}
        for position, trial in enumerate(finished):
            progress(position / len(finished), f"seed {trial.recipe.seed}")
            results[trial.recipe.seed] = self.remembered(
                kind, {**determinants, "trial": trial.identity}, functools.partial(compute, trial)
            )
        return results

    def find(self, prefix: str) -> StoredTrial:
        """Return the finished trial whose identity starts with a prefix.

        Raises:
            StoreError: none does, or several do.
        """
        known = sorted(path.parent.name for path in (self.root / "trials").glob("*/trial.json"))
        found = [identity for identity in known if prefix and identity.startswith(prefix)]
        if len(found) == 1:
            return self.load(found[0])
        if found:
            raise StoreError(
                f"{len(found)} runs start with {prefix!r}: {', '.join(found[:5])}; give more characters"
            )
        listing = f"it has {', '.join(known[:5])}{' …' if len(known) > 5 else ''}" if known else "it is empty"
        raise StoreError(f"no run {prefix!r} in {self.root}; {listing}. Train one with: foolscope train")
