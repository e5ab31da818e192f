"""What a model answers: how far its confidence can be believed, and where its loss's gradient points."""

from foolscope.experiments.parts.inspections.records import (
    CalibrationRecord,
    GradientPictureRecord,
    InputGradientsRecord,
    MeanRecord,
)
from foolscope.experiments.wording.sentences import PLAIN, POINTS, number
from foolscope.reports import figures as draw
from foolscope.reports.document import Block, Column, Figure, Gallery, Panel, Paragraph, Reference, Table
from foolscope.reports.parts.pictures import Arrays, viewable
from foolscope.reports.phrases import one_or_many, with_interval

__all__ = [
    "calibration_blocks",
    "calibration_sentence",
    "edge_words",
    "edges_sentence",
    "input_gradient_blocks",
]

_CLEAR = 0.1  # a smaller difference of correlations is seen in the mean, not in a picture


def calibration_sentence(record: CalibrationRecord) -> str:
    """Say whether the model is right as often as it claims."""
    error, chance, highest = (
        number(value, POINTS)
        for value in (record.expected_error, record.expected_by_chance, record.highest_by_chance)
    )
    confidence, accuracy = (number(value, POINTS) for value in (record.mean_confidence, record.accuracy))
    found = (
        f"It says {confidence} % on average and is right {accuracy} % of the time; the expected calibration "
        f"error is {error} points in {len(record.bins)} bins"
    )
    if record.expected_error <= record.highest_by_chance:
        return f"{found}, no more than chance makes ({chance} on average, up to {highest} in 95 % of cases)."
    kind = "too sure" if record.mean_confidence > record.accuracy else "not sure enough"
    if abs(record.mean_confidence - record.accuracy) < record.expected_error / 2:
        kind = "too sure in some bins and not sure enough in others"
    return f"{found}, above the {highest} that chance stays below in 95 % of cases: it is {kind}."


def calibration_blocks(record: CalibrationRecord) -> list[Block]:
    """Show confidence against accuracy, and the scores of the probabilities."""
    bins = [
        draw.ReliabilityBin(
            each.low,
            each.high,
            each.images,
            each.confidence,
            each.accuracy,
            each.accuracy_low,
            each.accuracy_high,
        )
        for each in record.bins
    ]
    return [
        Paragraph(
            (
                calibration_sentence(record),
                " Confidence is the probability of the predicted class, the softmax of the logits. ",
                Reference("reliability"),
                " shows each bin; a point below the diagonal is a bin in which the model is too sure.",
            )
        ),
        Figure(
            draw.reliability(bins),
            f"Reliability in {len(bins)} bins of confidence (Guo et al. 2017, arXiv:1706.04599, section 2), "
            "with Wilson's 95 % intervals; below, how many images fall to each.",
            "Accuracy against confidence beside the diagonal.",
            key="reliability",
        ),
        Table(
            [Column("score"), Column("value", align="right"), Column("of a perfect model", align="right")],
            [
                [
                    f"expected calibration error, {len(bins)} bins, points",
                    _points(record.expected_error),
                    "0",
                ],
                ["the same if every confidence were true", _points(record.expected_by_chance), None],
                ["its 95 % quantile", _points(record.highest_by_chance), None],
                ["negative log-likelihood, nats", number(record.negative_log_likelihood, PLAIN), "0"],
                ["Brier score, 0 to 2", number(record.brier_score, PLAIN), "0"],
            ],
            "How good the probabilities are.",
            note="The expected calibration error is Σ share of the bin · |accuracy − confidence|. It is "
            "above 0 even for true confidences, because only so many images fall to a bin: what it would "
            "then be was drawn 1,000 times.",
            key="calibration",
        ),
    ]


def edges_sentence(record: InputGradientsRecord) -> str:
    """Say whether gradients follow the edges of their own image more than those of another."""
    if record.own is None:
        return "The gradient by the pixels, or the edges, are flat in every image: nothing can be correlated."
    counted = one_or_many(record.counted, "image")
    return edge_words("The gradient by the pixels", record.own, record.other, record.difference, counted)


def edge_words(
    gradient: str, own: MeanRecord, other: MeanRecord | None, difference: MeanRecord | None, over: str
) -> str:
    """Say how far a gradient follows the edges of its own image, and what to make of it.

    Args:
        gradient: whose, such as "The gradient by the pixels".
        own: correlation with the edges of its own image.
        other: with those of another image.
        difference: own minus other.
        over: what the means are over, such as "500 images".
    """
    found = f"{gradient} correlates {_mean(own)} with the edges of its own image"
    if other is None or difference is None or difference.low is None or difference.high is None:
        return f"{found}."
    verdict = (
        f"it traces edges{'' if difference.mean >= _CLEAR else ', but weakly'}"
        if difference.low > 0
        else "it avoids the image's own edges"
        if difference.high < 0
        else "it traces no edges of the image's own"
    )
    return (
        f"{found} and {_mean(other)} with those of another, a difference of {_mean(difference)} over "
        f"{over}: {verdict}."
    )


def input_gradient_blocks(record: InputGradientsRecord, arrays: Arrays) -> list[Block]:
    """Show gradients beside images and edges, and say what they have in common."""
    blocks: list[Block] = [
        Paragraph(
            f"{edges_sentence(record)} Correlations are Pearson's over the pixels, of the gradient's "
            "magnitude summed over channels with Sobel's edge strength; means over images with 95 % t "
            "intervals. The other image is drawn at random and is the control: objects stand in the middle, "
            "so that any two images have edges in common. The gradient is that of the label's cross-entropy."
        )
    ]
    flat = record.images - record.counted
    if flat:
        blocks.append(
            Paragraph(f"{one_or_many(flat, 'image')} without any gradient or edge do not count here.")
        )
    for kind, pictures in (("right", record.right), ("wrong", record.wrong)):
        rows = [row for each in pictures if (row := _triple(each, arrays))]
        if rows:
            blocks.append(
                Gallery(
                    rows,
                    f"The first images that are classified {kind}. In each triple: the image, the magnitude "
                    "of the gradient by its pixels (white from the 99 % quantile on), and the image's edges.",
                    key=f"gradients-{kind}",
                )
            )
    return blocks


def _triple(record: GradientPictureRecord, arrays: Arrays) -> list[Panel]:
    if any(key not in arrays for key in (record.image, record.gradient, record.edges)):
        return []
    taken = "right" if record.label == record.predicted else f"taken for {record.predicted}"
    said = [] if record.correlation is None else [f"correlation {number(record.correlation, PLAIN)}"]
    return [
        Panel(viewable(arrays[record.image]), f"label {record.label}", [taken]),
        Panel(arrays[record.gradient], "|gradient|", said),
        Panel(arrays[record.edges], "edges"),
    ]


def _points(fraction: float) -> str:
    return number(fraction, POINTS)


def _mean(record: MeanRecord) -> str:
    return with_interval(record.mean, record.low, record.high, PLAIN) or ""
