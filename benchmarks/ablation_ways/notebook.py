"""Way (a), the notebook: images transformed one by one in two worker processes, one trial after another."""

import functools
import itertools
from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from ablation_ways.way import ARRANGEMENTS, Training, Way
from ablation_ways.work import Work, dataset_of, decay_of, drawn_network, pixel_statistics, trials_of
from foolscope.core.randomness import torch_generator
from foolscope.data import LabeledImages
from foolscope.experiments.recipe import Recipe
from foolscope.learning.optimizers import SGD

__all__ = ["ROW", "train", "ways"]

ROW = "(a) notebook"


def ways(work: Work) -> list[Way]:
    """Return the notebook on one thread, and on all threads as notebooks usually run."""
    start = functools.partial(_start, work)
    effort = min(1.0, 1.0 / work.patience)
    return [
        # The steps before the clock starts use up what the workers had ready.
        Way(ROW, "float32", arrangement, start, warm_up=8, effort=effort)
        for arrangement in ARRANGEMENTS[:2]
    ]


def _start(work: Work, process: int) -> list[Training]:
    return [train(work, recipe) for recipe in trials_of(work, work.kinds, first_seed=process)]


class TransformedImages(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """The images of ``torchvision.datasets.CIFAR10`` with ``Compose([ToTensor(), Normalize(mean, std)])``.

    The same operations in the same order, without torchvision's checks of their arguments.
    """

    def __init__(self, split: LabeledImages, mean: list[float], deviation: list[float]) -> None:
        self.pixels = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = split.labels.tolist()
        self.mean, self.deviation = mean, deviation

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels = self.pixels[index]
        image = Image.fromarray(pixels if pixels.shape[2] > 1 else pixels[:, :, 0])
        return self._normalize(self._to_tensor(image)), self.labels[index]

    def _to_tensor(self, image: Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.array(image, np.uint8, copy=True))
        pixels = pixels.view(image.size[1], image.size[0], -1)
        return pixels.permute(2, 0, 1).contiguous().to(torch.float32).div(255)

    def _normalize(self, image: Tensor) -> Tensor:
        image = image.clone()
        mean = torch.as_tensor(self.mean, dtype=image.dtype)
        deviation = torch.as_tensor(self.deviation, dtype=image.dtype)
        return image.sub_(mean.view(-1, 1, 1)).div_(deviation.view(-1, 1, 1))


def train(work: Work, recipe: Recipe) -> Iterator[float]:
    """Train one trial; yield the loss of every step."""
    mean, deviation = pixel_statistics(recipe.dataset)
    images = TransformedImages(dataset_of(recipe.dataset).train, mean.tolist(), deviation.tolist())
    network = drawn_network(work, recipe)
    criterion = nn.CrossEntropyLoss()
    assert isinstance(recipe.optimizer, SGD)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=recipe.optimizer.learning_rate,
        momentum=recipe.optimizer.momentum,
        weight_decay=recipe.regularization.l2,
    )
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, decay_of(recipe))
    l1 = recipe.regularization.l1
    for epoch in itertools.count():
        # shuffle=True, with the order of the other ways
        order = RandomSampler(images, generator=torch_generator(recipe.seed, "batches", epoch))
        loader = DataLoader(images, work.batch_size, sampler=order, num_workers=2, drop_last=True)
        network.train()
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = criterion(network(inputs), labels)
            penalty = l1 * sum(parameter.abs().sum() for parameter in network.parameters()) if l1 else 0.0
            (loss + penalty).backward()
            optimizer.step()
            yield loss.item()
        scheduler.step()
