"""What a look into one model found, as stored and reported."""

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["CompressionRecord", "InspectionRecord", "SpectrumRecord"]


class SpectrumRecord(Settings):
    """The singular values of one layer."""

    layer: str
    rows: int
    columns: int
    singular_values: list[float]
    effective_rank: float
    energy_rank: int = Field(description="how many singular values hold 99 % of the sum of squares")


class CompressionRecord(Settings):
    """A model with every weight matrix at a part of its full rank."""

    fraction: float = Field(description="of each layer's full rank")
    parameters: int
    accuracy: float
    robust_accuracy: float = Field(description="under PGD with 20 steps")
    milliseconds: float = Field(description="a forward pass over a batch, the median of 5")


class InspectionRecord(Settings):
    """What was found in one model."""

    name: str
    facts: dict[str, str | None]
    images: int
    norm: str
    epsilon: float
    spectra: list[SpectrumRecord]
    compression: list[CompressionRecord]
