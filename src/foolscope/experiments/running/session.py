"""The session: where recipes are run."""

import copy
from pathlib import Path

from foolscope.core.errors import RecipeError
from foolscope.core.precision import resolve_device, resolve_precision
from foolscope.data import Dataset, DatasetSettings, ReadCallback, load
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.store import Store, trial_identity

__all__ = ["Session"]


class Session:
    """Store, data folder, device, executor, and the data sets already in memory.

    Args:
        store: the folder where results are kept, or a store that is open already.
        data_dir: where the data sets are; if not given ``$FOOLSCOPE_DATA``, else ``~/.cache/foolscope/data``.
        device: "auto" or any torch device name.
        executor: a name in :data:`~foolscope.experiments.running.executors.EXECUTORS`, or "auto".
        workers: the most packs that train at the same time; by default the number of cores.

    Raises:
        RecipeError: the device is not there, or there are no workers.
    """

    def __init__(
        self,
        store: Store | str | Path = "foolscope-runs",
        data_dir: str | Path | None = None,
        device: str = "auto",
        executor: str = "auto",
        workers: int | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise RecipeError(f"workers must be at least 1; got {workers}")
        self.store = store if isinstance(store, Store) else Store(Path(store))
        self.data_dir = None if data_dir is None else Path(data_dir)
        self.device = resolve_device(device)
        self.executor = executor
        self.workers = workers
        self._loaded: dict[DatasetSettings, Dataset] = {}
        self._progress: ReadCallback | None = None

    def dataset(self, settings: DatasetSettings) -> Dataset:
        """Return a data set on the device, read at most once."""
        if settings not in self._loaded:
            self._loaded[settings] = load(settings, self.data_dir, self.device, self._progress)
        return self._loaded[settings]

    def telling(self, progress: ReadCallback) -> "Session":
        """Return this session, with the same data sets in memory, that tells how far it has read images."""
        other = copy.copy(self)
        other._progress = progress
        return other

    def identify(self, recipe: Recipe) -> str:
        """Return the identity of a recipe's trial on this machine."""
        precision = resolve_precision(recipe.precision, self.device)
        return trial_identity(recipe, self.dataset(recipe.dataset).fingerprint, precision)
