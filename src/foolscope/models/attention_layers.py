"""Layers of networks with attention: position embeddings, self-attention, and the block of a transformer."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.models.layers import Dropout

__all__ = ["ClassToken", "Pool", "PositionEmbedding", "SelfAttention", "TokenPooling", "TransformerBlock"]

Pool = Literal["class-token", "mean"]

Tokens = Float[Tensor, "batch token width"]
Weights = Float[Tensor, "batch head query key"]

_DEVIATION = 0.02


class ClassToken(nn.Module):
    """Puts a learned token before the others.

    Args:
        width: numbers in a token.

    References:
        Dosovitskiy et al. 2021, arXiv:2010.11929, section 3.1.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch token+1 width"]:
        """Return one token more."""
        own = self.token.to(tokens.dtype).expand(len(tokens), 1, -1)
        return torch.cat([own, tokens], dim=1)

    def initial_value(self, name: str, generator: torch.Generator) -> Tensor:
        """Draw a normal token with deviation 0.02."""
        return torch.empty(self.token.shape).normal_(0.0, _DEVIATION, generator=generator)


class PositionEmbedding(nn.Module):
    """Adds a learned vector to each token: x_t + p_t.

    Args:
        tokens: number of tokens.
        width: numbers in a token.

    References:
        Dosovitskiy et al. 2021, arXiv:2010.11929, equation 1.
    """

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.zeros(tokens, width))

    def forward(self, tokens: Tokens) -> Tokens:
        """Return tokens that tell where they are."""
        return tokens + self.position

    def initial_value(self, name: str, generator: torch.Generator) -> Tensor:
        """Draw normal vectors with deviation 0.02."""
        return torch.empty(self.position.shape).normal_(0.0, _DEVIATION, generator=generator)


class SelfAttention(nn.Module):
    """Multi-head self-attention: concatenated softmax(Q_h K_hᵀ / √d) V_h, then an affine map.

    Each of the heads has d = width / heads numbers of queries Q, keys K and values V, affine in the tokens.

    Args:
        width: numbers in a token.
        heads: number of heads, a divisor of ``width``.

    Raises:
        RecipeError: the heads do not divide the width.

    References:
        Vaswani et al. 2017, *Attention is all you need*, arXiv:1706.03762, section 3.2.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            divisors = ", ".join(str(each) for each in range(1, width + 1) if width % each == 0)
            raise RecipeError(
                f"heads must divide the width {width} of a token; got {heads}. Choose one of {divisors}"
            )
        self.heads = heads
        self.projection = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tokens) -> Tokens:
        """Return for each token the attended values of all."""
        queries, keys, values = self._projected(tokens)
        mixed = _attention(queries, keys) @ values
        result: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return result

    def weights(self, tokens: Tokens) -> Weights:
        """Return how much each query attends to each key: the softmax, whose rows sum to one."""
        queries, keys, _ = self._projected(tokens)
        return _attention(queries, keys)

    def _projected(self, tokens: Tokens) -> list[Float[Tensor, "batch head token number"]]:
        parts = self.projection(tokens).chunk(3, dim=-1)
        return [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts]


def _attention(
    queries: Float[Tensor, "batch head query number"], keys: Float[Tensor, "batch head key number"]
) -> Weights:
    """Return softmax(Q Kᵀ / √d), written out: PyTorch's fused form hides the weights and is not counted."""
    return torch.softmax(queries @ keys.mT / math.sqrt(queries.shape[-1]), dim=-1)


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + perceptron(norm(x)), each with dropout before the sum.

    The perceptron has one hidden layer of ``hidden`` units with GELU; with ``hidden`` 0 there is none.

    Args:
        width: numbers in a token.
        heads: of the attention.
        hidden: units of the perceptron.
        dropout: rate.

    References:
        Dosovitskiy et al. 2021, arXiv:2010.11929, equations 2 and 3.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.dropout = Dropout(dropout)
        self.perceptron = None
        if hidden:
            into, out = nn.Linear(width, hidden), nn.Linear(hidden, width)
            self.perceptron = nn.Sequential(nn.LayerNorm(width), into, nn.GELU(), out, Dropout(dropout))

    def forward(self, tokens: Tokens) -> Tokens:
        """Return tokens of the same shape."""
        tokens = tokens + self.dropout(self.attention(self.norm(tokens)))
        return tokens if self.perceptron is None else tokens + self.perceptron(tokens)

    def weights(self, tokens: Tokens) -> Weights:
        """Return the weights of the attention, which reads normalized tokens."""
        return self.attention.weights(self.norm(tokens))


class TokenPooling(nn.Module):
    """Selects the class token, the first, or averages all tokens.

    Args:
        pool: which of the two.
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, tokens: Tokens) -> Float[Tensor, "batch width"]:
        """Return one vector for each image."""
        return tokens[:, 0] if self.pool == "class-token" else tokens.mean(dim=1)
