"""A published experiment: the claims about it, and the published figures beside ours."""

from collections.abc import Sequence

from foolscope.experiments.claims.records import ClaimRecord, FigureRecord
from foolscope.experiments.reproduction import EXPERIMENTS, claims_about
from foolscope.experiments.study_record import StudyRecord
from foolscope.experiments.wording.sentences import POINTS, scale_of
from foolscope.reports import document as doc
from foolscope.reports.opening import opening
from foolscope.reports.parts.part import Shown
from foolscope.reports.phrases import join_words, one_or_many, with_interval

__all__ = ["reproduction_document"]


def reproduction_document(record: StudyRecord, experiments: Sequence[str]) -> doc.Document:
    """Build the opening of a study's report for some of the published experiments that it runs."""
    claims = claims_about(record.claims, experiments)
    silent = [
        f"{number}, {EXPERIMENTS[number].title}: no figures were published."
        for number in experiments
        if not claims_about(claims, [number])
    ]
    figures: list[doc.Block] = (
        [_table(claims, len(record.seeds))] if any(each.figures for each in claims) else []
    )
    return doc.Document(
        f"{join_words(list(experiments))}: {record.title}",
        record.question,
        lead=[
            *opening(Shown(record.model_copy(update={"claims": claims}), {})),
            *figures,
            *[doc.Paragraph(sentence) for sentence in silent],
        ],
    )


def _table(claims: Sequence[ClaimRecord], seeds: int) -> doc.Table:
    rows: list[list[doc.Cell | doc.CellValue]] = []
    for claim in claims:
        outcome = doc.Cell(claim.outcome, tone=doc.OUTCOME_TONES[claim.outcome])
        for place, figure in enumerate(claim.figures):
            first = place == 0
            several = len(claim.figures) > 1
            rows.append(
                [
                    claim.sentence if first else "",
                    figure.label if several else "",
                    _published(figure),
                    _ours(figure),
                    outcome if first else "",
                ]
            )
    return doc.Table(
        ["claim", "setting", *doc.right("published", "ours (95 % interval)"), "verdict"],
        rows,
        f"Published figures beside ours, means over {one_or_many(seeds, 'seed')}.",
        key="figures",
    )


def _published(figure: FigureRecord) -> str:
    if figure.published is None:
        return ""
    scale = scale_of(figure.metric)
    return f"{figure.published * scale.factor:.6g}{scale.level_unit}"


def _ours(figure: FigureRecord) -> str:
    scale = scale_of(figure.metric)
    unit = scale.unit if figure.is_change else scale.level_unit
    bounds = (0.0, 1.0) if scale is POINTS and not figure.is_change else None
    written = with_interval(figure.value, figure.low, figure.high, scale, bounds)
    return "diverged" if written is None else f"{written}{unit}"
