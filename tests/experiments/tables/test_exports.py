# ruff: noqa: E501 - the lines are as long as their tools write them
"""Tables as trackers and spreadsheets write them, typed from their documented formats."""

import csv
import io

import numpy as np
import optuna
import pytest

from foolscope.core.errors import DataError, RecipeError
from foolscope.experiments.tables.files import read_table
from foolscope.experiments.tables.judgement import Reading, judge_table
from foolscope.experiments.tables.logs import find_logs, read_logs
from foolscope.experiments.tables.roles import Layout

WANDB = """"Name","State","Notes","User","Tags","Created","Runtime","Sweep","batch_size","lr","seed","epoch","test_acc","train_loss"
"fast-sun-1","finished","-","ada","","2026-11-20T10:00:00.000Z","310","","128","0.1","0","20","0.941","0.21"
"calm-sky-2","finished","-","ada","","2026-11-20T10:06:00.000Z","312","","128","0.1","1","20","0.943","0.20"
"lone-sea-3","finished","-","ada","","2026-11-20T10:12:00.000Z","311","","128","0.1","2","20","0.942","0.22"
"dark-elm-4","finished","-","ada","","2026-11-20T10:18:00.000Z","309","","128","0.3","0","20","0.951","0.17"
"cold-fog-5","finished","-","ada","","2026-11-20T10:24:00.000Z","308","","128","0.3","1","20","0.954","0.18"
"warm-ice-6","finished","-","ada","","2026-11-20T10:30:00.000Z","308","","128","0.3","2","20","0.953","0.18"
"pale-oak-7","crashed","-","ada","","2026-11-20T10:36:00.000Z","12","","128","10","0","1","","NaN"
"pale-oak-8","finished","-","ada","","2026-11-20T10:42:00.000Z","300","","128","10","1","20","0.10","2.30"
"pale-oak-9","finished","-","ada","","2026-11-20T10:48:00.000Z","300","","128","10","2","20","0.10","2.30"
"young-yew","running","-","ada","","2026-11-20T10:54:00.000Z","30","","128","0.1","3","2","0.61","1.1"
"""

MLFLOW = """run_id,experiment_id,status,artifact_uri,start_time,end_time,metrics.train_loss,metrics.val_acc,metrics.test_acc,params.optimizer,params.seed,params.epochs,tags.mlflow.user,tags.mlflow.runName
0f1,1,FINISHED,file:///m/0f1,2026-11-20 10:00:00+00:00,2026-11-20 10:05:00+00:00,0.31,0.90,0.893,sgd,0,20,ada,shy-ray-1
0f2,1,FINISHED,file:///m/0f2,2026-11-20 10:06:00+00:00,2026-11-20 10:11:00+00:00,0.30,0.90,0.895,sgd,1,20,ada,shy-ray-2
0f3,1,FINISHED,file:///m/0f3,2026-11-20 10:12:00+00:00,2026-11-20 10:17:00+00:00,0.32,0.90,0.894,sgd,2,20,ada,shy-ray-3
0f4,1,FINISHED,file:///m/0f4,2026-11-20 10:18:00+00:00,2026-11-20 10:23:00+00:00,0.29,0.88,0.875,adam,0,20,ada,shy-ray-4
0f5,1,FAILED,file:///m/0f5,2026-11-20 10:24:00+00:00,2026-11-20 10:24:10+00:00,,,,adam,1,20,ada,shy-ray-5
0f6,1,FINISHED,file:///m/0f6,2026-11-20 10:25:00+00:00,2026-11-20 10:30:00+00:00,0.29,0.88,0.876,adam,1,20,ada,shy-ray-6
0f7,1,FINISHED,file:///m/0f7,2026-11-20 10:31:00+00:00,2026-11-20 10:36:00+00:00,0.29,0.88,0.874,adam,2,20,ada,shy-ray-7
"""

SPREADSHEET = (
    "\ufeffsep=;\r\n"
    "Modell;Seed 0;Seed 1;Seed 2;Mittel;Parameter\r\n"
    "ResNet-18;93,1 %;93,4 %;93,2 %;93,2 %;11 173 962\r\n"
    "ResNet-34;93,8 %;94,1 %;94,0 %;94,0 %;21 282 122\r\n"
    ";;;;;\r\n"
)


def table_of(tmp_path, text, name="results.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return read_table(path)


def outcomes(record):
    return {
        level.cell: level.outcome
        for factor in record.ablation.factors
        for level in factor.levels
        if level.outcome != "baseline"
    }


def test_weights_and_biases(tmp_path):
    record = judge_table(table_of(tmp_path, WANDB), "0.1")
    assert record.understood == (
        "10 rows: setting = lr (3 values), seed = seed (3), metric = test_acc, as a share of 1, higher is better"
    )
    assert outcomes(record) == {"lr = 0.3": "helps", "lr = 10": "diverged"}
    assert record.lost[:2] == ["Row 11 did not finish and is skipped.", "Row 8 counts as diverged."]
    assert any("'train_loss'" in note for note in record.notes)


def test_mlflow_takes_parameters_and_the_run_that_was_repeated(tmp_path):
    record = judge_table(table_of(tmp_path, MLFLOW), "sgd")
    assert "setting = optimizer (2 values), seed = seed (3), metric = test_acc" in record.understood
    assert outcomes(record) == {"optimizer = adam": "hurts"}
    assert record.lost == ["Row 6 failed and was run again with the same seed."]


def test_mlflow_takes_another_metric_by_either_name(tmp_path):
    table = table_of(tmp_path, MLFLOW)
    for name in ("metrics.val_acc", "val_acc"):
        assert "metric = val_acc" in judge_table(table, "sgd", Reading(Layout(metric=name))).understood


def test_a_spreadsheet_with_commas_percent_signs_and_blanks(tmp_path):
    for encoding in ("utf-8", "utf-16"):
        table = table_of(tmp_path, SPREADSHEET if encoding == "utf-8" else SPREADSHEET[1:], encoding=encoding)
        record = judge_table(table, "ResNet-18", Reading(Layout(settings=("Modell",), metric="accuracy")))
        assert record.understood == (
            "2 rows: setting = Modell (2 values), seed = seed (3), metric = accuracy, in percent, higher is better"
        )
        (level,) = [each for each in record.ablation.factors[0].levels if each.outcome != "baseline"]
        assert level.values == pytest.approx([0.938, 0.941, 0.940])
        assert level.outcome == "helps"
    assert table.numbers == (3, 4), "as the spreadsheet counts rows"


def test_columns_of_settings_are_those_that_vary(tmp_path):
    record = judge_table(table_of(tmp_path, SPREADSHEET), "ResNet-18")
    assert record.ablation.factors[0].field == "Modell", "the number of parameters says nothing more"


def test_a_column_for_each_setting(tmp_path):
    text = "seed,A,B\n0,0.941,0.952\n1,0.943,0.955\n2,0.942,0.954\n3,0.940,\n"
    record = judge_table(table_of(tmp_path, text, "accuracy.csv"), "A")
    assert (
        "setting = setting (2 values), seed = seed (4), metric = accuracy, as a share of 1"
        in record.understood
    )
    assert record.lost == ["setting=B has no run with seed 3."]


def test_names_of_nested_configurations_are_words(tmp_path):
    text = (
        "cfg.model.name,trainer.seed,cfg.optim.lr,val/top1\nA,0,.1,.9\nA,1,.1,.91\nB,0,.1,.95\nB,1,.1,.962\n"
    )
    record = judge_table(table_of(tmp_path, text), "A")
    assert record.ablation.factors[0].words == "model"
    assert record.ablation.sentences[0].startswith("Model B gains")


def test_a_table_in_markdown(tmp_path):
    text = "| model | seed | acc |\n|:---|---:|---:|\n| A | 0 | 94 |\n| A | 1 | 94.2 |\n| B | 0 | 95 |\n| B | 1 | 95.1 |\n"
    assert (
        "setting = model (2 values), seed = seed (2)" in judge_table(table_of(tmp_path, text), "A").understood
    )


def optuna_table(tmp_path):
    """A table that Optuna itself has written."""
    study = optuna.create_study(direction="maximize")
    space = {
        "lr": optuna.distributions.FloatDistribution(0.01, 1),
        "seed": optuna.distributions.IntDistribution(0, 9),
    }
    for lr, base in ((0.1, 0.90), (0.3, 0.93)):
        for seed in range(4):
            study.add_trial(
                optuna.create_trial(
                    value=base + 0.001 * (seed % 3), params={"lr": lr, "seed": seed}, distributions=space
                )
            )
    study.add_trial(
        optuna.create_trial(
            state=optuna.trial.TrialState.PRUNED,
            value=0.5,
            params={"lr": 0.3, "seed": 7},
            distributions=space,
        )
    )
    frame = study.trials_dataframe()
    frame.to_csv(tmp_path / "trials.csv", index=False)
    return read_table(tmp_path / "trials.csv")


def test_optuna_needs_the_difference_that_matters(tmp_path):
    table = optuna_table(tmp_path)
    with pytest.raises(RecipeError, match="--delta is required for value"):
        judge_table(table, "lr=0.1")
    record = judge_table(table, "lr=0.1", Reading(unit="share"))
    assert "setting = lr (2 values), seed = seed (4), metric = value, as a share of 1" in record.understood
    assert outcomes(record) == {"lr = 0.3": "helps"}
    assert record.lost == [
        "Row 10 was pruned and is skipped, which makes its setting look better than it is."
    ]


def lightning_run(folder, accuracies, hparams):
    """Write what CSVLogger writes: a row whenever something is logged, most cells empty."""
    folder.mkdir(parents=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", "lr-SGD", "step", "test_acc", "train_loss", "val_acc"])
    writer.writeheader()
    for epoch, accuracy in enumerate(accuracies[:-1]):
        writer.writerow({"epoch": epoch, "step": 9, "train_loss": 1.0 / (1 + epoch)})
        writer.writerow({"epoch": epoch, "step": 9, "val_acc": accuracy, "lr-SGD": 0.1})
    writer.writerow({"epoch": len(accuracies), "step": 10, "test_acc": accuracies[-1]})
    (folder / "metrics.csv").write_text(text.getvalue())
    (folder / "hparams.yaml").write_text("".join(f"{name}: {value}\n" for name, value in hparams.items()))


def test_lightning_settings_from_its_hyperparameters(tmp_path):
    runs = [(0.1, 0, 0.90), (0.1, 1, 0.91), (0.1, 2, 0.905), (0.3, 0, 0.95), (0.3, 1, 0.957), (0.3, 2, 0.953)]
    for version, (lr, seed, accuracy) in enumerate(runs):
        folder = tmp_path / "lightning_logs" / f"version_{version}"
        lightning_run(
            folder,
            [0.5, accuracy + 0.02, accuracy + 0.01, accuracy],
            {"lr": lr, "seed": seed, "layers": "\n- 5"},
        )
    table = read_logs(find_logs(tmp_path))
    record = judge_table(table, "0.1")
    assert record.understood == (
        "6 rows: setting = lr (2 values), seed = seed (3), metric = test_acc, as a share of 1, higher is better"
    )
    assert outcomes(record) == {"lr = 0.3": "helps"}
    for epoch, added in (("last", 0.01), ("best", 0.02)):
        values = read_logs(find_logs(tmp_path), epoch=epoch).column("val_acc")
        assert np.array(values, dtype=float) == pytest.approx([accuracy + added for *_, accuracy in runs])
    assert set(read_logs(find_logs(tmp_path), epoch="best").column("train_loss")) == {str(1 / 3)}
    assert set(read_logs(find_logs(tmp_path), epoch="best", lower=False).column("train_loss")) == {"1.0"}


def test_logs_in_folders_named_by_setting_and_seed(tmp_path):
    for name, base in (("adam", 0.90), ("sgd", 0.95)):
        for seed in range(3):
            lightning_run(
                tmp_path / f"{name}_seed{seed}" / "version_0", [0.1, 0.2, base + 0.001 * seed**2], {}
            )
    record = judge_table(read_logs(find_logs(tmp_path)), "adam")
    assert "setting = folder (2 values), seed = seed (3)" in record.understood
    assert outcomes(record) == {"folder = sgd": "helps"}


def test_hydra_names_folders_by_what_was_overridden(tmp_path):
    for lr in ("0.1", "0.3"):
        for seed in range(3):
            folder = tmp_path / f"lr={lr},seed={seed}" / "csv" / "version_0"
            lightning_run(folder, [0.1, 0.2, float(lr) / 10 + 0.9 + 0.001 * seed**2], {})
    record = judge_table(read_logs(find_logs(tmp_path)), "lr=0.1")
    assert outcomes(record) == {"lr = 0.3": "helps"}


def test_a_folder_without_logs_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"has no metrics.csv and no other CSV file"):
        find_logs(tmp_path)
