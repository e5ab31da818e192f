"""Followed attacks in a report: what was done, to which images, and the numbers by budget."""

import html
import re

import pytest

from foolscope.experiments.parts.attack_traces import TraceBudgetRecord, TraceRecord
from foolscope.reports import Document, render_html, render_markdown
from foolscope.reports.parts.attack_traces import trace_section, trace_sentence


def budget(epsilon, rate, losses, *, seeds=2):
    def ends(mean):
        return (mean, mean - 0.015, mean + 0.015) if seeds > 1 else (mean, None, None)

    return TraceBudgetRecord(
        epsilon=epsilon,
        robust_accuracies=[0.9 - rate] * seeds,
        success_rates=[rate] * seeds,
        label_probabilities=[0.8 - rate / 2] * seeds,
        losses=[losses] * seeds,
        means={
            "robust_accuracy": ends(0.9 - rate),
            "success_rate": ends(rate),
            "label_probability": ends(0.8 - rate / 2),
        },
        mean_losses=[ends(loss) for loss in losses],
    )


def trace(seeds=2, **changes):
    record = TraceRecord(
        attack="bim",
        recipe="mlp",
        norm="linf",
        settings={"name": "bim", "steps": 2},
        source=None,
        target="none",
        confidence=0.0,
        images=1000,
        counted=[880, 890][:seeds],
        seeds=list(range(seeds)),
        budgets=[
            budget(0.0, 0.0, [], seeds=seeds),
            budget(4 / 255, 0.25, [0.312, 0.62, 0.933], seeds=seeds),
            budget(8 / 255, 0.55, [0.312, 1.24, 2.482], seeds=seeds),
            budget(0.1, 0.75, [0.312, 2.5, 5.252], seeds=seeds),
        ],
        doubts=["the gradients are tiny"],
        forward_count=18_000,
        backward_count=12_000,
    )
    return record.model_copy(update=changes)


def read(record):
    page = render_html(Document("A title", "Why?", sections=[trace_section(record)]))
    body = page[page.index("<body>") :]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).replace("\xa0", " ").split()), page


def test_it_says_what_was_done_to_which_images():
    text, _ = read(trace(source="truck", target="automobile", confidence=0.9))
    for part in (
        "Attack bim on mlp",
        "BIM (2 gradient steps) was traced step by step on the models of 2 seeds",
        "the first 1,000 test images of truck, in the norm L∞: ε = 0.1 changes no pixel by more than 0.1.",
        "It aims at automobile, and only that counts as success",
        "test images of truck that mlp classifies correctly with a probability of 0.9 or more, 885 of 1,000",
        "the mean over the seeds",
        "18 thousand forward and 12 thousand backward passes",
        "Doubt about mlp: the gradients are tiny.",
        "classified as automobile, %",
    ):
        assert part in text


def test_every_budget_has_a_row_and_before_the_attack_has_the_first_loss():
    text, _ = read(trace())
    for row in (
        "0 90.0 (88.5 to 91.5) 0.0 (0.0 to 1.5) 80.0 (78.5 to 81.5) 0.31 (0.30 to 0.33)",
        "4/255 65.0 (63.5 to 66.5) 25.0 (23.5 to 26.5) 67.5 (66.0 to 69.0) 0.93 (0.92 to 0.95)",
        "8/255 35.0 (33.5 to 36.5) 55.0 (53.5 to 56.5) 52.5 (51.0 to 54.0) 2.48 (2.47 to 2.50)",
        "0.1 15.0 (13.5 to 16.5) 75.0 (73.5 to 76.5) 42.5 (41.0 to 44.0) 5.25 (5.24 to 5.27)",
    ):
        assert row in text


def test_the_loss_is_drawn_where_there_is_more_than_one_step():
    text, page = read(trace())
    assert "The loss before the attack (step 0) and after each of its steps: means over the seeds" in text
    assert "ε = 4/255" in text
    assert page.count("<svg") == 1
    single = [each.model_copy(update={"mean_losses": each.mean_losses[:2]}) for each in trace().budgets]
    text, page = read(trace(budgets=single))
    assert "step 0" not in text
    assert "<svg" not in page


def test_other_norms_are_told_in_gray_levels_too():
    text, _ = read(trace(norm="l2"))
    assert "which is 25.5 for pixels from 0 to 255" in text
    assert "ε pixels 0 to 255 accuracy, %" in text
    assert "8/255 8 35.0" in text


def test_one_seed_has_no_intervals():
    text, _ = read(trace(seeds=1))
    assert "on one model" in text
    assert "interval" not in text
    assert "4/255 65.0 25.0 67.5 0.93" in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {},
            "The attack bim, which changes no pixel by more than 8/255, succeeds on 55.0 % of the test "
            "images that mlp classifies correctly.",
        ),
        (
            {"target": "ship", "source": "truck", "norm": "l2"},
            "The attack bim, which moves an image by at most 8/255 in the L2 norm (the root of its summed "
            "squares), turns 55.0 % of the test images of truck that mlp classifies correctly into ship.",
        ),
        (
            {"budgets": trace().budgets[:2]},
            "The attack bim, which changes no pixel by more than 4/255, succeeds on 25.0 % of the test "
            "images that mlp classifies correctly.",
        ),
    ],
)
def test_the_first_budget_that_fools_half_is_what_the_opening_says(changes, sentence):
    assert trace_sentence(trace(**changes)) == sentence


def test_where_nothing_counted_there_is_no_rate():
    lost = {"success_rate": (None, None, None), "label_probability": (None, None, None)}
    budgets = [
        each.model_copy(update={"means": {**each.means, **lost}, "success_rates": [None, None]})
        for each in trace().budgets
    ]
    record = trace(budgets=budgets, counted=[0, 0])
    assert trace_sentence(record) == ""
    text, _ = read(record)
    assert "0 of 1,000" in text


def test_markdown_has_the_same_rows():
    text, files = render_markdown(Document("A title", "Why?", sections=[trace_section(trace())]))
    assert "| 8/255 | 35.0 (33.5 to 36.5) |" in re.sub(" +", " ", text)
    assert len(files) >= 1
