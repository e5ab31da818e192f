"""Time of a training step of a perceptron on one thread: the NumPy reference against PyTorch.

    python benchmarks/reference.py --json benchmarks/results/reference.json

A step is forward, backward and SGD on a minibatch of 128 CIFAR-sized images in float32. Both ways start from
the same weights, see the same minibatches and take turns, round by round, after a warm-up; medians count.
"""
# ruff: noqa: E402 - the number of threads must be set before NumPy is imported

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from foolscope.core.threads import thread_count
from foolscope.experiments.running.provenance import machine_facts
from foolscope.inspection.gradients.mirroring import described, state_of
from foolscope.models import MLP, build_model
from foolscope.reference import SGD, CrossEntropy, TrainingState, reference_network, train

GOAL = 2.0
"""Times the duration of PyTorch's step that the reference's may take."""

LEARNING_RATE = 0.1

Batches = Sequence[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Shape:
    """A perceptron with its minibatches."""

    image: tuple[int, int, int] = (3, 32, 32)
    hidden: int = 100
    classes: int = 10
    batch: int = 128

    def model(self) -> nn.Module:
        """Return the network in float32."""
        channels = self.image[0]
        return build_model(
            MLP(hidden=(self.hidden,)),
            self.image,
            self.classes,
            seed=0,
            mean=torch.full((channels,), 0.5),
            deviation=torch.full((channels,), 0.25),
        )

    def batches(self, count: int) -> Batches:
        """Return minibatches of noise, because the time of a step does not depend on the images."""
        generator = np.random.default_rng(0)
        return [
            (
                generator.random((self.batch, *self.image), dtype=np.float32),
                generator.integers(self.classes, size=self.batch),
            )
            for _ in range(count)
        ]


def in_numpy(shape: Shape) -> Callable[[Batches], list[float]]:
    """Return a function that takes one NumPy step per minibatch and returns the losses."""
    model = shape.model()
    network = reference_network(described(model))
    state = TrainingState(state_of(model), {})

    def advance(batches: Batches) -> list[float]:
        nonlocal state
        rates = [LEARNING_RATE] * len(batches)
        state, steps = train(network, state, batches, rates, loss=CrossEntropy(), sgd=SGD())
        return steps.losses.tolist()

    return advance


def in_pytorch(shape: Shape) -> Callable[[Batches], list[float]]:
    """Return the usual PyTorch loop over the same minibatches."""
    model = shape.model()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def advance(batches: Batches) -> list[float]:
        losses = []
        for images, labels in batches:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(torch.from_numpy(images)), torch.from_numpy(labels))
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        return torch.stack(losses).tolist()

    return advance


WAYS = {"reference (NumPy)": in_numpy, "PyTorch": in_pytorch}


def measure(shape: Shape, rounds: int, steps: int) -> dict[str, list[float]]:
    """Return the milliseconds of a step by way and round, without a first warm-up round."""
    batches = shape.batches(steps)
    ways = {name: start(shape) for name, start in WAYS.items()}
    found: dict[str, list[float]] = {name: [] for name in ways}
    with thread_count(1):
        for number in range(rounds + 1):
            for name, advance in ways.items():
                begin = time.perf_counter()
                advance(batches)
                milliseconds = 1000 * (time.perf_counter() - begin) / steps
                if number:
                    found[name].append(milliseconds)
    return found


def as_json(shape: Shape, found: dict[str, list[float]]) -> dict[str, Any]:
    """Return all raw numbers with the medians and their ratio."""
    medians = {name: statistics.median(values) for name, values in found.items()}
    own, others = medians.values()
    return {
        "title": f"one step of SGD, MLP {np.prod(shape.image)}-{shape.hidden}-{shape.classes}, batch "
        f"{shape.batch}, float32, 1 thread",
        "milliseconds": found,
        "medians": medians,
        "ratio": {"reached": own / others, "goal": GOAL},
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--rounds", type=int, default=9, help="of which the median counts")
    add("--steps", type=int, default=100, help="in a round")
    add("--quick", action="store_true", help="see that it works: 2 rounds of 5 steps")
    add("--json", type=Path, help="where all raw numbers go")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    rounds, steps = (2, 5) if arguments.quick else (arguments.rounds, arguments.steps)
    load = os.getloadavg()[0]
    if load > 0.5:
        print(
            f"the load is {load:.1f}: this machine does other work, and these figures will mean little",
            file=sys.stderr,
        )
    machine = machine_facts(torch.device("cpu"))
    print(f"{machine['processor']}, 1 thread, torch {machine['torch']}, NumPy {machine['numpy']}")
    shape = Shape()
    document = as_json(shape, measure(shape, rounds, steps))
    print(document["title"])
    for name, median in document["medians"].items():
        print(f"{name:20}{median:8.3f} ms")
    print(f"{'ratio':20}{document['ratio']['reached']:8.2f}    (goal: at most {GOAL:g})")
    if arguments.json:
        settings = {"rounds": rounds, "steps": steps}
        whole = {"machine": {**machine, "load_before": load}, "settings": settings, **document}
        arguments.json.write_text(json.dumps(whole, indent=1) + "\n")


if __name__ == "__main__":
    main()
