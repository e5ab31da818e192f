"""What a report says of looks."""

import pytest

from foolscope.experiments.parts.looks import LookRecord, UntilDecidedRecord
from foolscope.reports import render_markdown
from foolscope.reports.document import Document
from foolscope.reports.parts.looks import looks_table, until_decided_words


def record_of(*looks, trainings=61, fixed=100, needs_images=()):
    return UntilDecidedRecord(
        most_seeds=20,
        looks=[LookRecord(seeds=seeds, cells=cells, decided=decided) for seeds, cells, decided in looks],
        trainings=trainings,
        fixed_trainings=fixed,
        identities=[],
        needs_images=list(needs_images),
    )


THREE = (
    (5, ["a", "b", "c"], {}),
    (8, ["a", "b", "c"], {"a": "helps"}),
    (12, ["b", "c"], {"b": "hurts"}),
    (20, ["c"], {"c": "no effect"}),
)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (record_of(*THREE), "Decided after 8, 12 and 20 seeds; 61 trainings instead of 100."),
        (
            record_of(*THREE[:3]),
            "Decided after 8 and 12 seeds; 1 setting undecided after 12 seeds; 61 trainings instead of 100.",
        ),
        (record_of(THREE[0], fixed=61), "3 settings undecided after 5 seeds; 61 trainings."),
        (
            record_of(*THREE[:3], needs_images=["c"]),
            "Decided after 8 and 12 seeds; 1 setting undecided that more images would decide, but no more "
            "seeds; 61 trainings instead of 100.",
        ),
    ],
)
def test_what_was_decided_and_saved_is_said(record, words):
    assert until_decided_words(record) == words


def test_every_look_has_a_row():
    text, _ = render_markdown(Document("Looks", "", lead=[looks_table(record_of(*THREE), "looks")]))
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    assert [row for row in rows if row[0].isdigit()] == [
        ["5", "3", "nothing"],
        ["8", "3", "a helps"],
        ["12", "2", "b hurts"],
        ["20", "1", "c no effect"],
    ]
