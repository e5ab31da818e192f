"""Trials side by side in one pack, against the same trials one after another.

    python benchmarks/packs.py --rounds 5 --json packs.json

Both ways use the same training loop, the same data in memory and the same number of threads; the
one-after-another way is the tuned baseline, not a notebook.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from foolscope.core.threads import thread_count
from foolscope.data import load
from foolscope.experiments.execution import machine_facts
from foolscope.experiments.recipe import Recipe, with_values
from foolscope.learning import train_pack

CASES = {
    "digits mlp 64-64-10, batch 32": (
        {"model": "mlp", "hidden": [64], "batch_size": 32, "epochs": 5},
        [0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0],
    ),
    "digits small-cnn, batch 32": (
        {"model": "small-cnn", "batch_size": 32, "epochs": 2},
        [0.01, 0.02, 0.05, 0.1],
    ),
}


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = {}
    with thread_count(arguments.threads):
        for name, (settings, rates) in CASES.items():
            base = with_values(Recipe(), settings)
            dataset = load(base.dataset)
            trials = [with_values(base, {"learning_rate": rate}) for rate in rates]
            ways: dict[str, Callable[[], object]] = {
                "pack": lambda trials=trials, dataset=dataset: train_pack(trials, dataset),
                "one after another": lambda trials=trials, dataset=dataset: [
                    train_pack([trial], dataset) for trial in trials
                ],
            }
            for work in ways.values():
                work()
            rounds: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(max(5, arguments.rounds)):
                for way, work in ways.items():
                    rounds[way].append(seconds(work))
            medians = {way: statistics.median(times) for way, times in rounds.items()}
            ratio = medians["one after another"] / medians["pack"]
            results[name] = {"trials": len(trials), "seconds": rounds, "medians": medians, "ratio": ratio}
            print(f"{name}, {len(trials)} trials: {medians['pack']:.3f} s packed, ", end="")
            print(f"{medians['one after another']:.3f} s one after another, ratio {ratio:.2f}")
    if arguments.json:
        machine = {**machine_facts(torch.device("cpu")), "threads": arguments.threads}
        arguments.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
