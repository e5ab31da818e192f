"""Way (b) on a GPU: the tuned loop, eager and replayed as a CUDA graph."""

import functools
import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from ablation_ways import tuned
from ablation_ways.tuned import Tuning, network_of, start, step_of, tunings
from ablation_ways.way import Way
from ablation_ways.work import Work, batches
from foolscope.experiments.recipe import Recipe

__all__ = ["CAPTURED", "EAGER", "train_captured", "ways"]

EAGER, CAPTURED = "(b) tuned, eager", "(b) CUDA graph"
_STEPS_BEFORE_CAPTURE = 3


def ways(work: Work) -> list[Way]:
    """Return every tuning on the GPU, eager and captured."""
    return [
        Way(row, tuning.precision, "cuda", functools.partial(start, train, work, tuning), tuning)
        for row, train in ((EAGER, tuned.train), (CAPTURED, train_captured))
        for tuning in tunings(work, device="cuda")
    ]


def train_captured(work: Work, recipe: Recipe, tuning: Tuning) -> Iterator[Tensor]:
    """Train one trial by replaying its step; yield the loss of every step, which the next one overwrites.

    An epoch's first steps run as they are, then one is captured: the learning rate, a constant in the graph,
    changes only between epochs.
    """
    step, scheduler = step_of(network_of(work, recipe, tuning), recipe, tuning)
    chosen = torch.zeros(work.batch_size, dtype=torch.int64, device=tuning.device)
    beside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    for epoch in itertools.count():
        indices = batches(work, recipe.seed, epoch)
        for batch in itertools.islice(indices, _STEPS_BEFORE_CAPTURE):
            chosen.copy_(batch)
            beside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(beside):
                loss = step(chosen)
            torch.cuda.current_stream().wait_stream(beside)
            yield loss
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = step(chosen)
        for batch in indices:
            chosen.copy_(batch)
            graph.replay()
            yield loss
        scheduler.step()
