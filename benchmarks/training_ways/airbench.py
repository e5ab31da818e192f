"""The record recipe of CIFAR-10 on a CPU, written anew: airbench94 with Muon, in bfloat16 by autocast.

Settings are those of Jordan's airbench94_muon.py (github.com/KellerJordan/cifar10-airbench): eight epochs,
minibatches of 2,000, filters of the first layer that whiten, convolutions that begin as copies of their
channels, alternating flips, translations by two pixels, label smoothing 0.2, six views at test time. There it
runs in float16 on a GPU; here weights are in float32 and products in bfloat16.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from foolscope.data import Cifar10Settings, load

__all__ = ["Result", "train"]

EPOCHS, BATCH = 8, 2000
BIAS_RATE, HEAD_RATE, FILTER_RATE = 0.053, 0.67, 0.24
DECAY = 2e-6 * BATCH
WHITENING_EPOCHS = 3
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


@dataclass(frozen=True)
class Result:
    """Test accuracy with six views, in [0, 1], and seconds of training and of testing."""

    accuracy: float
    training_seconds: float
    test_seconds: float


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding="same", bias=False)
    nn.init.dirac_(layer.weight.data[:inputs])
    return layer


def _normalization(channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad = False
    return layer


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(inputs, outputs),
        nn.MaxPool2d(2),
        _normalization(outputs),
        nn.GELU(),
        _convolution(outputs, outputs),
        _normalization(outputs),
        nn.GELU(),
    )


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.whitening = nn.Conv2d(3, 24, 2)
        self.whitening.weight.requires_grad = False
        self.stages = nn.Sequential(
            nn.GELU(), _stage(24, 64), _stage(64, 256), _stage(256, 256), nn.MaxPool2d(3)
        )
        self.head = nn.Linear(256, 10, bias=False)
        self.head.weight.data /= self.head.weight.data.std()

    def forward(self, images: Tensor) -> Tensor:
        features = self.stages(self.whitening(images)).flatten(1)
        return self.head(features) / features.shape[1]

    def whiten(self, images: Tensor) -> None:
        """Set the filters of the first layer by the patches of normalized images."""
        patches = functional.unfold(images.float(), 2).transpose(1, 2).flatten(0, 1)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (vectors / (values + 5e-4).sqrt()).T.reshape(-1, 3, 2, 2)
        self.whitening.weight.data = torch.cat([filters, -filters])


def _orthogonalized(gradient: Tensor) -> Tensor:
    """Three Newton-Schulz iterations in bfloat16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    matrix = gradient.bfloat16()
    matrix = matrix / (matrix.norm() + 1e-7)
    tall = matrix.shape[0] > matrix.shape[1]
    matrix = matrix.T if tall else matrix
    for _ in range(3):
        gram = matrix @ matrix.T
        matrix = a * matrix + (b * gram + c * gram @ gram) @ matrix
    return matrix.T if tall else matrix


class _Muon:
    def __init__(self, filters: list[nn.Parameter]) -> None:
        self.filters = filters
        self.momenta = [torch.zeros_like(each) for each in filters]

    @torch.no_grad()
    def step(self, rate: float, momentum: float = 0.6) -> None:
        for weight, velocity in zip(self.filters, self.momenta, strict=True):
            assert weight.grad is not None
            velocity.mul_(momentum).add_(weight.grad)
            ahead = weight.grad.add(velocity, alpha=momentum)
            weight.mul_(len(weight) ** 0.5 / weight.norm())
            weight.add_(_orthogonalized(ahead.flatten(1)).view_as(weight).to(weight.dtype), alpha=-rate)


def _normalized(images: Tensor) -> Tensor:
    mean, deviation = (torch.tensor(each).view(-1, 1, 1) for each in (MEAN, DEVIATION))
    pixels = (images.float() / 255.0 - mean) / deviation
    return pixels.bfloat16().contiguous(memory_format=torch.channels_last)


def _epoch(flipped: Tensor, epoch: int) -> Tensor:
    """Translate every image by up to two pixels, and mirror all of them in every other epoch."""
    padded = functional.pad(flipped, (2, 2, 2, 2), mode="reflect")
    rows, columns = torch.randint(0, 5, (2, len(flipped)))
    moved = torch.empty_like(flipped)
    for row in range(5):
        for column in range(5):
            chosen = ((rows == row) & (columns == column)).nonzero()[:, 0]
            moved[chosen] = padded[chosen, :, row : row + 32, column : column + 32]
    return moved.flip(-1) if epoch % 2 else moved


@torch.no_grad()
def _six_views(network: nn.Module, images: Tensor) -> Tensor:
    """Return logits, half of them of the image and its mirror image, half of both moved by one pixel."""

    def both(view: Tensor) -> Tensor:
        return 0.5 * network(view) + 0.5 * network(view.flip(-1))

    padded = functional.pad(images, (1, 1, 1, 1), mode="reflect")
    moved = [both(padded[..., start : start + 32, start : start + 32]) for start in (0, 2)]
    return 0.5 * both(images) + 0.25 * (moved[0] + moved[1])


def train(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    seed: int,
    *,
    compiled: bool = False,
    parts: int = 1,
    epochs: int = EPOCHS,
) -> Result:
    """Train and test; images are uint8, (image, 3, 32, 32).

    Args:
        train: images and labels.
        test: images and labels.
        seed: of PyTorch's global generator.
        compiled: whether ``torch.compile`` compiles the network, within the time that counts.
        parts: in which a minibatch is processed, which stays in the caches if it is small; the step is taken
            with the sum of their gradients, and batch normalization takes its statistics from each part.
        epochs: fewer only test that it works.
    """
    torch.manual_seed(seed)
    begin = time.perf_counter()
    network = _Network().to(memory_format=torch.channels_last)
    run = torch.compile(network) if compiled else network
    images, labels = _normalized(train[0]), train[1]
    flip = (torch.rand(len(images)) < 0.5).view(-1, 1, 1, 1)
    flipped = torch.where(flip, images.flip(-1), images)
    network.whiten(images[:5000])
    biases = [value for name, value in network.named_parameters() if name.endswith("bias")]
    filters = [value for value in network.parameters() if value.dim() == 4 and value.requires_grad]
    whitening, others = biases[:1], biases[1:]
    companion = torch.optim.SGD(
        [
            {"params": whitening, "lr": BIAS_RATE, "weight_decay": DECAY / BIAS_RATE},
            {"params": others, "lr": BIAS_RATE, "weight_decay": DECAY / BIAS_RATE},
            {"params": [network.head.weight], "lr": HEAD_RATE, "weight_decay": DECAY / HEAD_RATE},
        ],
        momentum=0.85,
        nesterov=True,
        fused=True,
    )
    muon = _Muon(filters)
    per_epoch = len(images) // min(BATCH, len(images))
    last, last_of_whitening, step = epochs * per_epoch, WHITENING_EPOCHS * per_epoch, 0
    for epoch in range(epochs):
        network.train()
        moved = _epoch(flipped, epoch)
        for batch in torch.randperm(len(images)).split(BATCH)[:per_epoch]:
            if step >= last_of_whitening:
                network.whitening.bias.requires_grad = False
            network.zero_grad(set_to_none=True)
            for part in batch.tensor_split(parts):
                with torch.autocast("cpu", torch.bfloat16):
                    logits = run(moved[part])
                functional.cross_entropy(
                    logits.float(), labels[part], label_smoothing=0.2, reduction="sum"
                ).backward()
            share = 1 - step / last
            rates = (BIAS_RATE * max(0.0, 1 - step / last_of_whitening), BIAS_RATE * share, HEAD_RATE * share)
            for group, rate in zip(companion.param_groups, rates, strict=True):
                group["lr"] = rate
            companion.step()
            muon.step(FILTER_RATE * share)
            step += 1
    trained = time.perf_counter()
    network.eval()
    with torch.autocast("cpu", torch.bfloat16):
        logits = torch.cat([_six_views(network, part) for part in _normalized(test[0]).split(BATCH)])
    accuracy = (logits.argmax(dim=1) == test[1]).double().mean().item()
    return Result(accuracy, trained - begin, time.perf_counter() - trained)


def main() -> None:
    """Train on CIFAR-10 and print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    data = load(Cifar10Settings(validation="official"), arguments.data_dir)
    count, epochs = (2000, 1) if arguments.quick else (len(data.train), EPOCHS)
    result = train(
        (data.train.images[:count], data.train.labels[:count]),
        (data.test.images[:count], data.test.labels[:count]),
        arguments.seed,
        compiled=arguments.compile,
        parts=arguments.parts,
        epochs=epochs,
    )
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
