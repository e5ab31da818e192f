"""Training mode and evaluation mode side by side: how the logits of the same images change."""

from foolscope.experiments.wording.sentences import PLAIN, number
from foolscope.inspection.answers.modes import ModeDifference
from foolscope.reports import document as doc
from foolscope.reports.phrases import one_or_many

__all__ = ["mode_blocks", "mode_sentence"]

_ROUNDING = 1e-4  # of the logits' deviation: below it, a change is called rounding


def mode_sentence(record: ModeDifference) -> str:
    """Say whether the logits of an image depend on the mode, on chance and on the rest of the batch."""
    kinds = list(dict.fromkeys(each.kind for each in record.layers))
    by = f" ({', '.join(kinds)})" if kinds else ""
    if record.between is None:
        return (
            "Training and evaluation mode were not compared: that takes three images, and a model that "
            "returns logits in both modes."
        )
    if not _is_real(record, record.between) and not _is_real(record, record.training_repeated):
        return f"The logits are the same in training and in evaluation mode{by}."
    why = [
        words
        for words, change in (
            ("on chance", record.training_repeated),
            ("on the other images of the batch", record.training_companions),
        )
        if _is_real(record, change)
    ]
    depends = f" and depend {' and '.join(why)}" if why else ""
    evaluated = max(record.evaluation_repeated or 0.0, record.evaluation_companions or 0.0)
    steady = (
        "in evaluation mode they depend on neither"
        if not _is_real(record, evaluated)
        else f"in evaluation mode, too, they change, by up to {_change(evaluated)}"
    )
    return (
        f"In training mode the logits of an image differ by up to {_change(record.between)} from those in "
        f"evaluation mode{depends}{by}; {steady}."
    )


def mode_blocks(record: ModeDifference) -> list[doc.Block]:
    """Tabulate the changes of the logits, and the layers that differ between the modes."""
    rows: list[list[doc.CellValue]] = [
        ["evaluation", "the same batch twice", _change(record.evaluation_repeated)],
        ["evaluation", "alone, and among two sets of other images", _change(record.evaluation_companions)],
        ["training", "the same batch twice", _change(record.training_repeated)],
        [
            "training",
            "among two sets of other images, same random draws",
            _change(record.training_companions),
        ],
        ["training, evaluation", "the same batch", _change(record.between)],
    ]
    blocks: list[doc.Block] = [
        doc.Paragraph((f"{mode_sentence(record)} ", doc.Reference("modes"), " has the changes.")),
        doc.Table(
            ["mode", "the same images", doc.Column("largest change of a logit", align="right")],
            rows,
            f"Changes of the logits of {one_or_many(record.images, 'image')}, each among "
            f"{one_or_many(record.companions, 'other')}.",
            note=f"The standard deviation of these logits is {number(record.logit_deviation, PLAIN)}. "
            "Changes below 1/10,000 of it are rounding: larger batches are summed in another order.",
            key="modes",
        ),
    ]
    if record.layers:
        layers: list[list[doc.CellValue]] = [[each.layer, each.kind, each.training] for each in record.layers]
        blocks.append(
            doc.Table(
                ["layer", "kind", "in training mode"],
                layers,
                "Layers that compute something else in training mode.",
                key="mode-layers",
            )
        )
    return blocks


def _is_real(record: ModeDifference, change: float | None) -> bool:
    return change is not None and change > _ROUNDING * record.logit_deviation


def _change(value: float | None) -> str | None:
    return None if value is None else f"{value:.2g}"
