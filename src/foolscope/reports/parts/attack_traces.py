"""Traced attacks: the loss at each step, and the outcome for the images at each budget."""

from collections.abc import Sequence

from foolscope.experiments.parts.attack_traces import TraceBudgetRecord, TraceRecord
from foolscope.experiments.wording.fields import norm_words
from foolscope.experiments.wording.sentences import PLAIN, POINTS
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.part import PartReport, doubt_notices, doubt_sentences
from foolscope.reports.phrases import (
    attack_words,
    count_words,
    epsilon_words,
    join_words,
    one_or_many,
    threat_words,
    with_interval,
    with_unit,
)

__all__ = ["REPORT", "trace_section", "trace_sentence"]

_AIMS = {
    "none": "Any other class counts as success",
    "second": "It aims at the likeliest other class, and only that counts as success",
    "least-likely": "It aims at the least likely class, and only that counts as success",
    "random": "It aims at a random class for each image, and only that counts as success",
    "every": "It aims at every other class in turn",
}

_Interval = tuple[float | None, float | None, float | None]


def trace_section(trace: TraceRecord) -> doc.Section:
    """Build the section of one traced attack: a description, the loss by step, a table over the budgets."""
    blocks: list[doc.Block] = [_explanation(trace)]
    if len(trace.budgets[-1].mean_losses) > 2:  # a figure of a single step would repeat the table
        blocks.append(_figure(trace))
    blocks += [_table(trace), *doubt_notices(trace.doubts, trace.recipe)]
    return doc.Section(f"Attack {trace.attack} on {trace.recipe}", blocks)


def trace_sentence(trace: TraceRecord) -> str:
    """Report the smallest budget that fools half of the images classified correctly, else the largest."""
    found = [(budget.epsilon, budget.means["success_rate"][0]) for budget in trace.budgets[1:]]
    rates = [(epsilon, rate) for epsilon, rate in found if rate is not None]
    if not rates:
        return ""
    epsilon, rate = next((each for each in rates if each[1] >= 0.5), rates[-1])
    share = f"{with_unit(rate)} of the {_counted_words(trace)}"
    deed = f"turns {share} into {trace.target}" if _is_named(trace) else f"succeeds on {share}"
    return f"The attack {trace.attack}, which {threat_words(trace.norm, epsilon)}, {deed}."


def _is_named(trace: TraceRecord) -> bool:
    """Whether it aims at one class, by name."""
    return trace.target not in _AIMS


def _explanation(trace: TraceRecord) -> doc.Paragraph:
    largest = trace.budgets[-1].epsilon
    attack = attack_words(str(trace.settings["name"]), trace.settings)
    aim = _AIMS.get(trace.target, f"It aims at {trace.target}, and only that counts as success")
    counted = f"{sum(trace.counted) / len(trace.counted):,.4g} of {trace.images:,}"
    models, mean = "one model", ""
    if len(trace.seeds) > 1:
        models, mean = f"the models of {one_or_many(len(trace.seeds), 'seed')}", ", the mean over the seeds"
    of_source = f" of {trace.source}" if trace.source else ""
    passes = (
        f"{count_words(trace.forward_count)} forward and {count_words(trace.backward_count)} backward passes"
    )
    return doc.Paragraph(
        (
            f"{attack} was traced step by step on {models}, with the first "
            f"{one_or_many(trace.images, 'test image')}{of_source}, in the norm {norm_words(trace.norm)}: "
            f"ε = {epsilon_words(largest)} {threat_words(trace.norm, largest)}"
            f"{_gray_levels(trace.norm, largest)}. {aim}. In ",
            doc.Reference(f"trace-table-{trace.attack}"),
            f", success and the label's probability are over the {_counted_words(trace)}, {counted}{mean}; "
            f"accuracy and loss are over all {trace.images:,}. It took {passes}, counted per image.",
        )
    )


def _gray_levels(norm: str, epsilon: float) -> str:
    """Convert a budget to pixels from 0 to 255, except in L∞, where it is shown so anyway."""
    return f", which is {epsilon * 255:.3g} for pixels from 0 to 255" if norm != "linf" else ""


def _figure(trace: TraceRecord) -> doc.Figure:
    curves = {
        f"ε = {epsilon_words(budget.epsilon)}": _band(budget.mean_losses) for budget in trace.budgets[1:]
    }
    several = len(trace.seeds) > 1
    return doc.Figure(
        draw.later(
            draw.line_panels,
            range(len(trace.budgets[-1].mean_losses)),
            {"Mean cross-entropy of the label, nats": curves},
            x_label="attack step",
            width=680,
            height=330,
        ),
        "The loss before the attack (step 0) and after each of its steps"
        + (": means over the seeds, with 95 % intervals." if several else "."),
        f"Curves of the mean loss against the attack step, for {join_words(list(curves))}.",
        key=f"trace-{trace.attack}",
    )


def _band(intervals: Sequence[_Interval]) -> draw.Band:
    columns = [
        [float("nan") if value is None else value for value in column]
        for column in zip(*intervals, strict=True)
    ]
    mean, low, high = columns
    return draw.Band(mean, low, high) if any(each == each for each in low) else draw.Band(mean, None, None)


def _table(trace: TraceRecord) -> doc.Table:
    success = f"classified as {trace.target}, %" if _is_named(trace) else "successful, %"
    gray = [doc.Column("pixels 0 to 255", align="right")] if trace.norm != "linf" else []
    return doc.Table(
        [
            doc.Column("ε", align="right"),
            *gray,
            *doc.right("accuracy, %", success, "label's probability, %", "final loss"),
        ],
        [_row(trace, budget) for budget in trace.budgets],
        "Outcome of the attack by budget; ε = 0 is no attack.",
        note="In brackets: 95 % intervals of the means over the seeds." if len(trace.seeds) > 1 else "",
        key=f"trace-table-{trace.attack}",
    )


def _row(trace: TraceRecord, budget: TraceBudgetRecord) -> list[doc.CellValue]:
    shares: list[doc.CellValue] = [
        with_interval(*budget.means[name], POINTS, (0.0, 1.0))
        for name in ("robust_accuracy", "success_rate", "label_probability")
    ]
    # The first loss, from before the attack, is the same with every budget.
    ((mean, low, high),) = budget.mean_losses[-1:] or trace.budgets[1].mean_losses[:1]
    gray = [f"{255 * budget.epsilon:.3g}"] if trace.norm != "linf" else []
    return [epsilon_words(budget.epsilon), *gray, *shares, with_interval(mean, low, high, PLAIN)]


def _counted_words(trace: TraceRecord) -> str:
    """Name the images over which the success rate is taken."""
    of_source = f" of {trace.source}" if trace.source else ""
    confident = f" with a probability of {trace.confidence:g} or more" if trace.confidence else ""
    return f"test images{of_source} that {trace.recipe} classifies correctly{confident}"


REPORT = PartReport[TraceRecord](
    sections=lambda records, shown: [doc.Section("Robustness", [trace_section(each) for each in records])],
    sentences=lambda records, shown: [trace_sentence(each) for each in records],
    doubts=doubt_sentences,
)
