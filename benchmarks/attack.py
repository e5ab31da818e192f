"""Our attacks beside those of Foolbox, torchattacks, ART and AutoAttack: same model, images and budget.

    python benchmarks/attack.py --json benchmarks/results/attack.json

Three parts. "pgd": forty steps of PGD. "full": the whole evaluation against AutoAttack. "budgets": eight
budgets against one. Ways take turns, round by round, after a warm-up; medians count. A referee counts the
passes through the model and judges the images that each way returns. See README.md here.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from attack_ways import full, pgd
from attack_ways.case import WORKS, Case, cases_of
from attack_ways.referee import Counted, Result, Way, absence, measure, tried_batch_sizes, version
from attack_ways.tables import Goal, Price, budget_goals, budget_report, goals_of, report

from foolscope.attacks import evaluate_robustness
from foolscope.core.cores import available_cores
from foolscope.core.threads import thread_count
from foolscope.experiments.running.provenance import machine_facts
from foolscope.experiments.running.run import Session
from foolscope.experiments.running.store import Store

CORES = min(2, available_cores())
"""How many cores may be used: two, as a small machine has."""

_PARTS = {"pgd": pgd.ways, "full": full.ways}


def measure_ways(case: Case, ways: Sequence[Way], rounds: int, seed: int, warm_up: int) -> list[Result]:
    """Warm every way up on a few images, which settles its batch size, then let the ways take turns.

    Args:
        case: what is attacked.
        ways: those that are there, ours first.
        rounds: of which the median counts.
        seed: of the first round; every round has another.
        warm_up: images for it.
    """
    few = replace(case, images=case.images[:warm_up], labels=case.labels[:warm_up])
    sizes = {}
    for way in ways:
        _tell(f"  warm-up: {way.row}")
        sizes[way] = tried_batch_sizes(way, few, seed)
    results: dict[Way, Result] = {}
    for number in range(rounds):
        for way in ways:
            _tell(f"  round {number + 1} of {rounds}: {way.row}")
            result = measure(way, case, sizes[way], seed + number)
            results.setdefault(way, replace(result, seconds=[])).seconds.extend(result.seconds)
    return list(results.values())


def measure_budgets(case: Case, rounds: int, seed: int) -> tuple[Price, Price]:
    """Evaluate at one budget and at eight, in turn, after a round of both that does not count."""
    budgets = {1: [case.epsilon], 8: full.eight_budgets(case.epsilon)}
    seconds: dict[int, list[float]] = {1: [], 8: []}
    prices = {}
    for number in range(-1, rounds):
        for count, epsilons in budgets.items():
            model = Counted(case.model).eval()
            begin = time.perf_counter()
            curve = evaluate_robustness(model, case.images, case.labels, case.norm, epsilons, seed=seed)
            if number >= 0:
                seconds[count].append(time.perf_counter() - begin)
                median = statistics.median(seconds[count])
                prices[count] = Price(count, median, model.passes.total, curve.robust_accuracies)
    return prices[1], prices[8]


def as_json(case: Case, results: Sequence[Result], absent: Mapping[Way, str]) -> dict[str, Any]:
    """Return all raw numbers of one case."""
    return {
        "case": case.title,
        "images": len(case.labels),
        "ways": [
            {
                "way": each.way.row,
                "version": version(each.way),
                "remark": each.way.remark,
                "batch_size": each.batch_size or "own",
                "seconds": each.seconds,
                "median_seconds": each.median,
                "forwards": each.passes.forwards,
                "backwards": each.passes.backwards,
                "robust_accuracy": each.robust_accuracy,
                "images_not_allowed": each.outside,
            }
            for each in results
        ],
        "absent": {way.row: reason for way, reason in absent.items()},
        "goals": _goals_as_json(goals_of(case, results)),
    }


def _goals_as_json(goals: Sequence[Goal]) -> list[dict[str, Any]]:
    return [{**asdict(goal), "met": goal.met} for goal in goals]


def _budgets_as_json(case: Case, one: Price, eight: Price) -> dict[str, Any]:
    return {
        "case": case.title,
        "images": len(case.labels),
        "one": asdict(one),
        "eight": asdict(eight),
        "goals": _goals_as_json(budget_goals(one, eight)),
    }


def _tell(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--part", choices=[*_PARTS, "budgets", "all"], default="all")
    add("--work", choices=[*WORKS, "all"], default="all", help="all: Fashion-MNIST and CIFAR-10")
    add("--without", action="append", default=[], metavar="WAY", help="skip ways named like this")
    add("--images", type=int, default=1000, help="number of test images, from the start of the test set")
    add("--rounds", type=int, default=5, help="of PGD, and of one budget against eight")
    add("--full-rounds", type=int, default=1, help="of the whole evaluation, which takes minutes a way")
    add("--quick", action="store_true", help="see that it works: digits, 60 images, 2 rounds")
    add("--threads", type=int, default=CORES, help="of every way")
    add("--seed", type=int, default=0)
    add("--store", type=Path, default=Path("foolscope-runs"), help="where the networks are kept")
    add("--json", type=Path, help="where all raw numbers go")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    if arguments.quick:
        arguments.work, arguments.images, arguments.rounds = "digits", 60, 2
    with thread_count(arguments.threads):
        _run(arguments)


def _run(arguments: argparse.Namespace) -> None:
    load = os.getloadavg()[0]
    if load > 0.5:
        _tell(f"the load is {load:.1f}: this machine does other work, and these figures will mean little")
    full.find_autoattack()
    begin = time.perf_counter()
    session = Session(Store(arguments.store), device="cpu")
    machine = machine_facts(session.device)
    print(f"{machine['processor']}, {arguments.threads} threads, torch {machine['torch']}")
    document: dict[str, Any] = {
        "machine": {**machine, "load_before": load},
        "settings": {
            name: getattr(arguments, name) for name in ("images", "rounds", "full_rounds", "threads", "seed")
        },
        "pgd": [],
        "full": [],
        "budgets": [],
    }
    names = ("fashion-mnist", "cifar10") if arguments.work == "all" else (arguments.work,)
    for name in names:
        _tell(f"{name}: the networks")
        for case in cases_of(name, WORKS[name], session, arguments.images):
            for part in (*_PARTS, "budgets") if arguments.part == "all" else (arguments.part,):
                _tell(f"{case.title}: {part}")
                text, numbers = _measure_part(part, case, arguments)
                print(f"\n{part}: {text}", flush=True)
                document[part].append(numbers)
                document["seconds"] = time.perf_counter() - begin
                if arguments.json:
                    arguments.json.write_text(json.dumps(document, indent=1) + "\n")


def _measure_part(part: str, case: Case, arguments: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    if part == "budgets":
        prices = measure_budgets(case, arguments.rounds, arguments.seed)
        return budget_report(case, *prices), _budgets_as_json(case, *prices)
    ours, *others = _PARTS[part]()
    ways = [ours, *(way for way in others if not any(name in way.row for name in arguments.without))]
    absent = {way: reason for way in ways if (reason := absence(way)) is not None}
    present = [way for way in ways if way not in absent]
    rounds, warm_up = (arguments.rounds, 500) if part == "pgd" else (arguments.full_rounds, 8)
    results = measure_ways(case, present, rounds, arguments.seed, warm_up)
    return report(case, results, absent), as_json(case, results, absent)


if __name__ == "__main__":
    main()
