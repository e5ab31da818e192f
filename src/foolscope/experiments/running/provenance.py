"""The provenance of a stored result: versions, machine, data set."""

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from foolscope.data import Dataset

__all__ = ["dataset_facts", "machine_facts"]


def dataset_facts(dataset: Dataset) -> dict[str, Any]:
    """Return the facts of a data set that rebuild a trial's model and identify its pixels."""
    return {
        "name": dataset.name,
        "image_shape": list(dataset.image_shape),
        "classes": list(dataset.classes),
        "counts": {
            "train": len(dataset.train),
            "validation": 0 if dataset.validation is None else len(dataset.validation),
            "test": len(dataset.test),
        },
        "fingerprint": dataset.fingerprint,
    }


def machine_facts(device: torch.device) -> dict[str, Any]:
    """Return versions and hardware, for the colophon of a report."""
    return {
        "foolscope": metadata.version("foolscope"),
        "torch": torch.__version__,
        "numpy": metadata.version("numpy"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor_name(),
        "device": str(device),
        "threads": torch.get_num_threads(),
    }


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
