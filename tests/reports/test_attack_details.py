"""What became of the images in a report: every number that the record has, in words that fit the model."""

import html
import re
from functools import cache

import numpy as np
import pytest

from foolscope.experiments.parts.attacks.records import (
    AttackDetailsRecord,
    CurveRecord,
    MaskingRecord,
    SubjectRecord,
)
from foolscope.experiments.parts.pictures import GalleryRecord, PictureRecord
from foolscope.reports import Document, render_html, render_markdown
from foolscope.reports import figures as draw
from foolscope.reports.document import Figure, Section, Table
from foolscope.reports.numbering import walk
from foolscope.reports.parts.attacks.part import attack_document
from foolscope.reports.parts.attacks.section import attack_blocks
from foolscope.reports.parts.pictures import gallery_of
from foolscope.reports.render.latex import latex_tables

DETAILS = AttackDetailsRecord(
    models=1,
    classes=["cat", "dog", "owl"],
    misclassified=20,
    taken=[[30, 0, 0, 5], [60, 0, 0, 15]],
    held=[145, 105],
    class_images=[100, 60, 40],
    class_clean=[90, 50, 40],
    class_robust=[70, 5, 30],
    becomes=[[70, 15, 5], [41, 5, 4], [10, 0, 30]],
    sizes=[0.0, 0.01, 0.02, 8 / 255, 0.05, 16 / 255],
    fallen=[20, 30, 40, 55, 85, 95],
)
SIGNS = [
    MaskingRecord(name="train mode", seen=0, models=1, sentence="It evaluates.", value=0.0, is_serious=True),
    MaskingRecord(
        name="vanished", seen=1, models=1, sentence="Lost in rounding.", value=0.5, is_serious=False
    ),
    MaskingRecord(name="zeros", seen=1, models=1, sentence="Mend the dead.", value=0.1, is_serious=True),
]


def curve(recipe="net", **changes):
    epsilons = [8 / 255, 16 / 255]
    record = CurveRecord(
        attack="attack",
        recipe=recipe,
        norm="linf",
        attacks=["apgd", "apgd-long", "transfer", "square"],
        images=200,
        epsilons=epsilons,
        accuracies=[[0.725, 0.525]],
        mean=[0.725, 0.525],
        low=[0.66, 0.45],
        high=[0.79, 0.6],
        doubts=[],
        forward_count=1000,
        backward_count=500,
        details=DETAILS,
        checks=SIGNS,
    )
    return record.model_copy(update=changes)


def document(*curves):
    return written(*(each.model_dump_json() for each in curves))


@cache
def written(*texts):
    curves = [CurveRecord.model_validate_json(text) for text in texts]
    return Document("A title", "Why?", sections=[Section("Robustness", attack_blocks(curves, 3))])


def read(*curves):
    page = render_html(document(*curves))
    body = page[page.index("<body>") :]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).replace("\xa0", " ").split())


def tables(*curves):
    """Return each table's cells in words, by key."""
    found = {}
    for block in walk(document(*curves)):
        if isinstance(block, Table):
            found[block.key] = [[getattr(cell, "value", cell) for cell in row] for row in block.rows]
    return found


def test_every_part_of_the_images_is_tabulated():
    assert tables(curve())["taken-table-attack-net"] == [
        ["wrong without attack", 20, 20],
        ["APGD", 30, 60],
        ["Square", 5, 15],
        ["not fooled", 145, 105],
    ]
    text = read(curve())
    assert "the 200 images by budget ε." in text
    assert "No image was fooled by long APGD." in text  # a transfer without another model was not even made


def test_many_budgets_are_rows():
    taken = [[30 + place, 0, 0, 5] for place in range(10)]
    details = DETAILS.model_copy(update={"taken": taken, "held": [145 - place for place in range(10)]})
    values = [0.7] * 10
    many = {"epsilons": [place / 255 for place in range(1, 11)], "accuracies": [values], "mean": values}
    record = curve(details=details, low=[None] * 10, high=[None] * 10, **many)
    rows = tables(record)["taken-table-attack-net"]
    assert rows == [[f"{place + 1}/255", 20, 30 + place, 5, 145 - place] for place in range(10)]


def test_classes_come_least_robust_first():
    text = read(curve())
    assert tables(curve())["classes-table-attack-net"] == [
        ["dog", 60, 50, 5, "83.3", "8.3"],
        ["cat", 100, 90, 70, "90.0", "70.0"],
        ["owl", 40, 40, 30, "100.0", "75.0"],
    ]
    assert "accuracy of net is 8.3 % for “dog” and 75.0 % for “owl”" in text
    assert "from “dog” to “cat”: 41 of the 50 images classified correctly without attack" in text


def test_the_order_of_the_classes_is_that_under_attack_and_not_without():
    """Without attack owl > cat > dog; under attack the other way round, and cat and dog are equal."""
    other = DETAILS.model_copy(update={"class_robust": [50, 30, 5], "becomes": [[0] * 3] * 3})
    record = curve(details=other)
    assert [row[0] for row in tables(record)["classes-table-attack-net"]] == ["owl", "dog", "cat"]
    assert "accuracy of net is 12.5 % for “owl” and 50.0 % for “cat”" in read(record)
    (drawn,) = (
        block for block in walk(document(record)) if isinstance(block, Figure) and "classes" in block.key
    )
    svg = drawn.svg()
    places = [svg.index(f">{name}<") for name in ("owl", "dog", "cat")]
    assert places == sorted(places)


def test_classes_without_images_have_no_accuracy():
    empty = DETAILS.model_copy(
        update={"class_images": [100, 0, 100], "class_clean": [90, 0, 90], "class_robust": [70, 0, 35]}
    )
    assert [row[0] for row in tables(curve(details=empty))["classes-table-attack-net"]] == ["owl", "cat"]


def test_signs_that_were_seen_come_first_and_in_words():
    assert tables(curve())["masking-attack-net"] == [
        ["zeros", "seen", "Mend the dead."],
        ["vanished", "seen, harmless here", "Lost in rounding."],
        ["train mode", "not\xa0seen", "It evaluates."],
    ]
    text = read(curve())
    assert "3 signs of masked gradients were checked." in text
    assert "Seen in net: zeros, so its accuracies may be far too high" in text
    assert "Seen in net, but harmless here: vanished" in text
    calm = curve(checks=[SIGNS[0]])
    assert "None was seen in net." in read(calm)
    assert "masked gradients" not in read(curve(checks=[]))


def test_the_sizes_are_shown_where_they_say_more_than_the_accuracies():
    text = read(curve())
    assert "Half of the images" not in text
    assert "More than half of the images that net classifies correctly are not fooled at ε = 16/255." in text
    weaker = DETAILS.model_copy(update={"held": [100, 10], "fallen": [20, 30, 40, 100, 150, 190]})
    assert "are fooled by a perturbation of 0.05 (12.8/255) or less" in read(curve(details=weaker))
    used_up = DETAILS.model_copy(update={"sizes": [0.0, 8 / 255, 16 / 255], "fallen": [20, 55, 95]})
    assert "Perturbation sizes" not in read(curve(details=used_up))


def test_several_models_have_a_section_of_their_own_each():
    summed = DETAILS.model_copy(update={"models": 3})
    seeds = {"accuracies": [[0.725, 0.525]] * 3, "details": summed, "images": 67}
    signs = [sign.model_copy(update={"models": 3}) for sign in SIGNS]
    both = [curve("net", **seeds, checks=signs), curve("other", **seeds, checks=[signs[0]])]
    text = read(*both)
    for part in (
        "The models of 3 seeds of each recipe were attacked on the first 67 test images.",
        "summed over 3 models of other",
        "seen in 1 of 3 models",
        "None was seen in other.",
        "net, class by class",
        "other, class by class",
        "Without attack, accuracy is 90.0 % for net and 90.0 % for other.",
    ):
        assert part in text
    keys = [block.key for block in walk(document(*both)) if isinstance(block, Figure)]
    assert len(keys) == len(set(keys)) == 3 + 2 * 2


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {"run": "09a8be8551ffff", "dataset": "digits", "split": "test"},
            "Run 09a8be8551 was attacked on the first 200 test images of digits.",
        ),
        (
            {"model": "nets.py:build", "dataset": "photos", "split": "validation"},
            "The model nets.py:build was attacked on the first 200 validation images of photos.",
        ),
        ({"model": "ResNet"}, "The model ResNet was attacked on 200 images."),
    ],
)
def test_it_says_what_was_attacked_on_which_images(facts, words):
    record = curve(attacked=SubjectRecord(**facts))
    text = read(record)
    assert words in text
    assert "recipe" not in text
    assert ("test image" in text) == (facts.get("split") == "test")
    told = dict(
        attack_document(
            record, GalleryRecord(kind="fooling", recipe="net", caption="c", rows=[]), {}, 3
        ).facts
    )
    assert told.get("Data") == facts.get("dataset")
    assert told["Attacks"] == "full evaluation"


def test_a_single_budget_has_no_curve_and_old_records_stay_readable():
    details = DETAILS.model_copy(update={"taken": [DETAILS.taken[1]], "held": [105]})
    single = {"epsilons": [16 / 255], "accuracies": [[0.525]], "mean": [0.525], "low": [0.45], "high": [0.6]}
    keys = [
        block.key for block in walk(document(curve(details=details, **single))) if isinstance(block, Figure)
    ]
    assert "robust-attack" not in keys
    assert "Without attack, accuracy is 90.0 % for net." in read(curve(details=details, **single))
    stored = curve().model_dump(mode="json", exclude={"details", "checks", "attacked"})
    old = CurveRecord.model_validate(stored)
    assert tables(old).keys() == {"robust-table-attack"}


def test_attacks_of_one_name_are_told_apart():
    record = curve(attacks=["pgd", "fgsm", "fgsm", "pgd"], checks=[])
    assert [row[0] for row in tables(record)["taken-table-attack-net"]] == [
        *("wrong without attack", "PGD 1", "PGD 2", "not fooled")
    ]


def test_sentences_wrap_in_latex():
    long = SIGNS[2].model_copy(update={"sentence": "Mend the dead. " * 9})
    written = latex_tables(document(curve(checks=[long])))["masking-attack-net"]
    assert r"\begin{tabular}{llp{0.5\linewidth}}" in written
    assert r"\begin{tabular}{lll}" in latex_tables(document(curve()))["masking-attack-net"]


def test_shapes_are_asked_for():
    with pytest.raises(ValueError, match=r"counts of shape \(1, 3\)"):
        draw.taken_by_attack({"a": np.ones((1, 2))}, ["ε"], ["pgd"])
    with pytest.raises(ValueError, match="two values for each of the 2 rows"):
        draw.dumbbells(["a", "b"], ("x", [1]), ("y", [1, 2]), x_label="%")
    with pytest.raises(ValueError, match="one percentage for each of its 2 sizes"):
        draw.perturbation_sizes({"a": ([0, 1], [0])}, [1.0], x_label="size")


def fooling(probabilities):
    titles = ("original", "perturbation", "fooling image")
    row = [
        PictureRecord(
            key=f"f-{title}", title=title, lines=["cat", "70.0 %", "dog 20.0 %"], probabilities=each
        )
        for title, each in zip(titles, probabilities, strict=True)
    ]
    return GalleryRecord(kind="fooling", recipe="net", caption="Caption.", rows=[row])


ARRAYS = {"f-original": np.zeros((1, 4, 4)), "f-fooling image": np.full((1, 4, 4), 0.1)}


def test_both_distributions_are_shown_over_the_same_classes():
    before, after = [0.6, 0.2, 0.1, 0.05, 0.04, 0.01], [0.1, 0.2, 0.03, 0.02, 0.05, 0.6]
    names = ["a", "b", "c", "d", "e", "f"]
    gallery = gallery_of(fooling([before, [], after]), ARRAYS, "g", names)
    original, perturbation, found = gallery.rows[0]
    assert [words for words, _ in original.bars] == ["a", "b", "c", "f", "others"]
    assert [words for words, _ in found.bars] == ["a", "b", "c", "f", "others"]
    assert [part for _, part in original.bars] == pytest.approx([0.6, 0.2, 0.1, 0.01, 0.09])
    assert [part for _, part in found.bars] == pytest.approx([0.1, 0.2, 0.03, 0.6, 0.07])
    assert perturbation.bars == ()
    assert "magnified × 5" in perturbation.lines
    assert original.lines == ["cat"]
    report = Document("A title", "Why?", lead=[gallery])
    assert 'style="--part: 60.0%"><span>a</span> <span>60.0 %</span>' in render_html(report)
    assert "f 60.0 %" in render_markdown(report)[0]


def test_two_classes_leave_no_others_and_unknown_classes_no_bars():
    two = gallery_of(fooling([[0.9, 0.1], [], [0.3, 0.7]]), ARRAYS, "g", ["cat", "dog"])
    assert two.rows[0][0].bars == [("cat", 0.9), ("dog", 0.1)]
    for names in ([], ["cat", "dog", "owl"]):
        plain = gallery_of(fooling([[0.9, 0.1], [], [0.3, 0.7]]), ARRAYS, "g", names)
        assert all(not panel.bars for panel in plain.rows[0])
        assert plain.rows[0][0].lines == ["cat", "70.0 %", "dog 20.0 %"]


def test_unequal_classes_have_balanced_accuracies_and_the_rate_of_the_largest_beside_them():
    unequal = DETAILS.model_copy(update={"class_images": [150, 30, 20]})
    balanced = [[0.5, 0.25], [0.7, 0.35]]
    record = curve(details=unequal, balanced_accuracies=balanced)
    assert "Predicting 'cat' for every image would reach 75.0 %." in read(record)
    assert [row[-1] for row in tables(record)["robust-table-attack"]] == ["60.0", "30.0"]
    assert "for every image would reach" not in read(curve(balanced_accuracies=balanced))
    assert [len(row) for row in tables(curve(balanced_accuracies=balanced))["robust-table-attack"]] == [2, 2]
