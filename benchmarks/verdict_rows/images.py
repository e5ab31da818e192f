"""How often intervals about new images hold, measured on networks whose population is known.

    python -m benchmarks.verdict_rows.images --bits /tmp/bits.npz --json rows.json

Perceptrons are trained on Fashion-MNIST without 20,000 of its images, which with the seeds are the
population: every seed's result on every image is known. Test sets and seeds are drawn from it with
replacement, the intervals are computed from the draw, and it is counted how often they cover the
population's value.
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool

from foolscope.data import load
from foolscope.data.dataset import Dataset
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.learning import train_pack
from foolscope.statistics.estimate import Estimate, interval, mean_estimate
from foolscope.statistics.images import image_part, total_degrees_of_freedom
from foolscope.statistics.population import population_interval

__all__ = ["ImageRow", "difference_row", "population_bits", "population_row"]

SETTINGS = {f"rate {rate}": {"learning_rate": rate} for rate in (0.05, 0.03, 0.01)}
HELD_OUT = 20_000

Bits = Bool[np.ndarray, "seed image"]


@dataclass(frozen=True)
class ImageRow:
    """The shares of draws in which something held.

    Args:
        what: the quantity, and the settings it is of.
        images: in a test set.
        seeds: in a draw.
        truth: the population's value.
        over_seeds: the share of 95 % t intervals over the seeds alone that cover it.
        covered: the share of 95 % intervals over seeds and images that cover it.
        no_effect: of a difference, the share of draws that wrongly find it smaller than itself; else 0.
        width: mean length of the intervals over seeds and images.
        error: the Monte-Carlo standard error of ``covered``.
    """

    what: str
    images: int
    seeds: int
    truth: float
    over_seeds: float
    covered: float
    no_effect: float
    width: float
    error: float


def population_bits(seeds: int = 40, *, training_images: int = 20_000, epochs: int = 8) -> dict[str, Bits]:
    """Train a perceptron per setting and seed; return which images held out each classifies correctly."""
    base = recipe_from(
        {
            "dataset": {"name": "fashion-mnist", "validation": "official"},
            "model": {"name": "mlp", "hidden": [64]},
            "optimizer": {"name": "sgd", "momentum": 0.9},
            "schedule": {"name": "cosine"},
            "training": {"epochs": epochs, "batch_size": 128},
            "precision": "float32",
        }
    )
    whole = load(base.dataset)
    order = np.random.default_rng(0).permutation(len(whole.train))
    population = whole.train.take(_indices(order[:HELD_OUT]))
    train = whole.train.take(_indices(order[HELD_OUT : HELD_OUT + training_images]))
    dataset = Dataset.build("population", whole.classes, train, None, population)
    trials = [
        with_values(base, {**values, "seed": seed}) for seed in range(seeds) for values in SETTINGS.values()
    ]
    outcomes = train_pack(trials, dataset)
    return {
        name: np.stack([outcome.correct["test"] for outcome in outcomes[position :: len(SETTINGS)]])
        for position, name in enumerate(SETTINGS)
    }


def population_row(
    name: str, population: Bits, images: int, seeds: int, draws: int, generator: np.random.Generator
) -> ImageRow:
    """Count how often the interval of the accuracy covers that of the population."""

    def intervals(drawn: Bits) -> tuple[tuple[float, float], tuple[float, float], bool]:
        return interval(mean_estimate(drawn.mean(axis=1))), population_interval(drawn), False

    def draw() -> Bits:
        return _drawn(population, seeds, images, generator)

    return _counted(
        f"accuracy, {name}", images, seeds, float(population.mean()), draws, lambda: intervals(draw())
    )


def difference_row(
    name: str,
    first: Bits,
    second: Bits,
    images: int,
    seeds: int,
    draws: int,
    generator: np.random.Generator,
) -> ImageRow:
    """Count how often the interval of a difference covers it, and how often it is called smaller than it is.

    The practical difference is the true one, the hardest case: any "no effect" is wrong.
    """
    both = first.view(np.int8) - second.view(np.int8)
    truth = float(both.mean())

    def intervals() -> tuple[tuple[float, float], tuple[float, float], bool]:
        drawn = _drawn(both, seeds, images, generator)
        on_these = mean_estimate(drawn.mean(axis=1))
        part = image_part(drawn)
        over_seeds = on_these.standard_error**2
        freedom = total_degrees_of_freedom(
            (over_seeds, on_these.degrees_of_freedom), (part.variance, part.degrees_of_freedom)
        )
        error = math.sqrt(over_seeds + part.variance)
        on_new = Estimate(on_these.value, error, max(1, int(freedom)), seeds)
        low, high = interval(on_new, 0.9)
        return interval(on_these), interval(on_new), -abs(truth) < low and high < abs(truth)

    return _counted(f"difference, {name}", images, seeds, truth, draws, intervals)


def _drawn(population: np.ndarray, seeds: int, images: int, generator: np.random.Generator) -> np.ndarray:
    rows = generator.integers(len(population), size=seeds)
    columns = generator.integers(population.shape[1], size=images)
    return np.ascontiguousarray(population[np.ix_(rows, columns)])


def _counted(
    what: str,
    images: int,
    seeds: int,
    truth: float,
    draws: int,
    intervals: Callable[[], tuple[tuple[float, float], tuple[float, float], bool]],
) -> ImageRow:
    found = [intervals() for _ in range(draws)]
    over_seeds, covered = (
        float(np.mean([ends[0] <= truth <= ends[1] for ends in each]))
        for each in ([one[0] for one in found], [one[1] for one in found])
    )
    return ImageRow(
        what=what,
        images=images,
        seeds=seeds,
        truth=truth,
        over_seeds=over_seeds,
        covered=covered,
        no_effect=float(np.mean([one[2] for one in found])),
        width=float(np.mean([high - low for _, (low, high), _ in found])),
        error=math.sqrt(covered * (1 - covered) / draws),
    )


def _indices(chosen: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(chosen)


def rows(bits: dict[str, Bits], draws: int, sizes: Sequence[int] = (360, 2_000, 10_000)) -> list[ImageRow]:
    """Measure both rows for every setting and pair, test sets of several sizes, and 5 and 20 seeds."""
    generator = np.random.default_rng(0)
    found = []
    for images in sizes:
        for seeds in (5, 20):
            for name, own in bits.items():
                found.append(population_row(name, own, images, seeds, draws, generator))
            for one, other in combinations(bits, 2):
                name = f"{one} - {other}"
                found.append(difference_row(name, bits[one], bits[other], images, seeds, draws, generator))
    return found


def main() -> None:
    """Train or read the networks' results, measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bits", type=Path, help="where the networks' results are kept (.npz)")
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.bits is not None and options.bits.exists():
        with np.load(options.bits) as stored:
            bits = dict(zip(stored["settings"].tolist(), stored["correct"], strict=True))
    else:
        bits = population_bits()
        if options.bits is not None:
            np.savez_compressed(
                options.bits, settings=np.array(list(bits)), correct=np.stack(list(bits.values()))
            )
    found = rows(bits, options.draws)
    for row in found:
        print(
            f"{row.what:38} {row.images:6} images {row.seeds:3} seeds  truth {100 * row.truth:6.2f}  "
            f"over seeds {100 * row.over_seeds:5.1f} %  new images {100 * row.covered:5.1f} % "
            f"(± {100 * row.error:.1f})  wrong no effect {100 * row.no_effect:4.1f} %  "
            f"width {100 * row.width:.2f}"
        )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n")


if __name__ == "__main__":
    main()
