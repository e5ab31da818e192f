"""Robust accuracy of five seeds: attacked side by side, one after another, and one seed alone.

    python benchmarks/side_by_side.py --json benchmarks/results/side_by_side.json

Part "attacks" times PGD-40 and the whole evaluation; ways take turns, round by round, after a warm-up, and
medians count. Part "passes" times a forward and backward pass of five models on five minibatches, as one
packed program and one model after another: it shows from where on packing does not pay. See README.md here.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foolscope.attacks import PGD, RobustAccuracyCurve
from foolscope.attacks.evaluation.full_evaluation import robustness_evaluation
from foolscope.attacks.evaluation.robust_accuracy import curve_evaluation
from foolscope.attacks.runner import packs
from foolscope.attacks.runner.side_by_side import Evaluation, alone, side_by_side
from foolscope.core.threads import thread_count
from foolscope.experiments.recipe import recipe_from
from foolscope.experiments.running.provenance import machine_facts
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.experiments.subjects.subject import Subject, run_subject
from foolscope.models import MODELS, build_model
from foolscope.threats import parse_epsilon

CORES = min(2, os.cpu_count() or 1)

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}

WAYS = ("one seed", "one after another", "side by side")


@dataclass(frozen=True)
class Work:
    """Networks of several seeds and what is done to them.

    Args:
        title: what to call it.
        values: of the recipe, without the seed.
        epsilon: L∞ budget, in pixels.
    """

    title: str
    values: dict[str, Any]
    epsilon: str


def _work(title: str, data: dict[str, Any], model: dict[str, Any], epochs: int, epsilon: str) -> Work:
    training = {"epochs": epochs, "batch_size": 64}
    values = {"dataset": data, "model": model, "training": training, "precision": "float32"}
    return Work(title, values, epsilon)


WORKS = {
    "digits": _work("digits, MLP 64-32-10", {"name": "digits"}, {"name": "mlp", "hidden": [32]}, 20, "0.1"),
    "a3": _work(
        "CIFAR-10, MLP 3072-100-10",
        {"name": "cifar10", "limit": 5000},
        {"name": "mlp", "hidden": [100]},
        3,
        "4/255",
    ),
    "cnn": _work(
        "Fashion-MNIST, small CNN", {"name": "fashion-mnist", "limit": 5000}, {"name": "small-cnn"}, 3, "0.05"
    ),
}

ATTACKS = ("pgd-40", "full")


def evaluation(attack: str, subject: Subject, epsilon: str) -> Evaluation[RobustAccuracyCurve]:
    """Return the evaluation of one seed."""
    model, images, labels, seed = subject.model, subject.images, subject.labels, subject.seed
    if attack == "full":
        return robustness_evaluation(model, images, labels, "linf", [epsilon], seed=seed)
    return curve_evaluation(model, images, labels, "linf", [epsilon], [PGD()], seed=seed)


def curves(way: str, attack: str, subjects: Sequence[Subject], epsilon: str) -> list[RobustAccuracyCurve]:
    """Attack the subjects in one of the ways."""
    if way == "side by side":
        return side_by_side([evaluation(attack, subject, epsilon) for subject in subjects])
    some = subjects[:1] if way == "one seed" else subjects
    return [alone(evaluation(attack, subject, epsilon)) for subject in some]


def measure(
    work: Work, attack: str, subjects: Sequence[Subject], rounds: int, clock: Callable[[], float]
) -> dict[str, Any]:
    """Let the ways take turns, after a warm-up; return seconds, peak memory and how far they agree."""
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    peaks, found = {}, {}
    for number in range(-1, rounds):
        for way in WAYS:
            begin = clock()
            found[way] = curves(way, attack, subjects, work.epsilon)
            if number >= 0:
                seconds[way].append(clock() - begin)
            else:
                peaks[way] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    one, after, side = (statistics.median(seconds[way]) for way in WAYS)
    pairs = list(zip(found["one after another"], found["side by side"], strict=True))
    budget = parse_epsilon(work.epsilon)
    return {
        "work": work.title,
        "attack": attack,
        "epsilon": work.epsilon,
        "seeds": len(subjects),
        "images": len(subjects[0].labels),
        "seconds": seconds,
        "medians": {"one seed": one, "one after another": after, "side by side": side},
        "gain": after / side,
        "times_one_seed": side / one,
        "robust_accuracies": [curve.robust_accuracies[0] for curve in found["side by side"]],
        "verdicts_that_differ": sum(
            int(((one.smallest_found > budget) != (other.smallest_found > budget)).sum())
            for one, other in pairs
        ),
        "passes_that_differ": sum(
            abs(one.forward_count - other.forward_count) + abs(one.backward_count - other.backward_count)
            for one, other in pairs
        ),
        "peak_mebibytes_so_far": peaks,
    }


Shape = tuple[str, dict[str, Any], tuple[int, int, int]]

TUNED: dict[str, Shape] = {
    "MLP 64-64-32-10": ("mlp", {"hidden": (64, 32)}, (1, 8, 8)),
    "MLP 784-100-10": ("mlp", {"hidden": (100,)}, (1, 28, 28)),
}
"""Shapes from which the limit of :mod:`foolscope.attacks.runner.packs` was read off."""

REPORTED: dict[str, Shape] = {
    "MLP 64-128-10": ("mlp", {"hidden": (128,)}, (1, 8, 8)),
    "MLP 768-48-48-10": ("mlp", {"hidden": (48, 48)}, (3, 16, 16)),
    "MLP 3072-100-10": ("mlp", {"hidden": (100,)}, (3, 32, 32)),
    "small CNN, 8 x 8": ("small-cnn", {}, (1, 8, 8)),
    "small CNN, 28 x 28": ("small-cnn", {}, (1, 28, 28)),
}
"""Shapes on which the limit is tried."""


def measure_passes(title: str, rows: int, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Time a pass of five models, packed and one after another, in milliseconds."""
    name, fields, shape = {**TUNED, **REPORTED}[title]
    ones = torch.ones(shape[0])
    models = [
        build_model(
            MODELS[name].settings(**fields), shape, 10, seed=seed, mean=0.4 * ones, deviation=0.25 * ones
        )
        .eval()
        .requires_grad_(False)
        for seed in range(5)
    ]
    images = torch.rand(5 * rows, *shape, generator=torch.Generator().manual_seed(0))
    multiplications = packs.Packs().multiplications(models[0], images[:1])
    repeats = max(3, int(3e7 / (rows * multiplications + 3e5)))
    program = packs.packed_program(models, images[:4])
    assert program is not None
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "packed": lambda points: program(points, [rows] * 5),
        "one after another": lambda points: torch.cat(
            [model(part) for model, part in zip(models, torch.split(points, rows), strict=True)]
        ),
    }
    found: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(-1, rounds):
        for way, evaluate in ways.items():
            begin = clock()
            for _ in range(repeats):
                points = images.detach().requires_grad_()
                torch.autograd.grad(evaluate(points).square().sum(), points)
            if number >= 0:
                found[way].append(1000 * (clock() - begin) / repeats)
    medians = {way: statistics.median(values) for way, values in found.items()}
    return {
        "network": title,
        "tuned": title in TUNED,
        "rows": rows,
        "multiplications": rows * multiplications,
        "medians": medians,
        "gain": medians["one after another"] / medians["packed"],
        "used": packs.pays(rows, multiplications),
    }


def _subjects(work: Work, seeds: int, images: int, session: Session) -> list[Subject]:
    trials = run_trials([recipe_from({**work.values, "seed": seed}) for seed in range(seeds)], session)
    return [run_subject(trial, None, "test", images, session) for trial in trials]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--part", choices=["attacks", "passes", "all"], default="all")
    add("--work", choices=[*WORKS, "all"], default="all")
    add("--attack", choices=[*ATTACKS, "all"], default="all")
    add("--images", type=int, default=1000, help="number of test images, from the start of the test set")
    add("--seeds", type=int, default=5)
    add("--rounds", type=int, default=5)
    add("--threads", type=int, default=CORES)
    add("--clock", choices=list(CLOCKS), default="wall", help="cpu: where the machine does other work")
    add("--quick", action="store_true", help="see that it works: digits, 40 images, 1 round")
    add("--store", type=Path, default=Path("foolscope-runs"), help="where the networks are kept")
    add("--json", type=Path, help="where all raw numbers go")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    if arguments.quick:
        arguments.work, arguments.images, arguments.rounds = "digits", 40, 1
    with thread_count(arguments.threads):
        _run(arguments)


def _run(arguments: argparse.Namespace) -> None:
    session = Session(Store(arguments.store), device="cpu")
    clock, load = CLOCKS[arguments.clock], os.getloadavg()[0]
    machine = machine_facts(session.device)
    print(f"{machine['processor']}, {arguments.threads} threads, {arguments.clock} clock, load {load:.1f}")
    document: dict[str, Any] = {
        "machine": {**machine, "load_before": load},
        "settings": {
            name: getattr(arguments, name) for name in ("images", "seeds", "rounds", "threads", "clock")
        },
        "attacks": [],
        "passes": [],
    }

    def keep(part: str, row: dict[str, Any], text: str) -> None:
        print(text, flush=True)
        document[part].append(row)
        if arguments.json:
            arguments.json.write_text(json.dumps(document, indent=1) + "\n")

    if arguments.part in ("passes", "all"):
        for title in {**TUNED, **REPORTED}:
            for rows in (4, 16, 64) if arguments.quick else (4, 16, 64, 200):
                row = measure_passes(title, rows, arguments.rounds, clock)
                told = f"{title}, {rows} rows: packing gains {row['gain']:.2f} ×"
                keep("passes", row, f"{told}, {'used' if row['used'] else 'not used'}")
    if arguments.part in ("attacks", "all"):
        for name in WORKS if arguments.work == "all" else (arguments.work,):
            print(f"{name}: the networks", file=sys.stderr)
            subjects = _subjects(WORKS[name], arguments.seeds, arguments.images, session)
            for attack in ATTACKS if arguments.attack == "all" else (arguments.attack,):
                row = measure(WORKS[name], attack, subjects, arguments.rounds, clock)
                times = ", ".join(f"{way} {value:.2f} s" for way, value in row["medians"].items())
                keep(
                    "attacks",
                    row,
                    f"{row['work']}, {attack}, {row['images']} images: {times}; {row['gain']:.2f} × faster, "
                    f"{row['times_one_seed']:.2f} × one seed, {row['verdicts_that_differ']} verdicts differ",
                )


if __name__ == "__main__":
    main()
