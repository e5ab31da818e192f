import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import ray

from foolscope.core.threads import thread_count
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store


@pytest.fixture(scope="session")
def recipes(tmp_path_factory):
    """Two packs of two trials each, the larger one first; one of its trials diverges."""
    path = tmp_path_factory.mktemp("data") / "noise.npz"
    images = np.random.default_rng(0).integers(0, 256, (100, 5, 4), dtype=np.uint8)
    np.savez(path, images=images, labels=np.arange(100) % 2)
    base = recipe_from(
        {
            "dataset": {"name": "npz", "path": str(path)},
            "model": {"name": "mlp", "hidden": [4], "dropout": 0.2},
            "training": {"epochs": 16},
            "precision": "float32",
        }
    )
    return [
        with_values(base, {"batch_size": batch_size, "learning_rate": rate})
        for batch_size, rates in ((16, (0.1, 1e30)), (32, (0.1, 0.2)))
        for rate in rates
    ]


@pytest.fixture(autouse=True)
def _one_thread():
    with thread_count(1):
        yield


@pytest.fixture
def session(tmp_path):
    """A session with two workers of an executor."""

    def build(executor, workers=2):
        store = Store(tmp_path / executor)
        return Session(store, device="cpu", executor=executor, workers=workers)

    return build


@pytest.fixture(scope="session")
def contents():
    """Read a store by trial: all of the outcome but the durations, and the bytes of the other files."""

    def read(root: Path):
        found = {}
        for path in root.glob("trials/*/trial.json"):
            document = json.loads(path.read_text(encoding="utf-8"))
            assert document["outcome"].pop("duration_seconds") > 0
            assert document["provenance"]["threads"] == 1
            files = {each.name: each.read_bytes() for each in path.parent.glob("*.safetensors")}
            diverged = document["outcome"]["status"] == "diverged"
            assert files.keys() == {"weights.safetensors"} | (set() if diverged else {"correct.safetensors"})
            found[path.parent.name] = document, files
        return found

    return read


@pytest.fixture(scope="package")
def expected(recipes, contents, tmp_path_factory):
    """What the recipes come to on one thread of this process."""
    root = tmp_path_factory.mktemp("expected")
    with thread_count(1):
        run_trials(recipes, Session(Store(root), device="cpu", executor="in-process"))
    found = contents(root)
    assert {document["outcome"]["status"] for document, _ in found.values()} == {"finished", "diverged"}
    return found


@pytest.fixture(scope="package")
def long(recipes):
    """Two packs, the larger one first, that take long enough to be killed on the way."""
    return [
        with_values(recipe, {"epochs": epochs, "learning_rate": 0.1})
        for recipe, epochs in ((recipes[0], 5000), (recipes[2], 500))
    ]


@pytest.fixture(scope="package")
def long_expected(long, contents, tmp_path_factory):
    """What the smaller of them comes to on one thread of this process."""
    root = tmp_path_factory.mktemp("long")
    with thread_count(1):
        run_trials(long[1:], Session(Store(root), device="cpu", executor="in-process"))
    return contents(root)


@pytest.fixture(scope="package")
def cluster():
    """A Ray cluster on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def workers_of():
    """List the worker processes that a process has started."""

    def find(parent: int) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                started_by = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if started_by == parent and b"foolscope.experiments.running.executors.worker" in command:
                found.append(int(folder.name))
        return found

    return find
