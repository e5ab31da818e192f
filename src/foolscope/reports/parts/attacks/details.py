"""Attacked images by attack, by size of the perturbation and by class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from foolscope.experiments.parts.attacks.records import AttackDetailsRecord, CurveRecord
from foolscope.experiments.wording.fields import norm_words
from foolscope.experiments.wording.sentences import POINTS, number
from foolscope.reports import document as doc
from foolscope.reports import figures as draw
from foolscope.reports.parts.attacks.masking import masking_section
from foolscope.reports.phrases import attack_label, epsilon_words, join_words, one_or_many, with_unit

__all__ = ["attack_detail_sections", "stages_not_made"]

_CLASSES_DRAWN = 40
_BUDGETS_ACROSS = 9
_COUNTS_UP_TO = 10  # with more classes, image counts do not fit into the cells of the confusion matrix
_USED_UP = 0.99  # of the budget: larger perturbations only say that an attack stopped at success
_INFORMATIVE = 0.1  # part of the fooling perturbations that must be smaller for a figure of sizes

_Known = Sequence[tuple[CurveRecord, AttackDetailsRecord]]


def attack_detail_sections(curves: Sequence[CurveRecord], plan: str, times: float) -> list[doc.Section]:
    """Build the sections beyond the accuracies; none for records without details or checks.

    Args:
        curves: of one plan, one for each recipe.
        plan: its name, for the keys.
        times: factor for sizes on an axis: 255 for gray levels, or 1.
    """
    known = [(curve, curve.details) for curve in curves if curve.details is not None and curve.images]
    checked = [curve for curve in curves if curve.checks]
    informative = [each for each in known if _is_informative(*each)]
    right = [each for each in known if sum(each[1].class_clean)]
    sections = [masking_section(checked, plan)] if checked else []
    sections += [_by_attack(known, plan)] if known else []
    sections += [_by_size(informative, plan, times)] if informative else []
    return sections + ([_by_class(right, plan)] if right else [])


def stages_not_made(curve: CurveRecord) -> set[str]:
    """Name the stages of a full evaluation that fooled no image, perhaps because they were skipped."""
    if not curve.checks or curve.details is None:
        return set()
    took = np.sum(curve.details.taken, axis=0)
    needy = {"transfer"} | ({"square"} if curve.norm == "l1" else set())
    return {name for name, count in zip(curve.attacks, took, strict=True) if name in needy and not count}


def _by_attack(known: _Known, plan: str) -> doc.Section:
    first = known[0][0]
    rows = [row for row, epsilon in enumerate(first.epsilons) if epsilon > 0] or [0]
    sums = np.sum([details.taken for _, details in known], axis=(0, 1))
    took, labels = np.flatnonzero(sums), _labels(first.attacks)
    names = [labels[place] for place in took]
    missing = set.intersection(*[stages_not_made(curve) for curve, _ in known])
    idle = [labels[place] for place in np.flatnonzero(sums == 0) if first.attacks[place] not in missing]
    nothing = f" No image was fooled by {join_words(idle, 'or')}." if idle else ""
    budgets = [epsilon_words(first.epsilons[row]) for row in rows]
    by_budget = "by budget ε" if len(rows) > 1 else f"at ε = {budgets[0]}"
    counts = {
        curve.recipe: np.array(
            [[details.misclassified, *np.array(details.taken[row])[took], details.held[row]] for row in rows]
        )
        for curve, details in known
    }
    blocks: list[doc.Block] = [
        doc.Figure(
            draw.later(
                draw.taken_by_attack,
                counts if len(known) > 1 else {"": counts[first.recipe]},
                [f"ε = {words}" for words in budgets],
                names,
            ),
            f"Images by the attack that fooled them, {by_budget}. An image counts for the attack that found "
            f"its smallest perturbation.{nothing}",
            f"Bars of images, divided by the attack that fooled them, for {join_words(list(counts))}.",
            key=f"taken-{plan}",
        )
    ]
    for curve, details in known:
        table = doc.Table(
            *_across(["wrong without attack", *names, "not fooled"], budgets, counts[curve.recipe]),
            f"Outcomes of the {_counted(curve, details)} {by_budget}.",
            key=f"taken-table-{plan}-{curve.recipe}",
        )
        blocks.append(table if len(known) == 1 else doc.Details(f"{curve.recipe} in numbers", [table]))
    return doc.Section("Which attack fooled which images", blocks)


def _across(
    parts: Sequence[str], budgets: Sequence[str], counts: NDArray[np.int_]
) -> tuple[list[doc.Column | str], list[list[doc.CellValue]]]:
    """Lay out counts (budgets, parts): one column per budget, or per part if there are many budgets."""
    title, heads, names, numbers = "images", budgets, parts, counts.T
    if len(budgets) > _BUDGETS_ACROSS:
        title, heads, names, numbers = "ε", parts, budgets, counts
    columns: list[doc.Column | str] = [
        title,
        *[doc.Column(words, align="right", format=",") for words in heads],
    ]
    return columns, [[name, *row] for name, row in zip(names, numbers.tolist(), strict=True)]


def _labels(attacks: Sequence[str]) -> list[str]:
    """Return a label for each attack, numbered where names repeat."""
    return [
        attack_label(name) + (f" {attacks[: place + 1].count(name)}" if attacks.count(name) > 1 else "")
        for place, name in enumerate(attacks)
    ]


def _counted(curve: CurveRecord, details: AttackDetailsRecord) -> str:
    """Say how many images were attacked, and over how many models counts are summed."""
    images = one_or_many(curve.images, "image")
    return (
        f"{images}, summed over {details.models} models of {curve.recipe}," if details.models > 1 else images
    )


def _is_informative(curve: CurveRecord, details: AttackDetailsRecord) -> bool:
    """Whether sizes add to the accuracies: an attack that stops at success mostly uses its budget up."""
    sizes, found = np.array(details.sizes[1:]), np.diff(details.fallen)
    if not found.sum():
        return False
    budgets = np.array(curve.epsilons)
    allowed = budgets[np.searchsorted(budgets, sizes * (1 - 1e-5)).clip(max=len(budgets) - 1)]
    return float(found[sizes < _USED_UP * allowed].sum()) >= _INFORMATIVE * float(found.sum())


def _by_size(known: _Known, plan: str, times: float) -> doc.Section:
    first = known[0][0]
    largest = epsilon_words(first.epsilons[-1])
    curves = {}
    for curve, details in known:
        total = curve.images * details.models
        held = with_unit(details.held[-1] / total)
        curves[f"{curve.recipe}: {held} not fooled at ε = {largest}"] = (
            np.array(details.sizes) * times,
            100 * np.array(details.fallen) / total,
        )
    unit = "in 1/255" if times > 1 else "pixels from 0 to 1"
    key = f"sizes-{plan}"
    return doc.Section(
        "Perturbation sizes",
        [
            doc.Paragraph(
                (*[f"{_median_words(*each, times)} " for each in known], "See ", doc.Reference(key), ".")
            ),
            doc.Figure(
                draw.later(
                    draw.perturbation_sizes,
                    curves,
                    [epsilon * times for epsilon in first.epsilons if epsilon],
                    x_label=f"size of the perturbation ({norm_words(first.norm)}), {unit}",
                ),
                "Images misclassified after a perturbation of at most this size, the smallest found; at 0, "
                "images misclassified without an attack. Dashed lines are the budgets. Smaller perturbations "
                "may exist: where a curve jumps at a budget, an attack used all of it.",
                f"Rising curves of the images fooled against the size of the perturbation, for "
                f"{join_words([curve.recipe for curve, _ in known])}.",
                key=key,
            ),
        ],
    )


def _median_words(curve: CurveRecord, details: AttackDetailsRecord, times: float) -> str:
    """Report the median size of the smallest perturbations of the images classified correctly."""
    fallen = np.array(details.fallen) - details.misclassified
    right = sum(details.class_clean)
    enough = np.flatnonzero(2 * fallen >= right)
    whose = f"the images that {curve.recipe} classifies correctly"
    if not right or not enough.size:
        return f"More than half of {whose} are not fooled at ε = {epsilon_words(curve.epsilons[-1])}."
    size = details.sizes[enough[0]]
    gray = f" ({255 * size:.3g}/255)" if times > 1 else ""
    return f"Half of {whose} are fooled by a perturbation of {size:.3g}{gray} or less."


def _by_class(known: _Known, plan: str) -> doc.Section:
    blocks: list[doc.Block] = []
    for curve, details in known:
        own = _class_blocks(curve, details, f"{plan}-{curve.recipe}")
        blocks += (
            own if len(known) == 1 else [own[0], doc.Details(f"{curve.recipe}, class by class", own[1:])]
        )
    return doc.Section("Class by class", blocks)


def _class_blocks(curve: CurveRecord, details: AttackDetailsRecord, key: str) -> list[doc.Block]:
    images, clean, robust = (np.array(each) for each in _class_counts(details))
    known = np.flatnonzero(images)
    order = known[np.lexsort((clean[known] / images[known], robust[known] / images[known]))]
    drawn = order[:_CLASSES_DRAWN]
    omitted = f" {len(drawn)} of {len(order)} classes are shown." if len(drawn) < len(order) else ""
    largest = epsilon_words(curve.epsilons[-1])
    models = f", summed over {details.models} models" if details.models > 1 else ""
    written = " and in images" if len(details.classes) <= _COUNTS_UP_TO else ""
    return [
        doc.Paragraph(_class_words(curve, details, order)),
        doc.Figure(
            draw.later(
                draw.dumbbells,
                [details.classes[place] for place in drawn],
                ("without attack", 100 * clean[drawn] / images[drawn]),
                (f"under attack, ε = {largest}", 100 * robust[drawn] / images[drawn]),
                x_label="accuracy, % of the class",
            ),
            f"Accuracy of {curve.recipe} by class without attack and at ε = {largest}{models}, the least "
            f"robust class first.{omitted}",
            f"For each class a ring and a dot: accuracy of {curve.recipe} without and under attack.",
            key=f"classes-{key}",
        ),
        doc.Figure(
            draw.later(draw.confusion_matrix, np.array(details.becomes), details.classes),
            f"Predictions of {curve.recipe} at ε = {largest} for the images that it classifies correctly "
            f"without attack, in % of each row{written}{models}. The diagonal is not fooled.",
            f"Matrix of the class against the class predicted under attack, for {curve.recipe}.",
            key=f"becomes-{key}",
        ),
        doc.Details("Numbers by class", [_class_table(curve, details, order, key)]),
    ]


def _class_counts(details: AttackDetailsRecord) -> tuple[list[int], list[int], list[int]]:
    return details.class_images, details.class_clean, details.class_robust


def _class_table(
    curve: CurveRecord, details: AttackDetailsRecord, order: NDArray[np.int_], key: str
) -> doc.Table:
    rows: list[list[doc.CellValue]] = []
    for place in order:
        images, clean, robust = (each[place] for each in _class_counts(details))
        shares = [number(count / images, POINTS) for count in (clean, robust)]
        rows.append([details.classes[place], images, clean, robust, *shares])
    return doc.Table(
        [
            "class",
            *[doc.Column(title, format=",") for title in ("images", "correct", "correct under attack")],
            *doc.right("accuracy, %", "under attack, %"),
        ],
        rows,
        f"Accuracy of {curve.recipe} by class without attack and at "
        f"ε = {epsilon_words(curve.epsilons[-1])}, the least robust class first.",
        note=f"Counts are sums over {details.models} models." if details.models > 1 else "",
        key=f"classes-table-{key}",
    )


def _class_words(curve: CurveRecord, details: AttackDetailsRecord, order: NDArray[np.int_]) -> str:
    """Name the least and the most robust class, and the most frequent change of class."""
    shares = [details.class_robust[place] / details.class_images[place] for place in (order[0], order[-1])]
    low, high = (f"“{details.classes[place]}”" for place in (order[0], order[-1]))
    at = (
        f"At ε = {epsilon_words(curve.epsilons[-1])} the accuracy of {curve.recipe} is {with_unit(shares[0])}"
    )
    said = (
        f"{at} for every class."
        if shares[0] == shares[1]
        else f"{at} for {low} and {with_unit(shares[1])} for {high}."
    )
    changes = np.array(details.becomes) * (1 - np.eye(len(details.classes), dtype=np.int64))
    if not changes.any():
        return said
    label, other = np.unravel_index(changes.argmax(), changes.shape)
    return (
        f"{said} The most frequent change is from “{details.classes[label]}” to “{details.classes[other]}”: "
        f"{changes[label, other]:,} of the {one_or_many(details.class_clean[label], 'image')} classified "
        "correctly without attack."
    )
