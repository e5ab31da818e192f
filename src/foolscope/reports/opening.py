"""How a report opens: what was found in a few sentences, the verdict on each claim and on each factor."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from foolscope.experiments.records import AblationRecord, ClaimRecord, CurveRecord, StudyRecord
from foolscope.experiments.wording.sentences import POINTS, amount, scale_of
from foolscope.reports.document import Block, Inline, Outcome, Paragraph, Section, Strong, Verdict, Verdicts
from foolscope.reports.parts.demonstrations.section import demonstration_sentence
from foolscope.reports.parts.effects import factor_outcome, key_sentences
from foolscope.reports.parts.inspections.section import inspected_sentence
from foolscope.reports.parts.traces import trace_sentence
from foolscope.reports.phrases import (
    date_words,
    duration_words,
    full_stop,
    join_words,
    metric_words,
    one_or_many,
    threat_words,
    with_interval,
    with_unit,
)

__all__ = ["claim_verdicts", "factor_verdicts", "opening", "study_facts"]

_CLAIM_OUTCOMES: tuple[Literal["upheld", "contradicted", "undecided"], ...] = (
    "upheld",
    "contradicted",
    "undecided",
)


def opening(record: StudyRecord) -> list[Block]:
    """Answer the question: a paragraph, the claims, and what each factor does."""
    sentences = [
        _accuracy_sentence(record),
        *map(_ablation_sentence, record.ablations),
        *(search.summary for search in record.searches),
        *map(inspected_sentence, record.inspections),
        *_robustness_sentences(record.curves),
        *map(trace_sentence, record.traces),
        *map(demonstration_sentence, record.demonstrations),
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
    if record.recipes:
        facts.append(("Models trained", f"{record.trial_count:,}"))
    facts.append(("Seeds", str(len(record.seeds))))
    if record.recipes and (record.ablations or record.claims or record.searches):
        metric = record.ablations[0].metric if record.ablations else "test_accuracy"
        smallest = amount(record.practical_difference, scale_of(metric))
        facts.append(("Smallest difference that counts", smallest))
    trained = record.provenance.get("training_seconds")
    if trained is not None and record.recipes:
        facts.append(("Training took", duration_words(trained)))
    return [*facts, ("Finished", date_words(record.finished))]


def claim_verdicts(record: StudyRecord) -> Verdicts:
    """Show every claim with what decided it, its doubts, and what was published."""
    return Verdicts(
        [
            Verdict(claim.outcome, full_stop(claim.sentence), _claim_reason(claim, len(record.seeds)))
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
    lost = [training.recipe for training in record.trainings if training.diverged]
    diverged = f" Training diverged with some seeds for {join_words(lost)}." if lost else ""
    if not scored:
        return diverged.strip()
    if len(scored) == 1:
        recipe, mean, low, high = scored[0]
        value, _, ends = (with_interval(mean, low, high, bounds=(0.0, 1.0)) or "").partition(" (")
        evidence = f" (95 % interval {ends.removesuffix(')')}, {len(record.seeds)} seeds)" if ends else ""
        return f"The classifier {recipe} gets {value} % of the test images right{evidence}.{diverged}"
    scored.sort(key=lambda each: each[1] or 0.0)
    (worst, low_mean, *_), (best, high_mean, *_) = scored[0], scored[-1]
    ends = f"{with_unit(low_mean or 0.0)} ({worst}) to {with_unit(high_mean or 0.0)} ({best})"
    seeds = f", means over {len(record.seeds)} seeds" if len(record.seeds) > 1 else ""
    return f"Test accuracy runs from {ends}{seeds}.{diverged}"


def _ablation_sentence(ablation: AblationRecord) -> str:
    margin = amount(ablation.practical_difference, scale_of(ablation.metric))
    predicates = {
        "matters": ("matters", "matter"),
        "no effect": (f"has no effect larger than {margin}", f"have no effect larger than {margin}"),
        "undecided": ("is undecided", "are undecided"),
        "diverged": ("made every other value diverge", "made every other value diverge"),
    }
    parts = []
    for outcome, (singular, plural) in predicates.items():
        words = [factor.words for factor in ablation.factors if factor_outcome(factor) == outcome]
        if words:
            are_many = words[0].endswith("s") and not words[0].endswith("bias")  # such as "hidden units"
            is_one = len(words) == 1 and not are_many
            parts.append(f"{join_words(words)} {singular if is_one else plural}")
    metric = "" if ablation.metric == "test_accuracy" else f" for its {metric_words(ablation.metric)}"
    helps = any(level.outcome == "helps" for factor in ablation.factors for level in factor.levels)
    better = "" if helps else " No value tried was found to be better than the baseline's."
    return f"Among the settings of {ablation.recipe}{metric}, {'; '.join(parts)}.{better}"


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
    left = [(f"for {curve.recipe}", with_unit(curve.mean[place])) for curve in curves]
    words = [f"{accuracy} {whose}" for whose, accuracy in left]
    words[0] = f"{left[0][1]} of the test images right {left[0][0]}"
    return f"An attack that {threat_words(first.norm, first.epsilons[place])} leaves {join_words(words)}."


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
    if published:
        fates = Counter(claim.outcome for claim in published)
        seeds = one_or_many(len(record.seeds), "seed")
        words = {
            "upheld": f"{seeds} uphold {fates['upheld']}",
            "contradicted": f"contradict {fates['contradicted']}",
            "undecided": f"leave {fates['undecided']} open",
        }
        said = [words[outcome] for outcome in _CLAIM_OUTCOMES if fates[outcome] or outcome == "upheld"]
        sentences.append(
            f"Of {one_or_many(len(published), 'published statement')} among them, {join_words(said)}."
        )
        noisy = sum(claim.noise is not None and claim.noise.rests_on_noise is True for claim in published)
        if noisy:
            sentences.append(
                f"{noisy} of them rested on noise: one run per setting, as was published, could not have "
                f"shown what {'it says' if noisy == 1 else 'they say'}."
            )
    return sentences


def _is_published(claim: ClaimRecord) -> bool:
    return claim.published is not None or claim.source is not None


def _claim_reason(claim: ClaimRecord, seeds: int) -> tuple[Inline, ...]:
    pieces: list[Inline] = [claim.reason]
    if _is_published(claim):
        pieces += [" ", Strong("Published:"), f" {_published(claim)} {_judgement(claim, seeds)}".rstrip()]
    if claim.noise is not None:
        pieces += [" ", Strong("Rested on noise:")] * (claim.noise.rests_on_noise is True)
        pieces.append(f" {claim.noise.sentence}")
    for doubt in claim.doubts:
        pieces += [" ", Strong("Doubt:"), f" {full_stop(doubt)}"]
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
        alone = "." if claim.noise is not None else "; a single run could not have."
        return f"{one_or_many(seeds, 'seed')} do not decide it{alone}"
    if claim.outcome == "contradicted":
        return f"{one_or_many(seeds, 'seed')} contradict it."
    return ""
