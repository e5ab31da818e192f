"""Layers that PyTorch lacks: normalization of the inputs, dropout with its own generator, and small ones."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ChannelBias", "Dropout", "Multiply", "Normalize", "ZeroScaleBatchNorm"]


class Normalize(nn.Module):
    """Shift and scale each channel: (inputs − mean) / deviation.

    It is the first layer of every model here, so that images stay in [0, 1] outside and ε always means
    pixels.

    Args:
        mean: per channel, in pixel units.
        deviation: per channel, positive.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Float[Tensor, " channel"], deviation: Float[Tensor, " channel"]) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def forward(
        self, inputs: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """Return the inputs with about zero mean and unit deviation."""
        return (inputs - self.mean[:, None, None].to(inputs)) / self.deviation[:, None, None].to(inputs)


class Dropout(nn.Module):
    """Set each activation to zero with probability ``rate`` and divide the others by 1 − ``rate``.

    Unlike ``torch.nn.Dropout`` it draws from ``generator``, which training sets to the trial's own; the
    global generator is never touched, and training mode without a generator is an error. Srivastava et al.
    2014, section 4.

    Args:
        rate: in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None

    def forward(self, inputs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return the inputs; in training mode some are zero and the others scaled up."""
        if not self.training or self.rate == 0.0:
            return inputs
        if self.generator is None:
            raise RuntimeError(
                "Dropout in training mode needs a generator; set its attribute, or call model.eval()"
            )
        kept = torch.rand(inputs.shape, generator=self.generator, device=inputs.device).ge_(self.rate)
        return inputs * kept.div_(1.0 - self.rate).to(inputs.dtype)


class ZeroScaleBatchNorm(nn.BatchNorm2d):
    """Batch normalization whose scale starts at zero, so that a residual block starts as its shortcut.

    Goyal et al. 2017, *Accurate, large minibatch SGD*, arXiv:1706.02677, section 5.1.
    """

    def initial_value(self, name: str, generator: torch.Generator) -> Tensor:
        """Return zeros, for scale and shift."""
        return torch.zeros(self.num_features)


class ChannelBias(nn.Module):
    """Adds a learned number to each channel: maps + bias; it starts at zero.

    Args:
        channels: of the maps.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(
        self, maps: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """Return maps of the same shape."""
        return maps + self.bias[:, None, None]

    def initial_value(self, name: str, generator: torch.Generator) -> Tensor:
        """Return zeros."""
        return torch.zeros(len(self.bias))


class Multiply(nn.Module):
    """Multiplies by a constant.

    Args:
        factor: any number.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, inputs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return factor · inputs."""
        return inputs * self.factor
