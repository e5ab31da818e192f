"""Answers of a model: calibration of its confidence, and the gradient with respect to the pixels."""

from foolscope.experiments.wording.sentences import PLAIN, POINTS, number
from foolscope.inspection.answers.calibration import Calibration
from foolscope.inspection.attribution.input_gradients import GradientPicture, InputGradients
from foolscope.inspection.attribution.means import Mean
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.pictures import Arrays, viewable
from foolscope.reports.phrases import one_or_many, with_interval

__all__ = [
    "calibration_blocks",
    "calibration_sentence",
    "edge_words",
    "edges_sentence",
    "input_gradient_blocks",
]

_CLEAR = 0.1  # a smaller difference of correlations shows in the mean, not in a picture


def calibration_sentence(record: Calibration) -> str:
    """Say whether confidence and accuracy agree."""
    error, chance, highest = (
        number(value, POINTS)
        for value in (record.expected_error, record.expected_by_chance, record.highest_by_chance)
    )
    confidence, accuracy = (number(value, POINTS) for value in (record.mean_confidence, record.accuracy))
    found = (
        f"Mean confidence {confidence} %, accuracy {accuracy} %; the expected calibration error is {error} "
        f"points in {len(record.bins)} bins"
    )
    if record.expected_error <= record.highest_by_chance:
        return f"{found}, as with perfect calibration (mean {chance}, 95 % quantile {highest})."
    kind = "overconfident" if record.mean_confidence > record.accuracy else "underconfident"
    if abs(record.mean_confidence - record.accuracy) < record.expected_error / 2:
        kind = "overconfident in some bins and underconfident in others"
    return f"{found}, above the 95 % quantile with perfect calibration, {highest}: the model is {kind}."


def calibration_blocks(record: Calibration) -> list[doc.Block]:
    """Show confidence against accuracy, and the scores of the probabilities."""
    bins = record.bins
    return [
        doc.Paragraph(
            (
                calibration_sentence(record),
                " Confidence is the probability of the predicted class, the softmax of the logits. ",
                doc.Reference("reliability"),
                " shows each bin; below the diagonal, the model is overconfident.",
            )
        ),
        doc.Figure(
            draw.later(draw.reliability, bins),
            f"Reliability in {len(bins)} bins of confidence (Guo et al. 2017, arXiv:1706.04599, section 2), "
            "with Wilson's 95 % intervals; below, the share of the images in each.",
            "Accuracy against confidence beside the diagonal.",
            key="reliability",
        ),
        doc.Table(
            ["score", *doc.right("value", "perfect model")],
            [
                [
                    f"expected calibration error, {len(bins)} bins, points",
                    _points(record.expected_error),
                    "0",
                ],
                ["its mean with perfect calibration", _points(record.expected_by_chance), None],
                ["its 95 % quantile with perfect calibration", _points(record.highest_by_chance), None],
                ["negative log-likelihood, nats", number(record.negative_log_likelihood, PLAIN), "0"],
                ["Brier score, 0 to 2", number(record.brier_score, PLAIN), "0"],
            ],
            "Scores of the predicted probabilities.",
            note="The expected calibration error is Σ share of the bin · |accuracy − confidence|. It is "
            "above 0 even with perfect calibration, because each bin holds finitely many images; its "
            "distribution in that case was simulated with 1,000 draws.",
            key="calibration",
        ),
    ]


def edges_sentence(record: InputGradients) -> str:
    """Say whether gradients trace the edges of their own image."""
    if record.own is None:
        return (
            "No image has both a gradient with respect to its pixels and edges, so nothing can be correlated."
        )
    gradient, counted = "The gradient with respect to the pixels", one_or_many(record.counted, "image")
    return edge_words(gradient, record.own, record.other, record.difference, counted)


def edge_words(gradient: str, own: Mean, other: Mean | None, difference: Mean | None, over: str) -> str:
    """Say how a gradient correlates with the edges of its own image and of another, and what that means.

    Args:
        gradient: whose, such as "The gradient with respect to the pixels".
        own: correlation with the edges of its own image.
        other: with those of another image.
        difference: own minus other.
        over: what the means are over, such as "500 images".
    """
    found = f"{gradient} has a correlation of {_mean(own)} with the edges of its own image"
    if other is None or difference is None or difference.low is None or difference.high is None:
        return f"{found}."
    verdict = (
        f"it traces edges{'' if difference.mean >= _CLEAR else ', but weakly'}"
        if difference.low > 0
        else "it avoids the image's own edges"
        if difference.high < 0
        else "it does not trace the image's own edges"
    )
    return (
        f"{found} and {_mean(other)} with those of another, a difference of {_mean(difference)} over "
        f"{over}: {verdict}."
    )


def input_gradient_blocks(record: InputGradients, arrays: Arrays) -> list[doc.Block]:
    """Show gradients beside images and edges, with their correlation."""
    blocks: list[doc.Block] = [
        doc.Paragraph(
            f"{edges_sentence(record)} Correlations are Pearson's over the pixels, between the gradient's "
            "magnitude summed over channels and Sobel's edge strength; means over images with 95 % t "
            "intervals. The other image is drawn at random and is the control: objects are centered, so any "
            "two images have edges in common. The gradient is that of the label's cross-entropy."
        )
    ]
    flat = record.images - record.counted
    if flat:
        blocks.append(
            doc.Paragraph(f"{one_or_many(flat, 'image')} without a gradient or without edges are skipped.")
        )
    for kind, pictures in (("correctly", record.right), ("incorrectly", record.wrong)):
        rows = [row for each in pictures if (row := _triple(each, arrays))]
        if rows:
            blocks.append(
                doc.Gallery(
                    rows,
                    f"The first images that are classified {kind}. In each triple: the image, the magnitude "
                    "of the gradient with respect to its pixels (white above the 99 % quantile), and the "
                    "image's edges.",
                    key=f"gradients-{kind}",
                )
            )
    return blocks


def _triple(record: GradientPicture, arrays: Arrays) -> list[doc.Panel]:
    if any(key not in arrays for key in (record.image, record.gradient, record.edges)):
        return []
    taken = "correct" if record.label == record.predicted else f"predicted {record.predicted}"
    said = [] if record.correlation is None else [f"correlation {number(record.correlation, PLAIN)}"]
    return [
        doc.Panel(viewable(arrays[record.image]), f"label {record.label}", [taken]),
        doc.Panel(arrays[record.gradient], "|gradient|", said),
        doc.Panel(arrays[record.edges], "edges"),
    ]


def _points(fraction: float) -> str:
    return number(fraction, POINTS)


def _mean(record: Mean) -> str:
    return with_interval(record.mean, record.low, record.high, PLAIN) or ""
