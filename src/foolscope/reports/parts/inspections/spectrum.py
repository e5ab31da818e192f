"""The spectra of a model's layers, and its accuracy at lower ranks."""

import numpy as np

from foolscope.experiments.parts.inspections.records import ModelInspection
from foolscope.experiments.wording.fields import norm_words
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.inspections.layers import spread
from foolscope.reports.phrases import epsilon_words

__all__ = ["compression_blocks", "spectrum_blocks"]

_CURVES = 8


def spectrum_blocks(record: ModelInspection) -> list[doc.Block]:
    """Show the singular values and ranks of each layer."""
    shown = spread(record.spectra, _CURVES)
    longest = max(len(each.singular_values) for each in shown)
    curves = {
        each.layer: draw.Band(
            np.pad(
                np.array(each.singular_values) / max(each.singular_values[0], 1e-300),
                (0, longest - len(each.singular_values)),
                constant_values=np.nan,
            )
        )
        for each in shown
    }
    return [
        doc.Paragraph(
            (
                "A layer multiplies by a matrix; its singular values are the gains along orthogonal "
                "directions. The effective rank, the exponential of the entropy of their shares, is the "
                "number of directions that matter (",
                doc.Reference("spectra"),
                ", ",
                doc.Reference("ranks"),
                ").",
            )
        ),
        doc.Figure(
            draw.later(
                draw.line_panels,
                np.arange(1, longest + 1),
                {"Singular value relative to the largest": curves},
                x_label="rank",
                y_limits=(0.0, 1.02),
                width=680,
                height=330,
            ),
            "Singular values of each layer, the largest first"
            + (
                "."
                if len(shown) == len(record.spectra)
                else f"; {len(shown)} of {len(record.spectra)} layers."
            ),
            "One falling curve for each layer.",
            key="spectra",
        ),
        doc.Table(
            ["layer", *doc.right("weights", "full rank", "effective rank", "rank of 99 % energy", "largest")],
            [
                [
                    each.layer,
                    f"{each.rows} × {each.columns}",
                    len(each.singular_values),
                    f"{each.effective_rank:.1f}",
                    each.energy_rank,
                    f"{each.singular_values[0]:.3g}",
                ]
                for each in record.spectra
            ],
            "Ranks of the layers.",
            note="Energy is the sum of the squares of the singular values.",
            key="ranks",
        ),
    ]


def compression_blocks(record: ModelInspection) -> list[doc.Block]:
    """Show accuracy, size and time at lower ranks."""
    rows = sorted(record.compression, key=lambda row: row.fraction)
    threat = f"PGD, {norm_words(record.norm)} {epsilon_words(record.epsilon)}"
    blocks: list[doc.Block] = [
        doc.Paragraph(
            (
                "Each weight matrix was replaced by its best approximation of a lower rank, which keeps the "
                "largest singular values; where two factors have fewer entries than the matrix, they replace "
                "it. ",
                doc.Reference("compression"),
                f" shows the accuracy on {record.images:,} images.",
            )
        )
    ]
    if len(rows) > 1:
        curves = {
            "clean": draw.Band([100 * row.accuracy for row in rows]),
            f"under {threat}": draw.Band([100 * row.robust_accuracy for row in rows]),
        }
        blocks.append(
            doc.Figure(
                draw.later(
                    draw.line_panels,
                    [100 * row.fraction for row in rows],
                    {"Accuracy, %": curves},
                    x_label="fraction of each layer's full rank, %",
                    y_limits=(0.0, 102.0),
                    width=680,
                    height=330,
                ),
                "Accuracy by rank.",
                "Accuracy with and without attack, rising with the rank.",
                key="compression-figure",
            )
        )
    blocks.append(
        doc.Table(
            [
                doc.Column("fraction of the rank", align="right"),
                doc.Column("parameters", align="right", format=","),
                *doc.right("accuracy, %", f"under {threat}, %", "ms per batch"),
            ],
            [
                [
                    f"{100 * row.fraction:g} %",
                    row.parameters,
                    f"{100 * row.accuracy:.1f}",
                    f"{100 * row.robust_accuracy:.1f}",
                    f"{row.milliseconds:.2f}",
                ]
                for row in rows
            ],
            "The model at lower ranks.",
            key="compression",
        )
    )
    return blocks
