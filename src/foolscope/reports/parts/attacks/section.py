"""Robustness: accuracy under attack by budget, attacks by step, and fooling images."""

from collections.abc import Sequence

import numpy as np

from foolscope.experiments.parts.attacks.records import CurveRecord
from foolscope.experiments.wording.fields import norm_words
from foolscope.experiments.wording.sentences import POINTS, number
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.attacks.details import attack_detail_sections, stages_not_made
from foolscope.reports.parts.part import doubt_notices
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
from foolscope.statistics.classification import largest_class

__all__ = ["attack_blocks"]


def attack_blocks(curves: Sequence[CurveRecord], classes: int) -> list[doc.Block]:
    """Show a figure and a table for each plan of attack, in a subsection each where there are several."""
    plans = list(dict.fromkeys(curve.attack for curve in curves))
    blocks = {
        plan: _plan_blocks([each for each in curves if each.attack == plan], plan, classes) for plan in plans
    }
    if len(plans) == 1:
        return blocks[plans[0]]
    return [doc.Section(f"Attack {plan}", own) for plan, own in blocks.items()]


def _plan_blocks(curves: Sequence[CurveRecord], plan: str, classes: int) -> list[doc.Block]:
    first = curves[0]
    largest = first.epsilons[-1]
    forwards = sum(curve.forward_count for curve in curves)
    backwards = sum(curve.backward_count for curve in curves)
    several = len(first.epsilons) > 1  # a figure of one budget would repeat the table
    figure: list[doc.Block] = [_figure(curves, plan, classes)] if several else []
    in_figure = (doc.Reference(f"robust-{plan}"), " and ") if several else ()
    blocks: list[doc.Block] = [
        doc.Paragraph(
            (
                "The budget ε is how far an attacker may move an image whose pixels go from 0 (black) to 1 "
                f"(white), here in the norm {norm_words(first.norm)}: an attack with "
                f"ε = {epsilon_words(largest)} {threat_words(first.norm, largest)}. "
                f"An image counts as correct only if it withstands {_attack_words(first)}. "
                "A stronger attack may fool more images, so the accuracies in ",
                *in_figure,
                doc.Reference(f"robust-table-{plan}"),
                " are upper bounds.",
            )
        ),
        *figure,
        _table(curves, plan),
        doc.Paragraph(
            f"{_attacked_words(curves)} {_clean_words(curves)}{_largest_class_words(curves)}It took "
            f"{count_words(forwards)} forward and "
            f"{count_words(backwards)} backward passes, counted per image."
        ),
    ]
    for curve in curves:
        blocks += doubt_notices(curve.doubts, curve.recipe)
    return [*blocks, *attack_detail_sections(curves, plan, _unit(curves)[0])]


def _attacked_words(curves: Sequence[CurveRecord]) -> str:
    """Say which models were attacked on which images."""
    first = curves[0]
    subject, count = first.attacked, first.images
    if subject is None:
        seeds = max(len(curve.accuracies) for curve in curves)
        recipes = "each recipe" if len(curves) > 1 else first.recipe
        models = f"The models of {seeds} seeds" if seeds > 1 else "One model"
        verb = "were" if seeds > 1 else "was"
        return f"{models} of {recipes} {verb} attacked on the first {one_or_many(count, 'test image')}."
    model = f"Run {subject.run[:10]}" if subject.run else f"The model {subject.model or first.recipe}"
    images = one_or_many(count, f"{subject.split or ''} image".strip())
    if not subject.dataset:
        return f"{model} was attacked on {images}."
    return f"{model} was attacked on the first {images} of {subject.dataset}."


def _clean_words(curves: Sequence[CurveRecord]) -> str:
    """Report the clean accuracy unless a budget of 0 does so already; ends with a space."""
    right = [
        f"{with_unit(sum(curve.details.class_clean) / sum(curve.details.class_images))} for {curve.recipe}"
        for curve in curves
        if curve.details is not None and curve.images
    ]
    if 0 in curves[0].epsilons or not right:
        return ""
    return f"Without attack, accuracy is {join_words(right)}. "


def _largest_class(curves: Sequence[CurveRecord]) -> tuple[int, float] | None:
    """Return the largest class of the attacked images and its share; None where classes are about equal."""
    details = curves[0].details
    return None if details is None else largest_class(np.array(details.class_images))


def _largest_class_words(curves: Sequence[CurveRecord]) -> str:
    """Say what predicting the largest class would reach, if classes are unequal; ends with a space."""
    details, largest = curves[0].details, _largest_class(curves)
    if details is None or largest is None:
        return ""
    place, share = largest
    return f"Predicting {details.classes[place]!r} for every image would reach {with_unit(share)}. "


def _attack_words(curve: CurveRecord) -> str:
    settings = {str(each.get("name")): each for each in curve.settings}
    made = [name for name in curve.attacks if name not in stages_not_made(curve)]
    on_some = ", which uses no gradients and is tried on a sample of the rest unless gradients seem masked"
    words = [attack_words(name, settings.get(name, {})) for name in made]
    return join_words(words) + (on_some if curve.checks and made[-1] == "square" else "")


def _unit(curves: Sequence[CurveRecord]) -> tuple[float, str]:
    """Choose gray levels for the axis where every budget is a fraction of 255."""
    budgets = curves[0].epsilons
    gray = curves[0].norm == "linf" and all("/" in epsilon_words(epsilon) for epsilon in budgets if epsilon)
    norm = norm_words(curves[0].norm)
    return (
        (255.0, f"budget ε ({norm}), in 1/255") if gray else (1.0, f"budget ε ({norm}), pixels from 0 to 1")
    )


def _figure(curves: Sequence[CurveRecord], plan: str, classes: int) -> doc.Figure:
    times, x_label = _unit(curves)
    bands = {
        curve.recipe: draw.Band(
            [100 * value for value in curve.mean], _percent(curve.low), _percent(curve.high)
        )
        for curve in curves
    }
    return doc.Figure(
        draw.later(
            draw.line_panels,
            [epsilon * times for epsilon in curves[0].epsilons],
            {"Accuracy under attack, %": bands},
            x_label=x_label,
            y_limits=(0.0, 102.0),
            levels={"guessing": 100 / classes} if classes > 1 else {},
            width=680,
            height=330,
        ),
        "Accuracy under attack, by budget"
        + (f": {_interval_words(curves)}." if _has_intervals(curves) else "."),
        f"Curves of accuracy against budget for {join_words([curve.recipe for curve in curves])}.",
        key=f"robust-{plan}",
    )


def _percent(ends: Sequence[float | None]) -> list[float] | None:
    """Scale the ends of intervals to per cent; None without intervals."""
    if all(end is None for end in ends):
        return None
    return [float("nan") if end is None else 100 * end for end in ends]


def _interval_words(curves: Sequence[CurveRecord]) -> str:
    """Say what the intervals cover: with one model only the choice of images."""
    if all(len(curve.accuracies) == 1 for curve in curves):
        return "95 % intervals over the choice of images"
    return "means over the seeds, with 95 % intervals for new seeds and new images"


def _has_intervals(curves: Sequence[CurveRecord]) -> bool:
    return any(low is not None for curve in curves for low in curve.low)


def _table(curves: Sequence[CurveRecord], plan: str) -> doc.Table:
    balanced = [curve for curve in curves if curve.balanced_accuracies and _largest_class(curves)]
    rows: list[list[doc.CellValue]] = [
        [
            epsilon_words(epsilon),
            *[
                with_interval(curve.mean[place], curve.low[place], curve.high[place], POINTS, (0.0, 1.0))
                for curve in curves
            ],
            *[number(_mean_at(curve.balanced_accuracies, place), POINTS) for curve in balanced],
        ]
        for place, epsilon in enumerate(curves[0].epsilons)
    ]
    bands = " and as bands" if len(rows) > 1 else ""
    return doc.Table(
        doc.right(
            "ε",
            *(f"{curve.recipe}, %" for curve in curves),
            *(f"{curve.recipe}, balanced, %" for curve in balanced),
        ),
        rows,
        "Accuracy under attack, by budget.",
        note=f"In brackets{bands}: {_interval_words(curves)}." if _has_intervals(curves) else "",
        key=f"robust-table-{plan}",
    )


def _mean_at(accuracies: Sequence[Sequence[float | None]], place: int) -> float:
    """Return the mean over the seeds at one budget."""
    return float(np.mean([np.nan if own[place] is None else own[place] for own in accuracies]))
