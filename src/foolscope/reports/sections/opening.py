"""How a report opens: what was found in a few sentences, the verdict on each claim and on each factor."""

from collections import Counter
from collections.abc import Sequence

from foolscope.experiments.prose import amount, capitalized, scale_of
from foolscope.experiments.records import AblationRecord, ClaimRecord, CurveRecord, StudyRecord
from foolscope.reports.document import Block, Inline, Outcome, Paragraph, Section, Strong, Verdict, Verdicts
from foolscope.reports.sections.effects import factor_outcome, key_sentences
from foolscope.reports.sections.phrases import (
    ball_words,
    date_words,
    duration_words,
    join_words,
    metric_words,
    norm_symbol,
    one_or_many,
    with_interval,
    with_unit,
)

__all__ = ["claim_verdicts", "factor_verdicts", "opening", "study_facts"]

_CLAIM_OUTCOMES = ("upheld", "contradicted", "undecided")


def opening(record: StudyRecord) -> list[Block]:
    """Answer the question: a paragraph, the claims, and what each factor does."""
    sentences = [
        _accuracy_sentence(record),
        *map(_ablation_sentence, record.ablations),
        *_robustness_sentences(record.curves),
        *_claims_sentences(record),
    ]
    said = [sentence for sentence in sentences if sentence]
    blocks: list[Block] = []
    if said:
        blocks.append(Paragraph((Strong(said[0]), *[f" {sentence}" for sentence in said[1:]])))
    if record.claims:
        blocks.append(Section("The claims, tested", [claim_verdicts(record)]))
    for ablation in record.ablations:
        several = f" around {ablation.recipe}" if len(record.ablations) > 1 else ""
        blocks.append(Section(f"What matters, and what does not{several}", [factor_verdicts(ablation)]))
    return blocks


def study_facts(record: StudyRecord) -> list[tuple[str, str]]:
    """List what stands in the strip under the title."""
    facts = [("Data", _data(facts)) for facts in record.provenance.get("datasets", ())]
    facts += [("Models trained", f"{record.trial_count:,}"), ("Seeds", str(len(record.seeds)))]
    if record.ablations or record.claims:
        metric = record.ablations[0].metric if record.ablations else "test_accuracy"
        smallest = amount(record.practical_difference, scale_of(metric))
        facts.append(("Smallest difference that counts", smallest))
    return [
        *facts,
        ("Duration", duration_words(record.duration_seconds)),
        ("Finished", date_words(record.finished)),
    ]


def claim_verdicts(record: StudyRecord) -> Verdicts:
    """Show every claim with what decided it, its doubts, and what was published."""
    return Verdicts(
        [
            Verdict(claim.outcome, _full_stop(claim.sentence), _claim_reason(claim, len(record.seeds)))
            for claim in record.claims
        ]
    )


def factor_verdicts(ablation: AblationRecord) -> Verdicts:
    """Show what each factor does, and the sentences of the values that do something."""
    items: list[Verdict] = []
    for factor in ablation.factors:
        outcome: Outcome = factor_outcome(factor)
        items.append(Verdict(outcome, factor.summary, key_sentences(ablation, factor)))
    return Verdicts(items)


def _data(facts: dict[str, object]) -> str:
    counts = facts.get("counts")
    total = sum(counts.values()) if isinstance(counts, dict) else 0
    return f"{facts.get('name')}, {one_or_many(total, 'image')}"


def _accuracy_sentence(record: StudyRecord) -> str:
    scored = [
        (training.recipe, *training.means["test_accuracy"])
        for training in record.trainings
        if training.means.get("test_accuracy", (None,))[0] is not None
    ]
    if not scored:
        return "No classifier finished training without diverging." if record.trainings else ""
    seeds = f", means over {len(record.seeds)} seeds" if len(record.seeds) > 1 else ""
    if len(scored) == 1:
        recipe, mean, low, high = scored[0]
        interval = with_interval(mean, low, high, bounds=(0, 1)) or ""
        value, _, ends = interval.partition(" (")
        evidence = f" (95 % interval {ends.removesuffix(')')}, {len(record.seeds)} seeds)" if ends else ""
        return f"{capitalized(recipe)} gets {value} % of the test images right{evidence}."
    ranked = sorted(scored, key=lambda each: each[1] or 0.0)
    (worst, low_mean, *_), (best, high_mean, *_) = ranked[0], ranked[-1]
    assert low_mean is not None
    assert high_mean is not None
    return (
        f"Test accuracy runs from {with_unit(low_mean)} ({worst}) to {with_unit(high_mean)} ({best}){seeds}."
    )


def _ablation_sentence(ablation: AblationRecord) -> str:
    by_outcome: dict[str, list[str]] = {}
    for factor in ablation.factors:
        by_outcome.setdefault(factor_outcome(factor), []).append(factor.words)
    margin = amount(ablation.practical_difference, scale_of(ablation.metric))
    parts = []
    for outcome, words in by_outcome.items():
        one = len(words) == 1
        parts.append(
            {
                "matters": f"{join_words(words)} {'matters' if one else 'matter'}",
                "no effect": f"{join_words(words)} {'has' if one else 'have'} no effect larger than {margin}",
                "undecided": f"{join_words(words)} {'is' if one else 'are'} undecided",
                "diverged": f"training diverged for every other {join_words(words, 'or')}",
            }[outcome]
        )
    order = ["matters", "no effect", "undecided", "diverged"]
    ranked = [part for _, part in sorted(zip(by_outcome, parts, strict=True), key=lambda e: order.index(e[0]))]
    helps = any(level.outcome == "helps" for factor in ablation.factors for level in factor.levels)
    better = "" if helps else "; no value tried is better than the baseline's"
    of = "" if ablation.metric == "test_accuracy" else f" for its {metric_words(ablation.metric)}"
    return f"Around {ablation.recipe}{of}, over the values tried, {', '.join(ranked)}{better}."


def _robustness_sentences(curves: Sequence[CurveRecord]) -> list[str]:
    return [
        _robustness_sentence([curve for curve in curves if curve.attack == attack])
        for attack in dict.fromkeys(curve.attack for curve in curves)
    ]


def _robustness_sentence(curves: Sequence[CurveRecord]) -> str:
    """Report the first budget that costs some model half of its images, else the largest."""
    first = curves[0]
    place = next(
        (
            index
            for index, epsilon in enumerate(first.epsilons)
            if epsilon > 0 and min(curve.mean[index] for curve in curves) < 0.5
        ),
        len(first.epsilons) - 1,
    )
    left = join_words(
        [f"{with_unit(curve.mean[place])} ({curve.recipe})" for curve in curves]
        if len(curves) > 1
        else [with_unit(first.mean[place])]
    )
    whose = "" if len(curves) > 1 else f"{first.recipe} "
    return (
        f"Under attack, {ball_words(first.norm, first.epsilons[place])} ({norm_symbol(first.norm)}) leaves "
        f"{whose}{left} of the test images."
    )


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
    sentences = [f"Of {one_or_many(total, 'claim')} put to the test, {join_words(parts)}."]
    published = [claim for claim in record.claims if _is_published(claim)]
    lost = [claim for claim in published if claim.outcome != "upheld"]
    if lost:
        sentences.append(
            f"Of {one_or_many(len(published), 'published conclusion')} among them, "
            f"{len(lost)} did not survive {one_or_many(len(record.seeds), 'seed')}."
        )
    return sentences


def _is_published(claim: ClaimRecord) -> bool:
    return claim.published is not None or claim.source is not None


def _claim_reason(claim: ClaimRecord, seeds: int) -> tuple[Inline, ...]:
    pieces: list[Inline] = [claim.reason]
    if _is_published(claim):
        pieces += [" ", Strong("Published:"), f" {_published(claim)} {_judgement(claim, seeds)}".rstrip()]
    for doubt in claim.doubts:
        pieces += [" ", Strong("Doubt:"), f" {_full_stop(doubt)}"]
    return tuple(pieces)


def _published(claim: ClaimRecord) -> str:
    figure = f"{claim.published:g}" if isinstance(claim.published, float) else claim.published
    source = claim.source or ""
    return _full_stop(f"{figure} ({source})" if figure and source else figure or source)


def _judgement(claim: ClaimRecord, seeds: int) -> str:
    if claim.outcome == "undecided":
        return f"With {one_or_many(seeds, 'seed')} the difference is within the noise between seeds."
    if claim.outcome == "contradicted":
        return f"{one_or_many(seeds, 'seed')} contradict it."
    return ""


def _full_stop(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
