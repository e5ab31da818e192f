"""Signs of masked gradients, one row for each sign that an evaluation checked."""

from collections.abc import Sequence

from foolscope.experiments.parts.attacks.records import CurveRecord, MaskingRecord
from foolscope.reports import document as doc
from foolscope.reports.phrases import join_words, one_or_many

__all__ = ["masking_section"]


def masking_section(curves: Sequence[CurveRecord], plan: str) -> doc.Section:
    """Say which signs of masked gradients were seen with one plan of attack, and tabulate all of them."""
    blocks: list[doc.Block] = [
        doc.Paragraph(
            "An attack may fail because the model is robust, or because its gradients vanish, are random or "
            "misleading (masked gradients). Such a model is not robust: another attack will fool it. "
            f"{_seen_words(curves)}"
        )
    ]
    for curve in curves:
        table = _table(curve, f"masking-{plan}-{curve.recipe}")
        blocks.append(table if len(curves) == 1 else doc.Details(f"Checks of {curve.recipe}", [table]))
    return doc.Section("Masked gradients", blocks)


def _seen_words(curves: Sequence[CurveRecord]) -> str:
    """Say which signs were seen in which recipe, and what they mean."""
    count = max(len(curve.checks) for curve in curves)
    said = [f"{one_or_many(count, 'sign')} of masked gradients {'was' if count == 1 else 'were'} checked."]
    clear = [curve.recipe for curve in curves if not any(each.seen for each in curve.checks)]
    if clear:
        said.append(f"None was seen in {join_words(clear)}.")
    for curve in curves:
        serious = [each.name for each in curve.checks if each.seen and each.is_serious]
        harmless = [each.name for each in curve.checks if each.seen and not each.is_serious]
        if serious:
            said.append(
                f"Seen in {curve.recipe}: {join_words(serious)}, so its accuracies may be far too high; the "
                "table says what to do."
            )
        if harmless:
            said.append(
                f"Seen in {curve.recipe}, but harmless here: {join_words(harmless)}, which may mislead other "
                "evaluations."
            )
    return " ".join(said)


def _table(curve: CurveRecord, key: str) -> doc.Table:
    ordered = sorted(curve.checks, key=lambda each: (not each.seen, not each.is_serious))
    return doc.Table(
        [
            "sign",
            "seen?",
            "finding",
        ],
        [[doc.Cell(each.name, emphasis=each.seen > 0), _seen_cell(each), each.sentence] for each in ordered],
        f"Signs of masked gradients in {curve.recipe}.",
        key=key,
    )


def _seen_cell(record: MaskingRecord) -> doc.Cell:
    if not record.seen:
        return doc.Cell("not\u00a0seen")
    part = f" in {record.seen} of {record.models} models" if record.models > 1 else ""
    harmless = "" if record.is_serious else ", harmless here"
    return doc.Cell(f"seen{part}{harmless}", emphasis=True, tone="bad" if record.is_serious else "caution")
