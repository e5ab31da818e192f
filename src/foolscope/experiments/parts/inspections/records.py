"""Inspections of one model and of the models of every seed, as they are stored and reported."""

from pydantic import Field

from foolscope.core.settings import Settings
from foolscope.experiments.parts.measures import MeasureRecord
from foolscope.inspection.answers.calibration import Calibration
from foolscope.inspection.answers.confusion import Confusion
from foolscope.inspection.answers.modes import ModeDifference
from foolscope.inspection.attribution.explanations import Attributions
from foolscope.inspection.attribution.input_gradients import InputGradients
from foolscope.inspection.attribution.sanity import AttributionSanity
from foolscope.inspection.gradients.gradient_flow import TimeFlow
from foolscope.inspection.gradients.layer_flow import LayerFlow
from foolscope.inspection.layers.filters import Filters
from foolscope.inspection.layers.spectrum import LayerSpectrum
from foolscope.inspection.layers.weights import WeightHistogram
from foolscope.inspection.tree.records import TreeInspection

__all__ = ["Compression", "ModelInspection", "StudyInspection"]


class Compression(Settings):
    """A model with every weight matrix at a fraction of its full rank."""

    fraction: float = Field(description="of each layer's full rank")
    parameters: int
    accuracy: float
    robust_accuracy: float = Field(description="under PGD with 20 steps")
    milliseconds: float = Field(description="a forward pass over a batch, the median of 5")


class ModelInspection(Settings):
    """The inspection of one model; parts that were not inspected are null or empty."""

    name: str
    facts: dict[str, str | None]
    images: int
    norm: str
    epsilon: float
    accuracy: float | None = None
    confusion: Confusion | None = None
    calibration: Calibration | None = None
    modes: ModeDifference | None = None
    input_gradients: InputGradients | None = None
    attributions: Attributions | None = None
    attribution_sanity: AttributionSanity | None = None
    filters: Filters | None = None
    weights: list[WeightHistogram] = Field(default_factory=list)
    flow_images: int = Field(0, description="over which the gradient's norms by layer and step are means")
    flow: list[LayerFlow] = Field(default_factory=list, description="from the images to the logits")
    time_flow: TimeFlow | None = None
    spectra: list[LayerSpectrum]
    tree: TreeInspection | None = Field(None, description="of a prototype tree")
    compression: list[Compression]
    notes: list[str] = Field(default_factory=list, description="what could not be inspected, and why")
    doubts: list[str] = Field(default_factory=list)


class StudyInspection(Settings):
    """The inspection of the models of every seed of a recipe."""

    name: str
    recipe: str
    seeds: list[int] = Field(description="those whose training did not diverge")
    measures: list[MeasureRecord] = Field(description="one value for each of these seeds")
    first: ModelInspection = Field(description="of the first of them: what figures are drawn from")
    doubts: list[str] = Field(default_factory=list, description="with their seeds")

    @property
    def prefix(self) -> str:
        """The prefix of the keys of its pixels and weights in the arrays of the study."""
        return f"inspection-{self.name}-"

    def measure(self, name: str) -> MeasureRecord | None:
        """Return one of its measures by name; None where it was not inspected."""
        return next((measure for measure in self.measures if measure.name == name), None)
