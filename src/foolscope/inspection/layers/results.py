"""Filters, weights and spectra of a model's layers, as they are stored and drawn."""

from typing import Literal

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["Filter", "Filters", "LayerSpectrum", "WeightHistogram"]


class Filter(Settings):
    """One filter of the first layer; its weights are in the arrays under ``key``."""

    unit: int
    key: str
    norm: float


class Filters(Settings):
    """The filters of the first layer."""

    layer: str
    kind: Literal["convolution", "affine"] = Field(
        description="a convolution's filter sees a patch, an affine unit the whole image"
    )
    height: int
    width: int
    total: int = Field(description="units of the layer")
    shown: list[Filter] = Field(description="those with the largest norm, in the layer's order")


class WeightHistogram(Settings):
    """The weights of one layer, counted in bins of equal width."""

    layer: str = Field(description="name of the layer, or of the tensor where a layer has several")
    count: int = Field(description="finite weights")
    largest: float = Field(description="magnitude")
    counts: list[int] = Field(description="in bins from -largest to largest")
    root_mean_square: float
    zone: float = Field(description="a tenth of it: weights of smaller magnitude are near zero")
    near_zero: float = Field(description="fraction of the weights; 1 where all are zero")


class LayerSpectrum(Settings):
    """The singular values of one layer."""

    layer: str
    rows: int = Field(description="of the weights as a matrix")
    columns: int
    singular_values: list[float] = Field(description="the largest first")
    effective_rank: float = Field(description="exponential of the entropy of their shares of their sum")
    energy_rank: int = Field(description="how many singular values hold 99 % of the sum of squares")
