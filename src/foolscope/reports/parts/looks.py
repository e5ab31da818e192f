"""What a report says of looks: seeds that were added until everything was decided, and earlier looks."""

from foolscope.experiments.parts.ablation_record import AblationRecord
from foolscope.experiments.parts.looks import ALPHA, UntilDecidedRecord
from foolscope.experiments.wording.sentences import percent
from foolscope.reports import document as doc
from foolscope.reports.phrases import join_words, one_or_many

__all__ = ["earlier_looks_notice", "looks_table", "seeds_words", "sequential_method", "until_decided_words"]


def until_decided_words(record: UntilDecidedRecord) -> str:
    """Say after how many seeds what was decided, and how many trainings that saved."""
    closed = [look for look in record.looks if look.decided]
    last = record.looks[-1]
    still = len(last.cells) - len(last.decided) - len(record.needs_images)
    parts = []
    if closed:
        parts.append(f"decided after {join_words([str(look.seeds) for look in closed])} seeds")
    if still:
        parts.append(f"{one_or_many(still, 'setting')} undecided after {last.seeds} seeds")
    if record.needs_images:
        count = one_or_many(len(record.needs_images), "setting")
        parts.append(f"{count} undecided that more images would decide, but no more seeds")
    saved = "" if record.trainings == record.fixed_trainings else f" instead of {record.fixed_trainings}"
    text = "; ".join([*parts, f"{one_or_many(record.trainings, 'training')}{saved}"])
    return f"{text[0].upper()}{text[1:]}."


def earlier_looks_notice(record: AblationRecord) -> list[doc.Block]:
    """Say that verdicts with fewer seeds were seen before, and what follows from it."""
    if not record.earlier_looks:
        return []
    counts = join_words([str(count) for count in record.earlier_looks])
    spent = (
        f" The level is {percent(record.level)}: the first look, an ordinary test, has spent the rest."
        if record.level < ALPHA
        else ""
    )
    return [
        doc.Notice(
            f"Some of these settings were judged before, with {counts} seeds. Adding seeds after seeing a "
            "verdict gives chance more opportunities, so the verdicts here come from tests that allow for a "
            f"look after every seed: their error rate holds however many looks came before.{spent}"
        )
    ]


def seeds_words(record: AblationRecord) -> str:
    """Say with how many seeds the settings were trained."""
    if record.until_decided is None:
        return f"Every value was trained with the same {one_or_many(len(record.seeds), 'seed')}"
    return (
        f"All values were trained with {record.until_decided.looks[0].seeds} seeds, and those that were "
        f"still undecided with more, up to {record.until_decided.looks[-1].seeds}"
    )


def looks_table(record: UntilDecidedRecord, key: str) -> doc.Table:
    """Tabulate what was decided after how many seeds."""
    rows: list[list[doc.CellValue]] = [
        [
            look.seeds,
            len(look.cells),
            join_words([f"{cell} {outcome}" for cell, outcome in look.decided.items()]) or "nothing",
        ]
        for look in record.looks
    ]
    return doc.Table(
        [*doc.right("seeds", "open before"), "decided"],
        rows,
        "Looks at the ablation, and what each decided.",
        key=key,
    )


def sequential_method(margin: str, level: float) -> doc.Paragraph:
    """Explain how verdicts that hold at every look come about."""
    return doc.Paragraph(
        (
            doc.Strong("How a verdict is reached."),
            " With the same seed, all settings see the images in the same order and, where shapes agree, "
            "start from the same weights, so each is compared with the baseline by its differences within "
            "seeds, and by its own spread. The tests allow for a look after every seed: the p value is one "
            "divided by the largest likelihood ratio, of effects of about one standard deviation to none, "
            f"that any number of seeds so far has given. A value has no effect if differences of {margin} or "
            "more are ruled out in both directions; it helps or hurts if a difference of zero is ruled out; "
            "otherwise it is undecided. Holm's method keeps the probability of any false “helps” or “hurts”, "
            f"at any look, below {percent(level)}, and separately that of any false “no effect”.",
        )
    )
