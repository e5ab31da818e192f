"""The minibatches of a training, for what repeats its steps."""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from foolscope.core.randomness import torch_generator
from foolscope.learning.packs.packing import Context
from foolscope.learning.preparation import Setup
from foolscope.learning.sampling import epoch_order

__all__ = ["minibatches"]


def minibatches(setup: Setup, seed: int) -> Iterator[tuple[Tensor, Context]]:
    """Yield the minibatches of a training with this seed, epoch after epoch, with what their steps need."""
    train = setup.dataset.train
    device = train.images.device
    for epoch in itertools.count():
        order = epoch_order(train.labels, setup.trials[0].training.sampling, seeds=[seed], epoch=epoch)
        dropout = tuple(torch_generator(seed, "dropout", epoch, device=device) for _ in setup.trials)
        context = Context(training=True, dtype=setup.dtype, generators=dropout)
        for batch in torch.split(order, setup.batch_size, dim=1):
            yield batch, context
