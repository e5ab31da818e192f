"""Claims on the settings of a table."""

import numpy as np
import pytest

from foolscope.core.errors import RecipeError
from foolscope.experiments.claims.claim import ComparisonClaim
from foolscope.experiments.claims.judgement import judge_claim
from foolscope.experiments.tables.claims import read_claims
from foolscope.experiments.tables.frames import table_from
from foolscope.experiments.tables.judgement import Reading, judge_table
from foolscope.statistics.blocks import BlockDesign

VALUES = {0.1: [90.1, 90.4, 90.2], 0.3: [93.0, 93.4, 93.1], 1.0: [95.8, 96.1, 96.0]}
ROWS = [
    {"lr": lr, "seed": seed, "acc": value} for lr, own in VALUES.items() for seed, value in enumerate(own)
]


def claims_of(tmp_path, text, rows=ROWS, baseline="0.1"):
    path = tmp_path / "claims.toml"
    path.write_text(text)
    return judge_table(table_from(rows), baseline, Reading(claims=read_claims(path))).claims


def claim(**fields):
    return "[[claims]]\nsentence = 'It is so'\n" + "".join(
        f"{name} = {value}\n" for name, value in fields.items()
    )


def test_a_comparison_is_tested_as_in_a_study(tmp_path):
    text = claim(kind="'comparison'", subject="{lr = 0.3}", against="{lr = 0.1}") + "is = 'better'\n"
    (record,) = claims_of(tmp_path, text)
    entry = ComparisonClaim(
        sentence="It is so", kind="comparison", subject="lr 0.3", against="lr 0.1", relation="better"
    )
    design = BlockDesign(("lr 0.1", "lr 0.3", "(1)"), (0, 1, 2), np.array(list(VALUES.values())) / 100)
    expected = judge_claim(entry, design, ("lr 0.3", "lr 0.1"), practical_difference=0.005)
    assert (record.outcome, record.reason) == ("upheld", expected.reason)
    assert record.p_upheld == pytest.approx(expected.p_upheld)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        (claim(kind="'comparison'", subject="'0.3'", against="'0.1'") + "is = 'worse'\n", "contradicted"),
        (claim(kind="'trend'", factor="'lr'") + "is = 'rises'\n", "upheld"),
        (claim(kind="'trend'", factor="'lr'") + "is = 'falls'\n", "contradicted"),
        (claim(kind="'trend'", factor="'lr'", levels="[0.1, 0.3]") + "is = 'rises steadily'\n", "upheld"),
        (claim(kind="'trend'", factor="'lr'", at="0.3") + "is = 'peaks'\n", "contradicted"),
        (claim(kind="'value'", settings="{lr = 1.0}", value="95") + "is = 'at least'\n", "upheld"),
        (claim(kind="'value'", recipe="'1'", value="90", tolerance="0.5"), "contradicted"),
        (claim(kind="'value'", value="90.25", tolerance="3"), "upheld"),
    ],
)
def test_kinds_of_claims_in_the_unit_of_the_table(tmp_path, text, outcome):
    (record,) = claims_of(tmp_path, text)
    assert record.outcome == outcome


def test_settings_change_what_the_baseline_has(tmp_path):
    rows = [{**row, "wd": wd, "acc": row["acc"] + wd} for row in ROWS for wd in (0, 1)]
    text = claim(kind="'comparison'", subject="{wd = 1}", against="{lr = 0.3}") + "is = 'worse'\n"
    (record,) = claims_of(tmp_path, text, rows, "lr=0.1,wd=0")
    assert record.outcome == "upheld"
    assert record.reason.startswith("lr 0.1, wd 1 is 1.9")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("claims = 3", "has no [[claims]]"),
        ("claims = [3]", "claims:"),
        ("x = ", "is not valid TOML"),
        (
            claim(kind="'comparison'", subject="{lr = 9}", against="'0.1'") + "is = 'better'\n",
            "no setting is lr=9",
        ),
        (
            claim(kind="'comparison'", subject="{x = 9}", against="'0.1'") + "is = 'better'\n",
            "'x' is no setting",
        ),
        (claim(kind="'comparison'", subject="'0.1'", against="{lr = 0.1}") + "is = 'better'\n", "twice"),
        (claim(kind="'value'", value="1", metric="'loss'"), "is about loss, and acc is judged"),
        (claim(kind="'curve'", metric="'loss'") + "is = 'falls'\n", "is about curves"),
        (claim(kind="'trend'", factor="'x'") + "is = 'rises'\n", "'x' is no setting column"),
    ],
)
def test_claims_that_do_not_fit_get_one_line(tmp_path, text, words):
    with pytest.raises(RecipeError) as caught:
        claims_of(tmp_path, text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
