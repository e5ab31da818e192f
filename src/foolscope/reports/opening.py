"""How a report opens: what was found in a few sentences, the verdict on each claim and on each factor."""

from collections import Counter
from typing import Literal

from foolscope.experiments.claims.records import ClaimRecord
from foolscope.experiments.study_record import StudyRecord
from foolscope.experiments.wording.sentences import POINTS, amount, scale_of
from foolscope.reports import document as doc
from foolscope.reports.parts.part import Shown
from foolscope.reports.parts.table import PARTS
from foolscope.reports.phrases import (
    date_words,
    duration_words,
    full_stop,
    join_words,
    one_or_many,
)

__all__ = ["claim_verdicts", "opening", "study_facts"]

_CLAIM_OUTCOMES: tuple[Literal["upheld", "smaller than matters", "contradicted", "undecided"], ...] = (
    "upheld",
    "smaller than matters",
    "contradicted",
    "undecided",
)


def opening(shown: Shown) -> list[doc.Block]:
    """Answer the question: a paragraph, the claims, and what the parts decided."""
    record = shown.record
    own = [(part, record.of(name)) for name, part in PARTS.items() if record.of(name)]
    sentences = [sentence for part, records in own for sentence in part.sentences(records, shown)]
    said = [sentence for sentence in (*sentences, *_claims_sentences(record)) if sentence]
    blocks: list[doc.Block] = []
    if said:
        blocks.append(doc.Paragraph((doc.Strong(said[0]), *[f" {sentence}" for sentence in said[1:]])))
    if record.claims:
        blocks.append(doc.Section("The claims, tested", [claim_verdicts(record)]))
    return blocks + [block for part, records in own for block in part.verdicts(records)]


def study_facts(record: StudyRecord) -> list[tuple[str, str]]:
    """List what stands in the strip under the title."""
    facts = [("Data", _data(facts)) for facts in record.provenance.get("datasets", ())]
    if record.recipes:
        facts.append(("Models trained", f"{record.trial_count:,}"))
    facts.append(("Seeds", str(len(record.seeds))))
    scales = [part.scale(record.of(name)) for name, part in PARTS.items() if record.of(name)]
    scale = next((each for each in scales if each), POINTS if record.claims else None)
    if record.recipes and scale is not None:
        facts.append(("Smallest difference that counts", amount(record.practical_difference, scale)))
    trained = record.provenance.get("training_seconds")
    if trained is not None and record.recipes:
        facts.append(("Training took", duration_words(trained)))
    return [*facts, ("Finished", date_words(record.finished))]


def claim_verdicts(record: StudyRecord) -> doc.Verdicts:
    """Show every claim with what decided it, its doubts, and what was published."""
    return doc.Verdicts(
        [
            doc.Verdict(claim.outcome, full_stop(claim.sentence), _claim_reason(claim, len(record.seeds)))
            for claim in record.claims
        ]
    )


def _data(facts: dict[str, object]) -> str:
    counts = facts.get("counts")
    total = sum(counts.values()) if isinstance(counts, dict) else 0
    return f"{facts.get('name')}, {one_or_many(total, 'image')}"


def _claims_sentences(record: StudyRecord) -> list[str]:
    if not record.claims:
        return []
    counts = Counter(claim.outcome for claim in record.claims)
    parts = [
        f"{counts[outcome]} {'is' if counts[outcome] == 1 else 'are'} {outcome}"
        for outcome in _CLAIM_OUTCOMES
        if counts[outcome]
    ]
    total = len(record.claims)
    sentences = [f"Of {one_or_many(total, 'claim')} tested, {join_words(parts)}."]
    published = [claim for claim in record.claims if _is_published(claim)]
    if published:
        fates = Counter(claim.outcome for claim in published)
        seeds = one_or_many(len(record.seeds), "seed")
        words = {
            "upheld": f"{seeds} uphold {fates['upheld']}",
            "smaller than matters": f"find {fates['smaller than matters']} true by less than matters",
            "contradicted": f"contradict {fates['contradicted']}",
            "undecided": f"leave {fates['undecided']} undecided",
        }
        said = [words[outcome] for outcome in _CLAIM_OUTCOMES if fates[outcome] or outcome == "upheld"]
        sentences.append(
            f"Of {one_or_many(len(published), 'published statement')} among them, {join_words(said)}."
        )
        noisy = sum(claim.noise is not None and claim.noise.rests_on_noise is True for claim in published)
        if noisy:
            sentences.append(
                f"{noisy} of them rested on noise: one run per setting, as published, could not have shown "
                f"{'it' if noisy == 1 else 'them'}."
            )
    return sentences


def _is_published(claim: ClaimRecord) -> bool:
    return claim.published is not None or claim.source is not None


def _claim_reason(claim: ClaimRecord, seeds: int) -> tuple[doc.Inline, ...]:
    pieces: list[doc.Inline] = [claim.reason]
    if _is_published(claim):
        pieces += [" ", doc.Strong("Published:"), f" {_published(claim)} {_judgement(claim, seeds)}".rstrip()]
    if claim.noise is not None:
        pieces += [" ", doc.Strong("Rested on noise:")] * (claim.noise.rests_on_noise is True)
        pieces.append(f" {claim.noise.sentence}")
    for doubt in claim.doubts:
        pieces += [" ", doc.Strong("Doubt:"), f" {full_stop(doubt)}"]
    return tuple(pieces)


def _published(claim: ClaimRecord) -> str:
    figure = claim.published
    if isinstance(figure, float):
        is_accuracy = any(scale_of(each.metric) is POINTS for each in claim.figures)
        figure = f"{figure * 100:.6g} %" if is_accuracy else f"{figure:g}"
    source = claim.source or ""
    return full_stop(f"{figure} ({source})" if figure and source else figure or source)


def _judgement(claim: ClaimRecord, seeds: int) -> str:
    if claim.outcome == "undecided":
        alone = "." if claim.noise is not None else ", and a single run could not."
        return f"{one_or_many(seeds, 'seed')} do not decide it{alone}"
    if claim.outcome == "contradicted":
        return f"{one_or_many(seeds, 'seed')} contradict it."
    return ""
