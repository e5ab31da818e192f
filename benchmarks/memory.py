"""Peak memory of training and evaluation, beside a plain PyTorch loop with the same minibatches.

    python benchmarks/memory.py --json benchmarks/results/memory.json

Every case and way has a process of its own, whose peak is what the system reports (``ru_maxrss``). What the
process holds before the model is built is subtracted: interpreter, torch and images. Images and labels are
noise, because memory does not depend on them.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.experiments.recipe import Recipe, recipe_from
from foolscope.experiments.running.provenance import machine_facts
from foolscope.learning import train_pack
from foolscope.learning.packs.packed_layers import Context
from foolscope.learning.preparation import prepare
from foolscope.learning.training import train_step
from foolscope.models import build_model

GOAL = 1.2
"""Times the memory of our training step, and of plain PyTorch, that training with evaluation may take."""

EVALUATED_AT_ONCE = 256  # images, in the plain loop: a usual choice


@dataclass(frozen=True)
class Case:
    """The residual network with 78,000 parameters on square images.

    Args:
        side: of an image, in pixels.
        train: number of training images.
        test: number of test images.
        batch: images in a minibatch.
        trials: seeds side by side; the plain loop has one model for each, trained in turn.
    """

    side: int
    train: int
    test: int
    batch: int
    trials: int = 1

    def recipes(self) -> list[Recipe]:
        """Return the recipe of every trial."""
        values: dict[str, Any] = {
            "model": {"name": "resnet", "normalization": "half"},
            "training": {"batch_size": self.batch, "epochs": 1},
            "precision": "float32",
        }
        return [recipe_from({**values, "seed": seed}) for seed in range(self.trials)]

    def dataset(self) -> Dataset:
        """Return noise."""
        generator = torch.Generator().manual_seed(0)
        splits = []
        for count in (self.train, self.test):
            images = torch.randint(
                256, (count, 3, self.side, self.side), generator=generator, dtype=torch.uint8
            )
            splits.append(LabeledImages(images, torch.randint(10, (count,), generator=generator)))
        return Dataset("noise", tuple("0123456789"), splits[0], None, splits[1], fingerprint="noise")


CASES = {
    "128×128, 500 test images": Case(side=128, train=256, test=500, batch=64),
    "32×32, four seeds": Case(side=32, train=512, test=2000, batch=128, trials=4),
    "224×224": Case(side=224, train=64, test=128, batch=32),
}


def our_step(case: Case, dataset: Dataset) -> None:
    """Take one step of the training loop."""
    recipes = case.recipes()
    setup, state = prepare(recipes, dataset)
    context = Context(True, setup.dtype, tuple(torch.Generator() for _ in recipes))
    batch = torch.arange(case.batch).expand(setup.groups, -1)
    train_step(setup, state, batch, torch.full((case.trials,), 0.01), context)


def our_training(case: Case, dataset: Dataset) -> None:
    """Train an epoch, and evaluate training and test images."""
    train_pack(case.recipes(), dataset)


def plain_step(case: Case, dataset: Dataset) -> None:
    """Take one step of the plain loop with every model."""
    for model in _models(case):
        _steps(model, case, dataset, batches=1)


def plain_training(case: Case, dataset: Dataset) -> None:
    """Train an epoch with every model, and evaluate training and test images."""
    for model in _models(case):
        _steps(model, case, dataset, batches=-(-case.train // case.batch))
        model.eval()
        with torch.no_grad():
            for split in (dataset.train, dataset.test):
                for images in torch.split(split.images, EVALUATED_AT_ONCE):
                    model(images.float() / 255).argmax(dim=1)


def _models(case: Case) -> list[nn.Module]:
    shape = (3, case.side, case.side)
    return [build_model(recipe.model, shape, 10, seed=recipe.seed) for recipe in case.recipes()]


def _steps(model: nn.Module, case: Case, dataset: Dataset, batches: int) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    model.train()
    train = dataset.train
    for start in range(0, batches * case.batch, case.batch):
        rows = slice(start, start + case.batch)
        optimizer.zero_grad()
        functional.cross_entropy(model(train.images[rows].float() / 255), train.labels[rows]).backward()
        optimizer.step()


WAYS = {
    "our step": our_step,
    "our training and evaluation": our_training,
    "plain step": plain_step,
    "plain training and evaluation": plain_training,
}


def added_bytes(case: Case, way: str) -> int:
    """Return what a way adds to the peak of this process; to be called once in a process."""
    dataset = case.dataset()
    warm_up = Case(side=8, train=4, test=4, batch=4)  # imports, and the code of the operations
    WAYS[way](warm_up, warm_up.dataset())
    before = _peak_bytes()
    WAYS[way](case, dataset)
    return _peak_bytes() - before


def _peak_bytes() -> int:
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def measure(case: Case) -> dict[str, int]:
    """Return the bytes that every way adds, each measured in a process of its own."""
    found = {}
    for way in WAYS:
        command = [sys.executable, __file__, "--alone", json.dumps([asdict(case), way])]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[way] = int(done.stdout)
    return found


def ratios(found: dict[str, int]) -> dict[str, float]:
    """Return our training with evaluation against our step and against plain PyTorch's training."""
    own = found["our training and evaluation"]
    return {
        "against our step": own / found["our step"],
        "against plain": own / found["plain training and evaluation"],
        "step against plain step": found["our step"] / found["plain step"],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--case", choices=CASES, action="append", help="one of the cases; repeatable, all by default")
    add("--quick", action="store_true", help="see that it works: one case with a few small images")
    add("--json", type=Path, help="where all raw numbers go")
    add("--alone", help=argparse.SUPPRESS)  # a case and a way, measured in this process
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    if arguments.alone:
        values, way = json.loads(arguments.alone)
        print(added_bytes(Case(**values), way))
        return
    chosen = {name: CASES[name] for name in arguments.case or CASES}
    if arguments.quick:
        chosen = {"quick": Case(side=32, train=32, test=64, batch=16)}
    machine = machine_facts(torch.device("cpu"))
    print(f"{machine['processor']}, torch {machine['torch']}; MB beyond interpreter and images")
    results = {}
    for name, case in chosen.items():
        found = measure(case)
        results[name] = {"case": asdict(case), "bytes": found, "ratios": ratios(found)}
        print(f"\n{name}, batch {case.batch}" + (f", {case.trials} trials" if case.trials > 1 else ""))
        for way, size in found.items():
            print(f"  {way:32}{size / 2**20:9.0f} MB")
        for ratio, value in results[name]["ratios"].items():
            print(f"  {ratio:32}{value:9.2f}    (goal: at most {GOAL:g})")
    if arguments.json:
        whole = {"machine": {**machine, "load_before": os.getloadavg()[0]}, "goal": GOAL, "cases": results}
        arguments.json.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
