"""The demonstration of a curve fitted by gradient descent, in a report."""

from foolscope.experiments.parts.demonstrations.kind import DemonstrationRecord
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.demonstrations.measures import formula, mean_text
from foolscope.reports.phrases import one_or_many

__all__ = ["blocks", "sentence"]

_CURVES = {"sine": "sin x", "cubic": "0.1 x³ − 0.5 x + 0.5"}


def sentence(record: DemonstrationRecord) -> str:
    """Say how near the fit came to the minimum, and whether the loss ever rose."""
    rises = record.measure("rises")
    fell = (
        "fell at every step"
        if rises.mean == 0
        else f"rose at {mean_text(record, 'rises')} steps, on average,"
    )
    return (
        f"Gradient descent at learning rate {record.settings['learning_rate']:g} ends at "
        f"{mean_text(record, 'loss_ratio')} times the minimum loss; the loss {fell} of "
        f"{record.settings['steps']:,}."
    )


def blocks(record: DemonstrationRecord) -> list[doc.Block]:
    """Explain and show a fitted curve."""
    settings, data = record.settings, record.data
    text = (
        f"{one_or_many(settings['points'], 'point')} of {_CURVES[settings['function']]}, x uniform between "
        f"−{settings['half_width']:g} and {settings['half_width']:g}, with normal noise of standard "
        f"deviation {settings['noise']:g}. A polynomial of degree {settings['degree']} is an affine layer "
        f"over the powers of x; its mean squared error {formula('L = (1/N) Σ (ŷ − y)²')} has the gradients "
        f"{formula('∂L/∂wₖ = (2/N) Σ (ŷ − y) xᵏ')} and {formula('∂L/∂b = (2/N) Σ (ŷ − y)')}, derived by "
        f"hand, and plain gradient descent takes {formula('w ← w − η ∂L/∂w')} from zero, "
        f"{settings['steps']:,} times with η = {settings['learning_rate']:g}. The "
        f"gradient agrees with central differences of the loss to {mean_text(record, 'gradient_error')}. "
        "The loss is quadratic in w and b, so one system of linear equations gives its minimum, with which "
        "the descent is compared."
    )
    figure = doc.Figure(
        draw.later(
            draw.fitted_curve,
            (data["x"], data["heights"]),
            data["grid"],
            {
                "gradient descent": data["fitted"],
                "closed form": data["least_squares"],
                "without noise": data["true"],
            },
            (data["steps"], data["losses"]),
            levels={"closed form": record.measure("least_squares_loss").values[0] or float("nan")},
        ),
        "Left: the data with the fitted curve. Right: the loss by step, both axes logarithmic. First seed.",
        "Points with a fitted curve through them, and a falling curve of the loss by step.",
        key=f"fit-{record.name}",
    )
    return [doc.Paragraph(text), figure]
