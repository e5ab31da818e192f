"""How often verdicts are wrong, and how often they decide, where the truth is known.

    python benchmarks/verdicts.py --json benchmarks/results/verdicts.json

Ablations of five or eight cells are drawn with known truth and judged by ``foolscope.statistics.judge``, as
every ablation is. See README.md here.
"""

import argparse
import json
import math
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from foolscope.experiments.running.provenance import machine_facts
from foolscope.statistics import BlockDesign, contrast, difference, fit_additive, holm, judge
from foolscope.statistics.estimate import p_different

ALPHA = 0.05
BATCH = 100


@dataclass(frozen=True)
class Condition:
    """How the trials of an ablation scatter around their cells' means.

    Args:
        deviations: of the cells, the baseline first.
        noise: of one trial, with standard deviation 1, from a generator and a shape.
        block: standard deviation of what a seed does to all cells.
        step: size of one count, where values are rounded to whole images.
    """

    deviations: tuple[float, ...]
    noise: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
    block: float = 1.0
    step: float = 0.0


def gaussian(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from the normal distribution."""
    return generator.standard_normal(shape)


def heavy(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw from Student's t distribution with 3 degrees of freedom, scaled to standard deviation 1."""
    return generator.standard_t(3, shape) / math.sqrt(3)


def collapsing(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Draw normal values of which one in twenty lies ten deviations lower, scaled to standard deviation 1."""
    drawn = generator.standard_normal(shape) - 10 * (generator.random(shape) < 0.05)
    return (drawn + 0.5) / math.sqrt(1 + 100 * 0.05 * 0.95)


EVEN = (1.0,) * 5
CONDITIONS: dict[str, Condition] = {
    "equal, normal": Condition(EVEN, gaussian),
    "strong blocks": Condition(EVEN, gaussian, block=20.0),
    "t with 3 degrees of freedom": Condition(EVEN, heavy),
    "5 % of the runs collapse": Condition(EVEN, collapsing),
    "baseline 2 x noisier": Condition((2.0, *EVEN[1:]), gaussian),
    "baseline 3 x noisier": Condition((3.0, *EVEN[1:]), gaussian),
    "baseline 3 x noisier, 8 cells": Condition((3.0, *(1.0,) * 7), gaussian),
    "baseline 10 x noisier": Condition((10.0, *EVEN[1:]), gaussian),
    "one cell 10 x noisier": Condition((*EVEN[:-1], 10.0), gaussian),
    "two cells 10 x noisier": Condition((*EVEN[:-2], 10.0, 10.0), gaussian),
    "a step of one image is 5 deviations": Condition(EVEN, gaussian, block=0.0, step=5.0),
}
SEEDS = (2, 3, 5, 10)
EFFECTS = {2: 4.0, 3: 2.5, 5: 1.8, 10: 1.25}
"""Differences in deviations, by the number of seeds, that pooled t tests with Holm find in about 64 %."""


def simulate(name: str, seeds: int, draws: int, seed: int) -> dict[str, int]:
    """Count what happens in so many ablations without any difference, and with known ones."""
    condition = CONDITIONS[name]
    generator = np.random.default_rng([seed, seeds, list(CONDITIONS).index(name)])
    deviations = np.array(condition.deviations)
    cells = tuple(f"c{index}" for index in range(len(deviations)))
    reach = np.sqrt((deviations[0] ** 2 + deviations[1:] ** 2) / seeds)
    margin = 8 * float(max(reach.max(), condition.step / 2))
    effect = EFFECTS[seeds] * np.array([0.0, *(1.0, -1.0) * 4])[: len(cells)]
    counts = dict.fromkeys(
        ("draws", "false effects", "false equivalences", "covered", "found", "differences"), 0
    )

    def judged(means: np.ndarray, delta: float) -> Any:
        values = means[:, None] + deviations[:, None] * condition.noise(generator, (len(cells), seeds))
        values = values + condition.block * generator.standard_normal(seeds)
        if condition.step:
            offset = generator.random()  # where the grid of whole images lies is chance, too
            values = (np.round(values / condition.step + offset) - offset) * condition.step
        design = BlockDesign(cells, tuple(range(seeds)), values, step=condition.step)
        return judge(design, cells[0], practical_difference=delta, alpha=ALPHA, plan=False)

    for _ in range(draws):
        shift = condition.step * generator.random(len(cells))
        null = judged(np.full(len(cells), shift[0]), 1e-6)
        counts["false effects"] += any(
            verdict.outcome in ("helps", "hurts", "smaller than matters") for verdict in null
        )
        counts["covered"] += sum(verdict.interval[0] <= 0 <= verdict.interval[1] for verdict in null)
        apart = judged(margin * np.array([0.0, *(1.0, -1.0) * 4])[: len(cells)] + shift[0], margin)
        counts["false equivalences"] += any(
            verdict.outcome in ("no effect", "smaller than matters") for verdict in apart
        )
        counts["differences"] += len(null)
        counts["draws"] += 1
        real = judged(effect, 1e-6)
        counts["found"] += sum(verdict.outcome in ("helps", "hurts") for verdict in real)
    return counts


def simulate_pooled(name: str, seeds: int, draws: int, seed: int) -> dict[str, int]:
    """Count false effects and power of t tests that pool all residuals, adjusted by Holm."""
    condition = CONDITIONS[name]
    generator = np.random.default_rng([seed, seeds, list(CONDITIONS).index(name)])
    deviations = np.array(condition.deviations)
    cells = tuple(f"c{index}" for index in range(len(deviations)))
    effect = EFFECTS[seeds] * np.array([0.0, *(1.0, -1.0) * 4])[: len(cells)]
    counts = dict.fromkeys(("draws", "false effects", "found", "differences"), 0)
    for _ in range(draws):
        noise = deviations[:, None] * condition.noise(generator, (len(cells), seeds))
        for means, count in ((0 * effect, "false effects"), (effect, "found")):
            fit = fit_additive(BlockDesign(cells, tuple(range(seeds)), noise + means[:, None]))
            tests = [p_different(contrast(fit, difference(cell, cells[0]))) for cell in cells[1:]]
            rejected = holm(np.array(tests)) < ALPHA
            counts[count] += int(rejected.any() if count == "false effects" else rejected.sum())
        counts["draws"] += 1
        counts["differences"] += len(cells) - 1
    return counts


def pooled(draws: int, names: list[str]) -> None:
    """Print false effects and power of pooled tests, the procedure that verdicts had before."""
    for name in names:
        for seeds in SEEDS:
            found = simulate_pooled(name, seeds, draws, 0)
            wrong, power = found["false effects"] / draws, found["found"] / found["differences"]
            print(f"{name:38}{seeds:6}  wrong {100 * wrong:5.1f}  power {100 * power:5.1f}", flush=True)


def measure(draws: int, names: list[str]) -> list[dict[str, Any]]:
    """Simulate every condition with every number of seeds, in as many processes as there are cores."""
    found = []
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for name in names:
            for seeds in SEEDS:
                batches = [
                    pool.submit(simulate, name, seeds, min(BATCH, draws - begin), begin)
                    for begin in range(0, draws, BATCH)
                ]
                counts = [batch.result() for batch in batches]
                total = {key: sum(each[key] for each in counts) for key in counts[0]}
                row = {
                    "condition": name,
                    "seeds": seeds,
                    "draws": total["draws"],
                    "false effects": total["false effects"] / total["draws"],
                    "false equivalences": total["false equivalences"] / total["draws"],
                    "coverage": total["covered"] / total["differences"],
                    "power": total["found"] / total["differences"],
                }
                found.append(row)
                print(line(row), flush=True)
    return found


def line(row: dict[str, Any]) -> str:
    """Write a row of the table, in per cent, with the Monte-Carlo errors of the two error rates."""
    shares = []
    for name in ("false effects", "false equivalences"):
        error = math.sqrt(max(row[name], 0.01) * (1 - row[name]) / row["draws"])
        shares.append(f"{100 * row[name]:6.1f} ± {100 * error:.1f}")
    begin = f"{row['condition']:38}{row['seeds']:6}  {' '.join(shares)}"
    return f"{begin}{100 * row['coverage']:9.1f}{100 * row['power']:8.1f}"


def main() -> None:
    """Run the simulation and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000, help="ablations of each kind")
    parser.add_argument("--condition", action="append", choices=list(CONDITIONS), help="only these")
    parser.add_argument("--pooled", action="store_true", help="tests that pool all residuals, with Holm")
    parser.add_argument("--quick", action="store_true", help="100 draws")
    parser.add_argument("--json", type=Path, help="where all numbers go")
    arguments = parser.parse_args()
    draws = 100 if arguments.quick else arguments.draws
    if arguments.pooled:
        pooled(draws, arguments.condition or list(CONDITIONS))
        return
    print(f"{'':38}{'seeds':>6}  wrong helps/hurts, no effect  coverage   power   (%, {draws} draws)")
    rows = measure(draws, arguments.condition or list(CONDITIONS))
    if arguments.json:
        machine = machine_facts(torch.device("cpu"))
        arguments.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
