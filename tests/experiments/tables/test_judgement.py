"""Verdicts on tables: agreement with the statistics, what is lost, what is refused, any order of rows."""

import math
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foolscope.core.errors import DataError, FoolscopeError, RecipeError
from foolscope.experiments.tables.files import read_table
from foolscope.experiments.tables.frames import table_from
from foolscope.experiments.tables.judgement import Reading, judge_table
from foolscope.experiments.tables.roles import Layout
from foolscope.statistics.blocks import BlockDesign
from foolscope.statistics.verdicts import judge

VALUES = {"A": [0.941, 0.943, 0.942], "B": [0.951, 0.955, 0.954], "C": [0.942, 0.943, 0.943]}


def long(values=VALUES, factor=1.0, metric="test_acc"):
    rows = [(name, seed, value * factor) for name, own in values.items() for seed, value in enumerate(own)]
    return {"model": [r[0] for r in rows], "seed": [r[1] for r in rows], metric: [r[2] for r in rows]}


def levels(record):
    return {level.cell: level for factor in record.ablation.factors for level in factor.levels}


def outcomes(record):
    return {cell: level.outcome for cell, level in levels(record).items() if cell != "baseline"}


def judged(columns, baseline="A", **options):
    return judge_table(table_from(columns), baseline, Reading(**options))


def write(tmp_path, text, name="results.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(tmp_path, text, baseline="A", **options):
    with pytest.raises(FoolscopeError) as caught:
        judge_table(read_table(write(tmp_path, text)), baseline, Reading(**options))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_verdicts_are_those_of_the_statistics():
    record = judged(long())
    design = BlockDesign(("A", "B", "C"), (0, 1, 2), np.array(list(VALUES.values())))
    for verdict in judge(design, "A", practical_difference=0.005):
        level = levels(record)[f"model = {verdict.cell}"]
        assert level.outcome == verdict.outcome
        assert level.difference == pytest.approx(verdict.estimate)
        assert (level.difference_low, level.difference_high) == pytest.approx(verdict.interval)
        assert level.p_different == pytest.approx(verdict.p_different)
    assert outcomes(record) == {"model = B": "helps", "model = C": "no effect"}


def test_percent_and_shares_give_the_same_verdicts():
    shares, percent = judged(long()), judged(long(factor=100))
    assert "as a share of 1" in shares.understood
    assert "in percent" in percent.understood
    for cell, level in levels(shares).items():
        other = levels(percent)[cell]
        assert (other.outcome, other.sentence) == (level.outcome, level.sentence)
        assert other.mean == pytest.approx(level.mean)
    assert judged(long(factor=100), delta=0.5).ablation.practical_difference == pytest.approx(0.005)
    assert judged(long(), delta="0.5%").ablation.practical_difference == pytest.approx(0.005)


def test_percent_and_shares_are_never_mixed(tmp_path):
    text = "model,seed,acc\nA,0,94.1\nA,1,0.943\nB,0,95.1\nB,1,95.5\n"
    message = refusal(tmp_path, text)
    assert "row 2, column 'acc' has 94.1 and row 3 has 0.943" in message
    assert "--unit" in message
    assert judge_table(read_table(write(tmp_path, text)), "A", Reading(unit="percent")).ablation


def test_a_loss_is_better_where_it_is_lower():
    values = {"A": [1.0, 1.02, 1.01], "B": [0.8, 0.81, 0.82]}
    record = judged(long(values, metric="val_loss"), delta=0.05)
    assert "lower is better" in record.understood
    assert outcomes(record) == {"model = B": "helps"}
    assert outcomes(judged(long(values, metric="val_loss"), delta=0.05, lower_is_better=False)) == {
        "model = B": "hurts"
    }


def test_a_lower_error_is_better_in_words():
    values = {"A": [0.059, 0.057, 0.058], "B": [0.039, 0.035, 0.036]}
    (sentence,) = judged(long(values, metric="test_error")).ablation.sentences
    assert sentence.startswith("Model B is 2.1 points better than A")


def test_a_loss_needs_the_difference_that_matters():
    with pytest.raises(RecipeError, match=r"--delta is required for loss.*spread by 0.01, one standard"):
        judged(long({"A": [1.0, 1.02, 1.01], "B": [0.8, 0.81, 0.82]}, metric="loss"))


@pytest.mark.parametrize(
    ("delta", "words"),
    [
        (0.5, "did you mean 0.005, or 0.5%"),
        ("x", "positive number"),
        (-1, "positive number"),
        ("nan", "positive"),
    ],
)
def test_a_difference_that_cannot_be_meant_is_refused(delta, words):
    with pytest.raises(RecipeError, match=re.escape(words)):
        judged(long(), delta=delta)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_and_columns_says_nothing(seed):
    draw = random.Random(seed)
    columns = long({**VALUES, "10": [0.5, 0.52, 0.51]})
    order = list(range(12))
    draw.shuffle(order)
    names = list(columns)
    draw.shuffle(names)
    shuffled = {name: [columns[name][index] for index in order] for name in names}
    expected = {
        cell: (level.outcome, level.values, level.sentence) for cell, level in levels(judged(columns)).items()
    }
    found = {
        cell: (level.outcome, level.values, level.sentence)
        for cell, level in levels(judged(shuffled)).items()
    }
    assert found == expected


def test_several_settings_are_factors_around_the_baseline():
    rows = [
        (lr, wd, seed, 0.9 + shift + 0.001 * (seed % 2))
        for lr, wd, shift in (
            (0.1, 0, 0),
            (0.3, 0, 0.02),
            (1, 0, -0.3),
            (0.1, 5e-4, 0.0001),
            (0.3, 5e-4, 0.03),
        )
        for seed in range(4)
    ]
    columns = dict(zip(("lr", "wd", "seed", "acc"), map(list, zip(*rows, strict=True)), strict=True))
    for baseline in ({"lr": 0.1, "wd": 0}, "lr=0.1,wd=0", "lr=0.1, wd=0.0", "0.1, 0"):
        record = judged(columns, baseline)
        factors = record.ablation.factors
        assert [factor.field for factor in factors] == ["lr", "wd", "lr, wd"]
        assert [level.label for level in factors[0].levels] == ["0.1", "0.3", "1"]
        assert factors[0].words == "learning rate"
        assert [level.label for level in factors[2].levels] == ["0.1, 0", "0.3, 0.0005"]
    with pytest.raises(RecipeError, match=r"'lr=0.1' could be any of 2 settings"):
        judged(columns, "lr=0.1")
    with pytest.raises(RecipeError, match=r"--baseline is required.*lr=0.1, wd=0; lr=0.1, wd=0.0005"):
        judged(columns, None)


def test_what_is_not_there_is_named():
    with pytest.raises(RecipeError, match=r"no setting is 'D'. Settings: model=A; model=B; model=C"):
        judged(long(), "D")
    with pytest.raises(DataError, match=r"no column 'modle'. Did you mean 'model'"):
        judged(long(), layout=Layout(settings=("modle",)))
    with pytest.raises(DataError, match=r"no column 'accuracy'. Did you mean"):
        judged(long(metric="acuracy"), layout=Layout(metric="accuracy"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("model,seed,acc\n", "has a header and no rows"),
        ("model,seed,acc,acc\nA,0,1,1\n", "2 columns are called 'acc' (columns 3 and 4)"),
        ("model,seed,acc\nA,0,94\nA,1\n", "row 3 has 2 cells where the header has 3"),
        ("model,seed,acc\nA,0,94\nA,1,95,1\n", "row 3 has 4 cells where the header has 3"),
        ("model,seed,acc\nA,0,94\nA,1,x9\nB,0,94\nB,1,95\n", "row 3, column 'acc': 'x9' is not a number"),
        ("model,seed,acc\nA,0,94 ± 1\nA,1,95\nB,0,94\nB,1,95\n", "row 2, column 'acc': '94 ± 1' is a mean"),
        ("model,seed,acc\nA,0,94\nA,1,95\n", "no column has a setting that varies"),
        ("model,seed,acc\nA,0,94\nB,0,95\nC,0,95\n", "every setting in results.csv has a single run"),
        (
            "model,seed,acc\nA,0,94\nA,0,95\nB,0,95\nB,1,95\n",
            "row 2, column 'acc' and row 3 are the same setting",
        ),
        (
            "model,seed,acc\nA,0,94\nA,1,250\nB,0,95\nB,1,95\n",
            "row 3, column 'acc': 250 is not between 0 and 100",
        ),
        ("model;seed;acc\nA;0;94,1\nA;1;94.2\nB;0;9\nB;1;9\n", "has a decimal comma where '94.2' in row 3"),
        (
            'model,seed,acc\nA,0,"94,123"\nA,1,"95,123"\nB,0,"1,234"\nB,1,"5,678"\n',
            "could have a decimal comma",
        ),
        ("model,seed,acc\nA,0,\nA,1,\nB,0,\nB,1,\n", "no column looks like a metric"),
        ("model\nA\nB\n", "is one column"),
        (b"model,seed,acc\nA,0,9\0\n", "row 2 contains a NUL byte"),
        (b"PK\x03\x04rest", "is a spreadsheet or an archive"),
        ('model,seed,acc\n"A,0,94\n', "row 2 cannot be read"),
        ("model,seed,acc\nA,0," + "9" * 200_000 + "\n", "a cell has more than 131,072 characters"),
        (
            "m,epoch,acc\nA,1,.5\nA,2,.6\nA,3,.7\nB,1,.5\nB,2,.6\nB,3,.7\n",
            "seems to have a row for each epoch",
        ),
        ("m,acc\nA,94±1\nB,95±1\n", "row 2, column 'acc': '94±1' is a mean with its spread"),
        ("m,acc_mean,acc_std\nA,94,1\nB,95,1\n", "'acc_mean' and 'acc_std' sum up several runs"),
        ("model,lr,a_acc,b_acc\nA,1,94,95\nB,2,94,95\n", "'a_acc' and 'b_acc' could be the metric"),
    ],
)
def test_a_bad_table_gets_one_line_that_says_where(tmp_path, text, words):
    assert words.replace("(columns 3 and 4)", "") in refusal(tmp_path, text)


def test_what_is_not_utf_8_is_read_as_a_spreadsheet_of_the_west_wrote_it(tmp_path):
    text = "mod\u00e8le,seed,acc\nA\u00e9,0,94.1\nA\u00e9,1,94.3\nB,0,95.6\nB,1,95.7\n".encode("cp1252")
    record = judge_table(read_table(write(tmp_path, text)), "A\u00e9")
    assert record.notes[0] == "Row 1 is not UTF-8; the file was read as Windows-1252."
    assert record.ablation.factors[0].field == "mod\u00e8le"


def test_rows_that_are_listed_twice(tmp_path):
    text = "model,seed,acc\nA,0,94.1\nA,1,94.3\nA,1,94.3\nB,0,95.6\nB,1,95.7\nB,1,95.9\n"
    table = read_table(write(tmp_path, text))
    for duplicates, value in (("first", 95.7), ("last", 95.9), ("mean", 95.8)):
        record = judge_table(table, "A", Reading(duplicates=duplicates))
        assert levels(record)["model = B"].values == pytest.approx([0.956, value / 100])
        assert "4" in record.lost[0]
    with pytest.raises(DataError, match="row 6, column 'acc' and row 7 are the same setting"):
        judge_table(table, "A")


def test_runs_that_diverged_are_results(tmp_path):
    text = "model,seed,acc\nA,0,94.1\nA,1,94.3\nB,0,nan\nB,1,95.7\nC,0,inf\nC,1,94\n"
    record = judge_table(read_table(write(tmp_path, text)), "A")
    assert outcomes(record) == {"model = B": "diverged", "model = C": "diverged"}
    assert record.lost == ["Rows 4, 6 count as diverged."]


EPOCHS = "m,seed,epoch,val_acc\n" + "".join(
    f"{model},{seed},{epoch},{value + 0.001 * seed**2}\n"
    for model, curve in (("A", (0.5, 0.8, 0.7)), ("B", (0.5, 0.75, 0.78)))
    for seed in range(3)
    for epoch, value in enumerate(curve)
)


@pytest.mark.parametrize(("epoch", "outcome"), [("last", "helps"), ("best", "hurts")])
def test_of_a_row_for_each_epoch_one_counts(tmp_path, epoch, outcome):
    lines = EPOCHS.splitlines()
    text = "\n".join([lines[0], *sorted(lines[1:])[::-1]])
    record = judge_table(read_table(write(tmp_path, text)), "A", Reading(Layout(epoch=epoch)))
    assert outcomes(record) == {"m = B": outcome}
    assert record.notes[0] == f"A run has a row for each epoch, of which the {epoch} counts."


def test_the_last_epoch_of_a_table_is_another_for_every_run(tmp_path):
    text = "m,seed,epoch,acc\nA,0,10,.9\nA,1,12,.91\nB,0,9,.95\nB,1,20,.96\n"
    record = judge_table(read_table(write(tmp_path, text)), "A")
    assert record.notes == []
    assert "setting = m (2 values), seed = seed (2)" in record.understood


def test_five_thousand_rows(tmp_path):
    lines = [
        f"{lr},{seed},{0.9 + 0.001 * ((lr * 7 + seed * 3) % 5):.3f}"
        for lr in range(20)
        for seed in range(250)
    ]
    record = judge_table(
        read_table(write(tmp_path, "\n".join(["lr,seed,acc", *lines]))), "0", Reading(images=10_000)
    )
    assert record.understood.startswith("5,000 rows: setting = lr (20 values), seed = seed (250)")
    assert len(outcomes(record)) == 19


CELLS = st.sampled_from(
    ["A", "B", "0", "1", "94.1", "94,2", "0.95", "nan", "", "%", "95 %", '"', ";", "é", "1e9", "seed"]
)


@settings(max_examples=150)
@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), max_size=8), st.sampled_from([",", ";", "\t"]))
def test_whatever_is_in_a_table_there_is_a_verdict_or_one_line(tmp_path_factory, rows, separator):
    header = ["model", "seed", "acc"]
    text = "\n".join(separator.join(row) for row in [header, *rows])
    path = write(tmp_path_factory.mktemp("fuzz"), text)
    message, record = "", None
    try:
        record = judge_table(read_table(path), "A")
    except FoolscopeError as error:
        message = str(error)
    assert (record is None) == bool(message)
    assert "\n" not in message
    if record is not None:
        assert outcomes(record)
        assert all(math.isfinite(level.mean) for level in levels(record).values() if level.mean is not None)


def test_a_seed_that_is_missing_is_not_a_run_that_diverged():
    values = {**VALUES, "A": [0.941, 0.943, 0.942, 0.9415, 0.9425]}
    record = judged(long(values))
    assert outcomes(record)["model = B"] == "helps"
    assert levels(record)["model = B"].values == [0.951, 0.955, 0.954]
    assert record.lost == ["model=B has no run with seeds 3, 4.", "model=C has no run with seeds 3, 4."]


def test_without_seeds_each_setting_has_its_own_spread():
    values = {"A": [0.940, 0.942, 0.941, 0.943], "B": [0.950, 0.952, 0.951], "C": [0.90, 0.99, 0.93, 0.96]}
    columns = long(values)
    del columns["seed"]
    record = judged(columns)
    assert not record.paired
    assert outcomes(record) == {"model = B": "helps", "model = C": "undecided"}
    level = levels(record)["model = C"]
    assert level.difference_high - level.difference_low > 0.05


def test_few_images_widen_what_seeds_alone_would_say():
    values = {"A": [0.940, 0.942], "B": [0.954, 0.956]}
    known, unknown = (levels(judged(long(values), images=count))["model = B"] for count in (500, None))
    assert known.difference_high - known.difference_low > 1e-3
    assert unknown.difference_high - unknown.difference_low < 1e-6


@pytest.mark.parametrize(
    ("others", "chosen"),
    [
        (("val_acc", "test_loss", "test_acc"), "test_acc"),
        (("val_acc", "test_loss"), "test_loss"),
        (("train_acc", "val_loss"), "val_loss"),
        (("test/acc@5", "test/acc@1"), "test/acc@1"),
    ],
)
def test_the_test_set_comes_before_validation_and_accuracy_before_losses(others, chosen):
    columns = long(metric=others[0])
    record = judged({**columns, **dict.fromkeys(others, columns[others[0]])}, delta="0.01")
    assert f"metric = {chosen}," in record.understood


def test_a_value_that_only_one_setting_has_names_it():
    columns = {**long(), "depth": [18] * 6 + [34] * 3}
    record = judged(columns, "C")
    assert record.baseline == "model=C, depth=34"
