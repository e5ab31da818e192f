"""The report of verdicts on numbers from elsewhere."""

from pathlib import Path

from foolscope.core.files import whole_file, write_json, write_text
from foolscope.experiments.tables.judgement import JudgementRecord
from foolscope.experiments.wording.sentences import amount
from foolscope.reports import document as doc
from foolscope.reports.opening import claims_shown
from foolscope.reports.parts.ablations import Compared, ablation_blocks, factor_verdicts
from foolscope.reports.phrases import full_stop
from foolscope.reports.render.html import render_html
from foolscope.reports.render.markdown import render_markdown

__all__ = ["judgement_document", "write_judgement"]

_PAIRED = (
    " Settings are compared within seeds, which cancels what runs with the same seed have in common, such as "
    "the order of images or a split."
)
_UNPAIRED = (
    " Runs of different settings have nothing in common, so each setting's own spread enters a comparison "
    "(Welch's t test)."
)


def judgement_document(record: JudgementRecord) -> doc.Document:
    """Build the report: what was read and lost, the verdicts, the claims, the numbers."""
    ablation = record.ablation
    lost = [doc.Notice((doc.Strong("Lost:"), f" {sentence}")) for sentence in record.lost]
    blocks: list[doc.Block] = [
        doc.Paragraph((doc.Strong("Read:"), f" {full_stop(record.understood)}")),
        *lost,
        factor_verdicts(ablation),
    ]
    if record.claims:
        blocks.append(doc.Section("The claims, tested", [claims_shown(record.claims, len(ablation.seeds))]))
    return doc.Document(
        f"Verdicts on {record.source}",
        f"How does {ablation.metric_words} differ from that of {record.baseline}?",
        lead=blocks,
        sections=[
            doc.Section(
                "Settings against the baseline", ablation_blocks(ablation, compared=_compared(record))
            ),
            doc.Section("The table", _reading(record)),
        ],
        facts=[
            ("Table", record.source),
            ("Baseline", record.baseline),
            ("Seeds" if record.paired else "Runs per setting, at most", str(len(ablation.seeds))),
            *([("Test images", f"{record.images:,}")] if record.images else []),
            ("Smallest difference that counts", amount(ablation.practical_difference, ablation.scale)),
        ],
    )


def write_judgement(record: JudgementRecord, target: Path) -> list[Path]:
    """Write ``report.html``, ``report.md`` with figures, and ``judgement.json`` into a folder, or one page.

    Args:
        record: from :func:`foolscope.experiments.tables.judgement.judge_table`.
        target: a folder, made if need be; or a file that ends with ``.html``, which gets the page alone.

    Returns:
        The files, the page first.

    Raises:
        StoreError: no space or no permission.
    """
    document = judgement_document(record)
    if target.suffix.lower() in (".html", ".htm"):
        write_text(target, render_html(document))
        return [target]
    page, text, numbers = (target / name for name in ("report.html", "report.md", "judgement.json"))
    write_text(page, render_html(document))
    markdown, figures = render_markdown(document, prefix="figures/")
    for name, content in figures.items():
        with whole_file(target / name) as stream:
            stream.write(content)
    write_text(text, markdown)
    write_json(numbers, record.model_dump(mode="json"))
    return [page, text, numbers]


def _compared(record: JudgementRecord) -> Compared:
    return Compared(
        f"Every setting is compared with the baseline, {record.baseline}; ",
        _PAIRED if record.paired else _UNPAIRED,
        f"Every setting against {record.baseline}",
        "seed" if record.paired else "run",
    )


def _reading(record: JudgementRecord) -> list[doc.Block]:
    notes = [*record.notes, *record.lost]
    population = (
        "Which images each run classified correctly is known."
        if record.per_image
        else "Only the metric of each run is known, so verdicts are about new seeds on these test images."
    )
    return [
        doc.Paragraph((f"{full_stop(record.understood)} ", population)),
        *([doc.Bullets(notes)] if notes else []),
    ]
