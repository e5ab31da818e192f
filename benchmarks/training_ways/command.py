"""Trainings as commands: a process each, with its start-up, its peak memory and its wall time."""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["airbench", "fashion", "foolscope"]

_HERE = Path(__file__).parents[1]
_FASHION = """
precision = "bfloat16"
dataset = { name = "fashion-mnist", validation = "official" }
model = { name = "fast-cnn", channels = [64, 128, 256], test_time_augmentation = "flip-translate" }
loss = { name = "cross-entropy", label_smoothing = 0.2 }
optimizer = { name = "muon", learning_rate = 0.12, momentum = 0.6, rescale = true, companion = "sgd", \
companion_learning_rate = 0.41, companion_momentum = 0.85 }
schedule = "linear"
augmentation = ["alternating-flip", "random-crop:padding=1:border=reflect"]

[[parameter_groups]]
names = "*.bias"
learning_rate = 26.0
weight_decay = 4e-5

[training]
batch_size = 500
keep = "last"
"""


def _run(command: Sequence[str], threads: int) -> dict[str, Any]:
    """Run a command that prints JSON last; return it with seconds and the peak of its memory."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    begin = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, cwd=_HERE, stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        **json.loads(done.stdout[done.stdout.index("{") :]),
        "seconds": time.perf_counter() - begin,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "peak_bytes": after.ru_maxrss * 1024,  # of the largest child so far
    }


def _data(arguments: argparse.Namespace) -> list[str]:
    return [] if arguments.data_dir is None else ["--data-dir", str(arguments.data_dir)]


def airbench(seed: int, arguments: argparse.Namespace, options: Sequence[str]) -> dict[str, Any]:
    """Train by the record recipe."""
    quick = ["--quick"] if arguments.quick else []
    command = [sys.executable, "-m", "training_ways.airbench", "--seed", str(seed), *quick, *options]
    return _run([*command, *_data(arguments)], arguments.threads)


def foolscope(seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train by ``foolscope train --recipe fast-cifar10``."""
    return _train("fast-cifar10", seed, arguments, [])


def fashion(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Train the fast network on Fashion-MNIST for more and more epochs."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "fast-fashion-mnist.toml"
        recipe.write_text(_FASHION, encoding="utf-8")
        for epochs in [1] if arguments.quick else [1, 2, 4, 8]:
            length = ["--epochs", str(epochs)]
            runs = [_train(str(recipe), seed, arguments, length) for seed in range(arguments.seeds)]
            found.append(
                {
                    "epochs": epochs,
                    "seconds": statistics.median(run["seconds"] for run in runs),
                    "accuracy": statistics.mean(run["accuracy"] for run in runs),
                    "runs": runs,
                }
            )
            print(f"Fashion-MNIST, {epochs} epochs: {found[-1]['accuracy']:.2%}", flush=True)
    return found


def _train(recipe: str, seed: int, arguments: argparse.Namespace, options: list[str]) -> dict[str, Any]:
    quick = ["--epochs", "1", "--limit", "2000"] if arguments.quick else options
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-m", "foolscope", "train", "--recipe", recipe, "--seed", str(seed)]
        found = _run([*command, *quick, "--store", store, "--json", *_data(arguments)], arguments.threads)
    kept = {name: found[name] for name in ("seconds", "cpu_seconds", "peak_bytes")}
    return {"accuracy": found["metrics"]["test_accuracy"], **kept}
