"""What a look into one model found, or into those of every seed, as stored and reported."""

from typing import Literal

from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.experiments.parts.measures import MeasureRecord

__all__ = [
    "CalibrationBinRecord",
    "CalibrationRecord",
    "CompressionRecord",
    "ConfusionRecord",
    "FiltersRecord",
    "GradientPictureRecord",
    "InputGradientsRecord",
    "InspectedRecord",
    "InspectionRecord",
    "LayerFlowRecord",
    "MeanRecord",
    "SpectrumRecord",
    "TimeFlowRecord",
    "UnitRecord",
    "WeightsRecord",
]


class MeanRecord(Settings):
    """A mean over images with its interval."""

    mean: float
    low: float | None = Field(description="lower end of the 95 % t interval; null for a single image")
    high: float | None


class ConfusionRecord(Settings):
    """What the images of each class are taken for."""

    classes: list[str]
    counts: list[list[int]] = Field(description="true class, predicted class")


class CalibrationBinRecord(Settings):
    """The images of one bin of confidence."""

    low: float
    high: float
    images: int
    confidence: float | None = Field(description="mean; null in an empty bin")
    accuracy: float | None
    accuracy_low: float | None = Field(description="lower end of Wilson's 95 % interval")
    accuracy_high: float | None


class CalibrationRecord(Settings):
    """Whether a model is right as often as it says."""

    bins: list[CalibrationBinRecord] = Field(description="of the same width, from 0 to 1")
    expected_error: float = Field(description="expected calibration error over these bins")
    expected_by_chance: float = Field(description="its mean were every confidence true")
    highest_by_chance: float = Field(description="what it would then exceed in 5 % of the cases")
    mean_confidence: float
    accuracy: float
    negative_log_likelihood: float = Field(description="mean, in nats")
    brier_score: float = Field(description="mean over images of the sum over classes, between 0 and 2")


class GradientPictureRecord(Settings):
    """One image with its gradient and its edges; their pixels are in the arrays under these keys."""

    label: str
    predicted: str
    image: str
    gradient: str
    edges: str
    correlation: float | None = Field(description="of gradient and edges; null where one is flat")


class InputGradientsRecord(Settings):
    """The loss's gradient by the pixels, and how far it follows edges."""

    images: int = Field(description="looked at")
    counted: int = Field(description="of them; in the others gradient or edges are flat")
    own: MeanRecord | None = Field(description="correlation of |gradient| with the edges of the same image")
    other: MeanRecord | None = Field(description="likewise with those of another image, the control")
    difference: MeanRecord | None = Field(description="image by image, own minus other")
    right: list[GradientPictureRecord]
    wrong: list[GradientPictureRecord]


class UnitRecord(Settings):
    """One filter; its weights are in the arrays under ``key``."""

    unit: int
    key: str
    norm: float


class FiltersRecord(Settings):
    """The filters of the first layer."""

    layer: str
    kind: Literal["convolution", "affine"]
    height: int
    width: int
    total: int = Field(description="units of the layer")
    shown: list[UnitRecord] = Field(description="those with the largest norm, in the layer's order")


class WeightsRecord(Settings):
    """The weights of one layer."""

    layer: str
    count: int
    largest: float = Field(description="magnitude")
    counts: list[int] = Field(description="in bins of equal width from -largest to largest")
    root_mean_square: float
    zone: float = Field(description="a tenth of it: weights of smaller magnitude are near zero")
    near_zero: float = Field(description="share of the weights")


class LayerFlowRecord(Settings):
    """The loss's gradient at one layer; null is what is not finite, or what it does not have."""

    layer: str
    output_norm: float | None = Field(description="by what it puts out, mean over images")
    weight_norm: float | None = Field(description="by its weights, of the mean loss")
    relative_norm: float | None = Field(description="the latter in parts of the norm of the weights")


class TimeFlowRecord(Settings):
    """The loss's gradient by the states of a recurrent layer, step by step; null is what is not finite."""

    hidden: list[float | None]
    cell: list[float | None] | None = Field(description="of an LSTM")
    spectral_norm: float | None = Field(description="of the recurrent matrix")


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
    """What was found in one model; what was not looked at is null or empty."""

    name: str
    facts: dict[str, str | None]
    images: int
    norm: str
    epsilon: float
    accuracy: float | None = None
    confusion: ConfusionRecord | None = None
    calibration: CalibrationRecord | None = None
    input_gradients: InputGradientsRecord | None = None
    filters: FiltersRecord | None = None
    weights: list[WeightsRecord] = Field(default_factory=list)
    flow_images: int = Field(0, description="over which the gradient's norms by layer and step are means")
    flow: list[LayerFlowRecord] = Field(default_factory=list, description="from the images to the logits")
    time_flow: TimeFlowRecord | None = None
    spectra: list[SpectrumRecord]
    compression: list[CompressionRecord]
    notes: list[str] = Field(default_factory=list, description="what could not be looked at, and why")
    doubts: list[str] = Field(default_factory=list)


class InspectedRecord(Settings):
    """What was found in the models of every seed of a recipe."""

    name: str
    recipe: str
    seeds: list[int] = Field(description="those whose training did not diverge")
    measures: list[MeasureRecord] = Field(description="one value for each of these seeds")
    first: InspectionRecord = Field(description="of the first of them: what figures are drawn from")
    doubts: list[str] = Field(default_factory=list, description="with their seeds")

    @property
    def prefix(self) -> str:
        """With this the keys of its pixels and weights begin in the arrays of the study."""
        return f"inspection-{self.name}-"

    def measure(self, name: str) -> MeasureRecord | None:
        """Return one of its measures by name; None where it was not looked at."""
        return next((measure for measure in self.measures if measure.name == name), None)
