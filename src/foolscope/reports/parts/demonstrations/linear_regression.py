"""The demonstration of linear regression against its stability bound, in a report."""

from foolscope.experiments.parts.demonstrations.kind import DemonstrationRecord
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.demonstrations.measures import formula, mean_text
from foolscope.reports.phrases import join_words, one_or_many

__all__ = ["blocks", "sentence"]


def sentence(record: DemonstrationRecord) -> str:
    """Say for each learning rate its share of the bound, and how often the loss rose."""
    said = []
    for rate in record.settings["learning_rates"]:
        rises = record.measure(f"rises@{rate:g}")
        deed = (
            "never rises"
            if rises.mean == 0
            else f"rises at {mean_text(record, rises.name)} steps, on average"
        )
        said.append(f"at {rate:g} ({mean_text(record, f'share_of_bound@{rate:g}')} of it) the loss {deed}")
    return f"The stability bound 2/λ_max is {mean_text(record, 'bound')}: {join_words(said)}."


def blocks(record: DemonstrationRecord) -> list[doc.Block]:
    """Explain and show the descents at every rate, with the bound and the closed form."""
    settings, data = record.settings, record.data
    deviations = join_words([f"{each:g}" for each in settings["deviations"]])
    explanation = (
        f"{settings['examples']:,} examples with {one_or_many(len(settings['deviations']), 'feature')} of "
        f"standard deviation {deviations}, not normalized; targets are a "
        f"weighted sum, a constant, and normal noise of standard deviation {settings['noise']:g}. Plain "
        "gradient descent from zero on the mean squared error."
    )
    curvature = (
        "The loss is quadratic, and its curvatures are the eigenvalues λ of its Hessian "
        f"{formula('H = (2/N) XᵀX')}, X with a column of ones for the bias. Along an eigenvector the "
        f"distance from the lowest point is multiplied by {formula('1 − ηλ')} in every step: it shrinks if "
        f"{formula('η < 2/λ')}, and beyond that it changes sign and grows. The steepest direction decides: "
        f"{formula('λ_max = ' + mean_text(record, 'curvature'))}, so learning rates must stay below "
        f"{formula('2/λ_max = ' + mean_text(record, 'bound'))}. The flattest one, "
        f"{mean_text(record, 'condition')} times flatter, determines how many steps are needed. The bound is "
        f"sharp: at 0.99 of it the loss rises at {mean_text(record, 'rises_below')} steps of "
        f"{settings['steps']:,}; at 1.01 of it the final loss is {mean_text(record, 'growth_above')} times "
        "the lowest. A descent stops when its loss exceeds a million times the initial one."
    )
    figure = doc.Figure(
        draw.later(
            draw.descent_curves,
            {
                f"η = {run['rate']:g}, {run['rate'] / data['bound']:.3g} of the bound": (
                    run["steps"],
                    run["losses"],
                )
                for run in data["runs"]
            },
            levels={"closed form": data["least_loss"]},
            title="Mean squared error",
        ),
        "The loss by step at each learning rate, both axes logarithmic, with the closed-form solution as the "
        "minimum. First seed.",
        "Curves of the loss by step, one for each learning rate.",
        key=f"descents-{record.name}",
    )
    return [doc.Paragraph(explanation), doc.Paragraph(curvature), figure]
