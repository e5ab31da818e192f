"""An ablation's trials in packs, against a notebook, a tuned loop and Optuna, all in one run.

    python benchmarks/ablation.py --json benchmarks/results/ablation.json

    python benchmarks/ablation.py --command --json benchmarks/results/command.json

For each work (A3, C2, networks of the size of digits) every way of training takes the same gradient steps on
the same minibatches; ways take turns, round by round, after a warm-up; medians count. Beside them stand the
machine's limits, measured in the same run. See README.md here for what each way is.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from ablation_ways import arrangements, command, graphs, notebook, packs, tuned, tuner
from ablation_ways.roofline import Limits, Peaks, measure_limits, measure_peaks
from ablation_ways.side_by_side import SideBySide
from ablation_ways.tables import Result, accounts, fastest, ratios, report
from ablation_ways.way import ARRANGEMENTS, CORES, Training, Way, advance, measure
from ablation_ways.work import WORKS, Work

from foolscope.core.threads import thread_count
from foolscope.experiments.running.provenance import machine_facts

_PACK_SIZES_ON_GPU = (1, 8, 32, 128, 256)


def ways_of(work: Work, devices: Sequence[str], steps: int, *, compiles: bool) -> list[Way]:
    """Return every way to train the work except Optuna, which uses the fastest tuned loop."""
    ways: list[Way] = []
    if "cpu" in devices:
        ways += notebook.ways(work)
        ways += tuned.ways(work, compiles=compiles)
        ways += packs.ways(work, work.pack_sizes)
        ways += packs.whole_ways(work, max(1, steps // 4))
    if "cuda" in devices:
        ways += graphs.ways(work)
        ways += packs.ways(work, _PACK_SIZES_ON_GPU, "cuda")
    return ways


def measure_ways(work: Work, ways: Sequence[Way], rounds: int, steps: int) -> list[Result]:
    """Start and warm up every way, then measure the ways in turn.

    Args:
        work: which.
        ways: all but Optuna's.
        rounds: of which the median counts.
        steps: trial-steps of a way in a round, in each of its processes.
    """
    started: dict[Way, list[Training]] = {}
    with SideBySide([way for way in ways if way.arrangement == "2 processes"]) as processes:

        def milliseconds(way: Way) -> float:
            if way.arrangement == "2 processes":
                return processes.measure(way, steps)
            return measure(way, started[way], steps)

        def warm_up(way: Way) -> Result:
            begin = time.perf_counter()
            if way.arrangement == "2 processes":
                processes.measure(way, steps=1)
            else:
                started[way] = way.start(0)
                with thread_count(way.threads):
                    advance(started[way][:1], 1)
            return Result(way, time.perf_counter() - begin, [milliseconds(way)])

        _tell(f"warm-up: {len(ways)} ways")
        warm = [warm_up(way) for way in ways]
        in_one_process = [result for result in warm if result.way.arrangement != "2 processes"]
        loop = fastest(in_one_process, tuned.EAGER)
        if loop is not None and find_spec("optuna"):
            warm.append(warm_up(tuner.way_over(work, loop.way, steps)))
        results = [replace(result, milliseconds=[]) for result in warm]
        for number in range(rounds):
            _tell(f"round {number + 1} of {rounds}")
            for result in results:
                result.milliseconds.append(milliseconds(result.way))
    return results


def limits_of(work: Work, ways: Sequence[Way]) -> Limits:
    """Measure the least time that the products and the memory traffic of a step take."""
    sizes: dict[str, set[int]] = {}
    for way in ways:
        device = "cuda" if way.arrangement == "cuda" else "cpu"
        sizes.setdefault(device, {1})
        if way.row.startswith(f"{packs.STEPS} "):
            sizes[device].add(way.trial_steps // way.seeds)
    return measure_limits(work, {device: sorted(each) for device, each in sizes.items()})


def as_json(work: Work, results: Sequence[Result], limits: Limits, peaks: Peaks) -> dict[str, Any]:
    """Return all raw numbers of one work."""
    return {
        "title": work.title,
        "steps_of_a_trial": work.trial_steps,
        "ways": [
            {
                "way": result.way.row,
                "precision": result.way.precision,
                "arrangement": result.way.arrangement,
                "detail": str(result.way.detail),
                "first_step_seconds": result.first_seconds,
                "milliseconds_per_trial_step": result.milliseconds,
                "median": result.median,
            }
            for result in results
        ],
        "ratios": {
            name: {"reached": reached, "goal": goal}
            for name, (reached, goal) in ratios(work, results).items()
        },
        "accounts_in_milliseconds": {
            name: asdict(account) for name, account in accounts(results, limits, peaks).items()
        },
        "limits": {
            "flops": limits.flops,
            "bytes": limits.bytes,
            "image_bytes": limits.image_bytes,
            "product_seconds": _named(limits.products),
            "cache_bytes_per_second": _named(limits.cache_bytes),
        },
    }


def _named(table: Mapping[Any, float]) -> dict[str, float]:
    return {", ".join(str(part) for part in key): value for key, value in table.items()}


def _tell(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr)


def _describe(peaks: Peaks) -> str:
    products = (f"{rate / 1e9:.0f} ({', '.join(key)})" for key, rate in peaks.flops.items())
    traffic = (f"{rate / 1e9:.1f} ({key})" for key, rate in peaks.bytes.items())
    return f"products, GFLOP/s: {'; '.join(products)}\nmain memory, GB/s: {'; '.join(traffic)}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--workload", choices=["a3", "c2", "digits", "all"], default="all")
    add("--rounds", type=int, default=5, help="of which the median counts")
    add("--steps", type=int, default=192, help="gradient steps times trials in a round")
    add("--quick", action="store_true", help="see that it works: 2 rounds of 32 steps, no compiler")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="auto: all there are")
    add("--command", action="store_true", help="only whole programs, from their start to their end")
    add("--arrangements", action="store_true", help="only threads against processes, on eight networks")
    add("--epochs", type=int, help="of every trial of the whole programs")
    add("--json", type=Path, help="where all raw numbers go")
    return parser.parse_args()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:  # nothing that an earlier run compiled
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        arguments = _arguments()
        if arguments.arrangements:
            _run_arrangements(arguments)
        else:
            (_run_commands if arguments.command else _run)(arguments)


def _run_arrangements(arguments: argparse.Namespace) -> None:
    rounds, steps = (1, 16) if arguments.quick else (arguments.rounds, arguments.steps)
    rows = []
    for name, shape in arrangements.SHAPES.items():
        for precision in ("float32", "bfloat16"):
            _tell(f"{name}, {precision}")
            threads, processes = (
                result.median
                for result in measure_ways(shape.work, arrangements.ways_of(shape, precision), rounds, steps)
            )
            rows.append(
                {
                    "shape": name,
                    "precision": precision,
                    "tuned_on": shape.tuned_on,
                    "threads": threads,
                    "processes": processes,
                    "estimate": arrangements.estimate(shape, precision),
                }
            )
    print(arrangements.table(rows))
    if arguments.json:
        machine = {**machine_facts(torch.device("cpu")), "load": os.getloadavg()[0]}
        arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


def _run_commands(arguments: argparse.Namespace) -> None:
    rounds, steps = (1, 32) if arguments.quick else (arguments.rounds, arguments.steps)
    load = os.getloadavg()[0]
    if load > 0.5:
        _tell(f"the load is {load:.1f}: this machine does other work, and these figures will mean little")
    machine = machine_facts(torch.device("cpu"))
    document: dict[str, Any] = {
        "machine": {**machine, "cores_used": CORES, "load_before": load},
        "settings": {"rounds": rounds, "steps": steps},
        "cases": {},
    }
    for name, case in command.CASES.items():
        if arguments.workload != "all" and not name.startswith(arguments.workload):
            continue
        epochs = 1 if arguments.quick else arguments.epochs or case.epochs
        own = replace(case, epochs=epochs)
        programs = command.programs_of(own, threads=not arguments.quick)
        command.run_case(own, programs, rounds, _tell)
        alone = _step_milliseconds(WORKS[name], rounds, steps)
        print(f"\n{command.table(own, programs, alone)}", flush=True)
        document["cases"][name] = command.as_json(own, programs, alone)
        if arguments.json:
            arguments.json.write_text(json.dumps(document, indent=1) + "\n")


def _step_milliseconds(work: Work, rounds: int, steps: int) -> dict[str, float]:
    """Measure the steps of packs on all cores alone: by way, the milliseconds of a trial-step."""
    ways = [way for way in packs.ways(work, work.pack_sizes[-3:]) if way.arrangement == ARRANGEMENTS[-1]]
    results = measure_ways(work, ways, rounds, max(1, round(steps * work.patience)))
    return {str(result.way): result.median for result in results}


def _run(arguments: argparse.Namespace) -> None:
    rounds, steps = (2, 32) if arguments.quick else (arguments.rounds, arguments.steps)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    if arguments.device != "auto":
        devices = [arguments.device]
    load = os.getloadavg()[0]
    if load > 0.5:
        _tell(f"the load is {load:.1f}: this machine does other work, and these figures will mean little")
    begin = time.perf_counter()
    compiler = "not tried" if arguments.quick or "cpu" not in devices else tuned.compiler_failure() or "works"
    peaks = measure_peaks(devices)
    machine = machine_facts(torch.device(devices[-1]))
    print(f"{machine['processor']}, {CORES} cores used, torch {machine['torch']}; torch.compile: {compiler}")
    print(_describe(peaks))
    document: dict[str, Any] = {
        "machine": {**machine, "cores_used": CORES, "torch_compile": compiler, "load_before": load},
        "settings": {"rounds": rounds, "steps": steps},
        "peaks": {"flops_per_second": _named(peaks.flops), "bytes_per_second": peaks.bytes},
        "works": {},
    }
    for name, work in WORKS.items():
        if arguments.workload != "all" and not name.startswith(arguments.workload):
            continue
        own_steps = max(1, round(steps * work.patience))
        ways = ways_of(work, devices, own_steps, compiles=compiler == "works")
        _tell(f"{name}: limits of the machine")
        limits = limits_of(work, ways)
        results = measure_ways(work, ways, rounds, own_steps)
        print(f"\n{report(work, results, limits, peaks)}", flush=True)
        document["works"][name] = as_json(work, results, limits, peaks)
        document["seconds"] = time.perf_counter() - begin
        if arguments.json:
            arguments.json.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
