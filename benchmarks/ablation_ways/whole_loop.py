"""Way (b) as a program: trains some trials of an ablation, with validation every epoch and a test at the end.

    python whole_loop.py ORDER.json

The order says which work, cells and seeds, on how many threads and with which tuning, and where the test
accuracies go. A person who has tuned the loop would run one such process on each core.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ablation_ways.tuned import Tuning, images_of, network_of, step_of
from ablation_ways.work import WORKS, Work, batches, dataset_of
from foolscope.experiments.recipe import Recipe, with_values

__all__ = ["LoopOrder", "test_accuracy"]

_EVALUATED = 2000  # images at once


@dataclass(frozen=True)
class LoopOrder:
    """What one process of the loop trains.

    Args:
        work: its name.
        trials: the values that each trial changes, one trial after another.
        threads: of the process.
        tuning: of the loop.
        answer: the file for the test accuracies, in the order of the trials.
    """

    work: str
    trials: Sequence[dict[str, Any]]
    threads: int
    tuning: Tuning
    answer: str

    def write(self, path: Path) -> None:
        """Write the order for :func:`main`."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "LoopOrder":
        """Read what :meth:`write` wrote."""
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**document, "tuning": Tuning(**document["tuning"])})


def test_accuracy(work: Work, recipe: Recipe, tuning: Tuning) -> float:
    """Train one trial; return the test accuracy of the weights after its best epoch on the validation set."""
    network = network_of(work, recipe, tuning)
    step, scheduler = step_of(network, recipe, tuning)
    best, kept = -1.0, {}
    for epoch in range(recipe.training.epochs):
        network.train()
        for batch in batches(work, recipe.seed, epoch):
            step(batch)
        scheduler.step()
        accuracy = _accuracy(network, recipe, "validation", tuning)
        if accuracy > best:
            best = accuracy
            kept = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(kept)
    return _accuracy(network, recipe, "test", tuning)


test_accuracy.__test__ = False  # type: ignore[attr-defined]  # no test of pytest's


@torch.no_grad()
def _accuracy(network: nn.Module, recipe: Recipe, split: str, tuning: Tuning) -> float:
    network.eval()
    labels = dataset_of(recipe.dataset).split(split).labels
    pixels_of = images_of(recipe, split, tuning)
    correct = torch.zeros((), dtype=torch.int64)
    for indices in torch.split(torch.arange(len(labels)), _EVALUATED):
        correct += (_predictions(network, pixels_of(indices), tuning) == labels[indices]).sum()
    return correct.item() / len(labels)


def _predictions(network: nn.Module, pixels: Tensor, tuning: Tuning) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, tuning.precision == "bfloat16"):
        return network(pixels).argmax(dim=1)  # type: ignore[no-any-return]


def main() -> None:
    """Follow the order that the command line names."""
    order = LoopOrder.read(Path(sys.argv[1]))
    torch.set_num_threads(order.threads)
    work = WORKS[order.work]
    found = [test_accuracy(work, with_values(work.base, own), order.tuning) for own in order.trials]
    Path(order.answer).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
