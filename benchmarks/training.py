"""The recipe fast-cifar10 against the record recipe of CIFAR-10, and where the time of a fast network goes.

    python benchmarks/training.py --json benchmarks/results/training.json

Each way trains in a process of its own, with its start-up; ways take turns, seed by seed. See README.md here.
"""

import argparse
import json
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from training_ways.command import airbench, fashion, foolscope
from training_ways.shares import pack_times, shares_of_step
from training_ways.verdict import behind

from foolscope.experiments.running.provenance import machine_facts

GOALS = {"points behind": 0.005, "share of the time": 0.75}
"""How far the recipe's test accuracy may be behind the record's, and its share of the record's time."""

RECORD = "record recipe"
CORES = len(os.sched_getaffinity(0))


def record(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train with every seed, the record's ways and ours in turn."""
    ways: dict[str, Callable[[int], dict[str, Any]]] = {
        RECORD: lambda seed: airbench(seed, arguments, []),
        "record recipe, compiled": lambda seed: airbench(seed, arguments, ["--compile"]),
        "record recipe, minibatches of 500": lambda seed: airbench(seed, arguments, ["--parts", "4"]),
        "fast-cifar10": lambda seed: foolscope(seed, arguments),
    }
    chosen = {name: way for name, way in ways.items() if not arguments.way or name in arguments.way}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    for seed in range(arguments.seeds):
        for name, way in chosen.items():
            runs[name].append(way(seed))
            last = runs[name][-1]
            print(f"seed {seed}  {name:36}{last['seconds']:8.0f} s{last['accuracy']:9.2%}", flush=True)
    summary = {
        name: {
            "seconds": statistics.median(run["seconds"] for run in own),
            "accuracy": statistics.mean(run["accuracy"] for run in own),
            "peak_bytes": max(run["peak_bytes"] for run in own),
        }
        for name, own in runs.items()
    }
    compared = {
        name: behind(own, runs["fast-cifar10"], GOALS["points behind"])
        | {"share of the time": summary["fast-cifar10"]["seconds"] / summary[name]["seconds"]}
        for name, own in runs.items()
        if name != "fast-cifar10" and "fast-cifar10" in runs
    }
    return {"runs": runs, "summary": summary, "compared": compared}


def report(found: dict[str, Any]) -> str:
    """Write what was measured, a table for each part."""
    lines: list[str] = []
    if "record" in found:
        lines += [
            f"{'CIFAR-10':36}{'seconds':>9}{'accuracy':>10}{'peak':>9}{'ours/its time':>15}  ours, points"
        ]
        for name, own in found["record"]["summary"].items():
            line = f"{name:36}{own['seconds']:9.0f}{own['accuracy']:10.2%}{own['peak_bytes'] / 2**30:6.1f} GB"
            against = found["record"]["compared"].get(name)
            if against is not None:
                line += f"{against['share of the time']:15.2f}  {against['words']}"
            lines.append(line)
    if "fashion" in found:
        lines += ["", f"{'Fashion-MNIST, epochs':36}{'seconds':>9}{'accuracy':>10}"]
        lines += [
            f"{each['epochs']:<36}{each['seconds']:9.0f}{each['accuracy']:10.2%}" for each in found["fashion"]
        ]
    if "shares" in found:
        lines += ["", f"{'a step of a minibatch':36}{'ms':>9}{'share':>10}"]
        whole = found["shares"]["step"]
        lines += [f"{name:36}{ms:9.1f}{ms / whole:10.1%}" for name, ms in found["shares"].items()]
    if "packs" in found:
        lines += ["", f"{'three seeds, a step of each':36}{'ms':>9}"]
        lines += [f"{name:36}{ms:9.1f}" for name, ms in found["packs"].items()]
    return "\n".join(lines)


PARTS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "record": record,
    "fashion": fashion,
    "shares": lambda arguments: shares_of_step(arguments.rounds),
    "packs": lambda arguments: pack_times(arguments.rounds),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--part", action="append", choices=list(PARTS), help="only these; repeat for several")
    add("--way", action="append", help="only these ways of the part record; repeat for several")
    add("--seeds", type=int, default=3)
    add("--rounds", type=int, default=5, help="of which the median counts, for steps")
    add("--threads", type=int, default=CORES)
    add("--data-dir", type=Path)
    add("--quick", action="store_true", help="see that it works: 1 seed, 1 epoch on 2,000 images, 1 round")
    add("--json", type=Path, help="where all raw numbers go")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    if arguments.quick:
        arguments.seeds = arguments.rounds = 1
    load_before = os.getloadavg()[0]
    if load_before > 0.5:
        print(f"the load is {load_before:.1f}: this machine does other work", file=sys.stderr)
    torch.set_num_threads(arguments.threads)
    machine = {**machine_facts(torch.device("cpu")), "threads": arguments.threads, "load_before": load_before}
    print(f"{machine['processor']}, {arguments.threads} threads, torch {machine['torch']}")
    found: dict[str, Any] = {}
    for name in arguments.part or PARTS:
        found[name] = PARTS[name](arguments)
        if arguments.json:
            arguments.json.write_text(
                json.dumps({"machine": machine, "goals": GOALS, **found}, indent=1) + "\n"
            )
    print(report(found))


if __name__ == "__main__":
    main()
