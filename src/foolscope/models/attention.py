"""Networks that read an image as a sequence by self-attention: a vision transformer, and one over rows."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from foolscope.models.attention_layers import (
    ClassToken,
    Pool,
    PositionEmbedding,
    TokenPooling,
    TransformerBlock,
)
from foolscope.models.layers import Dropout
from foolscope.models.recurrent_layers import Rows
from foolscope.models.settings import ImageShape, ModelSettings

__all__ = [
    "Attention",
    "AttentionNetwork",
    "Patches",
    "VisionTransformer",
    "build_attention",
    "build_vision_transformer",
]


class Attention(ModelSettings):
    """Rows of the image become tokens; each layer is x + attention(norm(x)); logits = V mean(norm(x)) + c.

    Any two rows are one step apart, however far they are in the image, where the states of ``rnn`` and
    ``lstm`` pass every row between them.
    """

    name: Literal["attention"] = "attention"
    hidden: int = Field(100, ge=1, description="numbers in a token")
    layers: int = Field(1, ge=1, description="number of self-attention layers")
    heads: int = Field(4, ge=1, description="attention heads, a divisor of the numbers in a token")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="dropout rate after each layer")


class VisionTransformer(ModelSettings):
    """Patches become tokens with positions; transformer blocks; logits from the class token or the mean.

    Dosovitskiy et al. 2021, *An image is worth 16×16 words*, arXiv:2010.11929, section 3.1, with
    normalization before each part (their equations 1 to 4), at a size for small images. An image that is no
    whole number of patches gets zeros at its right and lower border.
    """

    name: Literal["vit"] = "vit"
    patch: int = Field(4, ge=1, description="side of a square patch, in pixels")
    hidden: int = Field(128, ge=1, description="numbers in a token")
    depth: int = Field(6, ge=1, description="number of transformer blocks")
    heads: int = Field(4, ge=1, description="attention heads, a divisor of the numbers in a token")
    expansion: float = Field(
        2.0, gt=0.0, description="units of a block's perceptron, in multiples of the numbers in a token"
    )
    pool: Pool = Field("class-token", description="what the logits are computed from")
    dropout: float = Field(
        0.0, ge=0.0, lt=1.0, description="dropout rate after embedding, attention and perceptrons"
    )


class Patches(nn.Module):
    """Cuts images into square patches, row by row; zeros complete the last ones.

    Args:
        side: of a patch, in pixels.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch patch number"]:
        """Return for each patch its channels · side² numbers."""
        height, width = images.shape[2:]
        padded = functional.pad(images, (0, -width % self.side, 0, -height % self.side))
        return functional.unfold(padded, self.side, stride=self.side).transpose(1, 2)


class AttentionNetwork(nn.Module):
    """Embedding of an image as tokens, transformer blocks, normalization, pooling, and an affine head.

    Args:
        embedding: images to tokens.
        blocks: tokens to tokens.
        pool: which token, or their mean, is classified.
        width: numbers in a token.
        classes: number of logits.
    """

    def __init__(
        self, embedding: nn.Sequential, blocks: list[TransformerBlock], pool: Pool, width: int, classes: int
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.pooling = TokenPooling(pool)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch class"]:
        """Return the logits."""
        logits: Tensor = self.head(self.pooling(self.norm(self.blocks(self.embedding(images)))))
        return logits

    def attention_weights(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "layer batch head query key"]:
        """Return the attention of every token (query) to every token (key), in every block and head.

        Args:
            images: normalized, as this module gets them from the model's ``normalization``.

        Returns:
            Numbers in [0, 1], which sum to one over the keys. The class token, if there is one, is the first
            token.

        Example:
            >>> from foolscope.models import build_model
            >>> model = build_model(Attention(hidden=8, normalization="none"), (1, 6, 5), 3, seed=0)
            >>> model.get_submodule("body").attention_weights(torch.zeros(2, 1, 6, 5)).shape
            torch.Size([1, 2, 4, 6, 6])
        """
        tokens, weights = self.embedding(images), []
        for block in self.blocks:
            assert isinstance(block, TransformerBlock)
            weights.append(block.weights(tokens))
            tokens = block(tokens)
        return torch.stack(weights)


def build_attention(settings: Attention, image_shape: ImageShape, classes: int) -> AttentionNetwork:
    """Return the network over rows; a row has channel · width numbers.

    Raises:
        RecipeError: the heads do not divide the numbers in a token.
    """
    channel, height, width = image_shape
    hidden = settings.hidden
    embedding = nn.Sequential(Rows(), nn.Linear(channel * width, hidden), PositionEmbedding(height, hidden))
    blocks = [
        TransformerBlock(hidden, settings.heads, hidden=0, dropout=settings.dropout)
        for _ in range(settings.layers)
    ]
    return AttentionNetwork(embedding, blocks, "mean", hidden, classes)


def build_vision_transformer(
    settings: VisionTransformer, image_shape: ImageShape, classes: int
) -> AttentionNetwork:
    """Return the network over patches.

    Raises:
        RecipeError: the heads do not divide the numbers in a token.
    """
    channel, height, width = image_shape
    patch, numbers = settings.patch, settings.hidden
    has_class_token = settings.pool == "class-token"
    tokens = math.ceil(height / patch) * math.ceil(width / patch) + has_class_token
    embedding = nn.Sequential(
        Patches(patch),
        nn.Linear(channel * patch**2, numbers),
        *([ClassToken(numbers)] if has_class_token else []),
        PositionEmbedding(tokens, numbers),
        Dropout(settings.dropout),
    )
    hidden = max(1, round(settings.expansion * numbers))
    blocks = [
        TransformerBlock(numbers, settings.heads, hidden, settings.dropout) for _ in range(settings.depth)
    ]
    return AttentionNetwork(embedding, blocks, settings.pool, numbers, classes)
