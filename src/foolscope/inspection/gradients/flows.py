"""Norms of the loss's gradient by layer and by time step, as they are stored and drawn."""

from pydantic import Field

from foolscope.core.settings import FiniteFloat, Settings

__all__ = ["LayerFlow", "TimeFlow"]


class LayerFlow(Settings):
    """The loss's gradient at one layer; null is what is not finite, or what the layer does not have."""

    layer: str
    output_norm: FiniteFloat = Field(None, description="with respect to the output, mean over images")
    weight_norm: FiniteFloat = Field(None, description="of the mean loss, with respect to the weights")
    relative_norm: FiniteFloat = Field(None, description="weight_norm divided by the norm of the weights")


class TimeFlow(Settings):
    """The loss's gradient with respect to the states of a recurrent layer; null is what is not finite."""

    hidden: list[FiniteFloat] = Field(description="norm at every time step")
    cell: list[FiniteFloat] | None = Field(description="of an LSTM")
    spectral_norm: FiniteFloat = Field(description="of the recurrent matrix")
