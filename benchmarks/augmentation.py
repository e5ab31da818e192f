"""Augmentation of minibatches, against kornia on the same tensors and against Pillow image by image.

    python benchmarks/augmentation.py --json benchmarks/results/augmentation.json

Ways take turns, round by round, after a warm-up; medians count. Every image draws its own numbers; only
kornia's RandAugment draws its operations for the whole minibatch. See README.md here.
"""

import argparse
import ctypes
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from augmentation_ways.cases import CASES, Case
from torch import Tensor

from foolscope.core.cores import available_cores
from foolscope.core.threads import thread_count
from foolscope.data import Cifar10Settings, load
from foolscope.experiments.running.provenance import machine_facts
from foolscope.learning.measuring.evaluation import to_pixels

GOALS = {"kornia": 2.0, "Pillow": 10.0}
"""How many times as fast as each of the others ours should be."""

CORES = available_cores()

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def images_of(count: int, data_dir: Path | None) -> Tensor:
    """Return training images of CIFAR-10 as bytes; noise of that shape where it is not there."""
    try:
        return load(Cifar10Settings(limit=count), data_dir).train.images[:count].contiguous()
    except ValueError:
        print("CIFAR-10 is not there; the images are noise", file=sys.stderr)
        return torch.randint(
            256, (count, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        )


def ways_of(case: Case, images: Tensor) -> dict[str, Callable[[], Any]]:
    """Return what each way runs: from floats to floats, and for Pillow from bytes to floats."""
    floats = to_pixels(images, torch.float32)
    ours = case.ours()
    ways: dict[str, Callable[[], Any]] = {
        "ours": lambda: ours(floats),
        "ours from bytes": lambda: ours(to_pixels(images, torch.float32)),
    }
    if case.kornia is not None and find_spec("kornia"):
        theirs = case.kornia()
        ways["kornia"] = lambda: theirs(floats)
    if case.image is not None:
        ways["Pillow"] = case.pillow(images)
    return ways


def measure(
    ways: dict[str, Callable[[], Any]], rounds: int, seconds: float, clock: Callable[[], float]
) -> dict[str, list[float]]:
    """Return milliseconds of a minibatch by way and round; a way takes about so many seconds in a round."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    repeats = {}
    for name, run in ways.items():
        run()
        begin = clock()
        run()
        repeats[name] = max(1, round(seconds / (clock() - begin)))
    for _ in range(rounds):
        for name, run in ways.items():
            begin = clock()
            for _ in range(repeats[name]):
                run()
            found[name].append(1000 * (clock() - begin) / repeats[name])
    return found


def as_json(case: Case, count: int, found: dict[str, list[float]]) -> dict[str, Any]:
    """Return all raw numbers with the medians and their ratios."""
    medians = {name: statistics.median(values) for name, values in found.items()}
    own = {"kornia": "ours", "Pillow": "ours from bytes"}
    ratios = {name: medians[name] / medians[own[name]] for name in own if name in medians}
    return {"case": case.name, "images": count, "milliseconds": found, "medians": medians, "ratios": ratios}


def report(results: list[dict[str, Any]]) -> str:
    """Write a line per case."""
    lines = [f"{'operation':24}{'images':>7}{'ours':>9}{'kornia':>10}{'':>8}{'Pillow':>10}{'':>8}"]
    for each in results:
        cells = ""
        for name, goal in GOALS.items():
            ratio = each["ratios"].get(name)
            missed = "*" if ratio is not None and ratio < goal else " "
            cells += f"{'':>18}" if ratio is None else f"{each['medians'][name]:10.2f}{ratio:6.1f}×{missed}"
        lines.append(f"{each['case']:24}{each['images']:7}{each['medians']['ours']:9.2f}{cells}")
    return "\n".join([*lines, "Medians in ms for a minibatch; * misses the goal."])


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def keep_freed_memory() -> None:
    """Have the C library keep what is freed, for all ways alike.

    Else each minibatch may be paid for in page faults, more or less by luck: which way has them depends on
    what else lies at the end of the heap.
    """
    trim, mmap = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library than glibc
        return
    mallopt(trim, 1 << 30)
    mallopt(mmap, 1 << 25)  # the largest that it takes


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--rounds", type=int, default=7, help="of which the median counts")
    add("--seconds", type=float, default=0.1, help="of a way in a round")
    add("--images", type=int, nargs="+", default=[256, 1024], help="in a minibatch")
    add(
        "--case",
        action="append",
        choices=[case.name for case in CASES],
        help="only these; repeat for several",
    )
    add("--threads", type=int, default=CORES)
    add("--clock", choices=list(CLOCKS), default="wall", help="cpu where the machine does other work")
    add("--data-dir", type=Path)
    add("--quick", action="store_true", help="see that it works: 1 round, 16 images")
    add("--json", type=Path, help="where all raw numbers go")
    return parser.parse_args()


def main() -> None:
    keep_freed_memory()
    arguments = _arguments()
    rounds, seconds, counts = arguments.rounds, arguments.seconds, arguments.images
    if arguments.quick:
        rounds, seconds, counts = 1, 0.0, [16]
    load_before = os.getloadavg()[0]
    if load_before > 0.5:
        print(
            f"the load is {load_before:.1f}: this machine does other work; only ratios count", file=sys.stderr
        )
    machine = machine_facts(torch.device("cpu"))
    versions = {name: _version(name) for name in ("Pillow", "kornia")}
    print(
        f"{machine['processor']}, {arguments.threads} threads, torch {machine['torch']}, kornia "
        f"{versions['kornia']}, Pillow {versions['Pillow']}"
    )
    results = []
    warnings.filterwarnings("ignore", module="kornia")
    images = images_of(max(counts), arguments.data_dir)
    with thread_count(arguments.threads), torch.inference_mode():
        for case in CASES:
            if arguments.case and case.name not in arguments.case:
                continue
            for count in counts:
                ways = ways_of(case, images[:count])
                results.append(as_json(case, count, measure(ways, rounds, seconds, CLOCKS[arguments.clock])))
    print(report(results))
    if arguments.json:
        settings = {
            "rounds": rounds,
            "seconds": seconds,
            "threads": arguments.threads,
            "clock": arguments.clock,
        }
        facts = {**machine, **versions, "load_before": load_before}
        whole = {"machine": facts, "settings": settings, "goals": GOALS, "results": results}
        arguments.json.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
