from pathlib import Path

import numpy as np
import pytest
from claim_checks import refuse_wrong_claims, sources_of
from scipy import stats

from foolscope.core.errors import RecipeError
from foolscope.experiments.claims.evidence import claim_cells, judge_claims
from foolscope.experiments.claims.judgement import adjust_claims, judge_claim
from foolscope.experiments.parts.ablations import ablation_cells
from foolscope.experiments.parts.attack_traces import TraceBudgetRecord, TraceRecord
from foolscope.experiments.parts.attacks.records import CurveRecord
from foolscope.experiments.recipe import with_values
from foolscope.experiments.running.store import StoredTrial
from foolscope.experiments.study_file import study_from
from foolscope.statistics.blocks import BlockDesign

SEEDS = 4

VALUE = {"sentence": "It is 0.6", "kind": "value", "recipe": "two", "value": 0.6}
COMPARISON = {
    "sentence": "Two beats one",
    "kind": "comparison",
    "subject": "two",
    "against": "one",
    "is": "better",
}
TREND = {"sentence": "More is better", "kind": "trend", "recipe": "two", "factor": "hidden", "is": "rises"}
ROBUST = {**VALUE, "metric": "robust_accuracy:linf@25.5/255", "is": "at most", "value": 0.5}

FOOLED = {**VALUE, "metric": "success_rate:steps@0.3", "is": "at least", "value": 0.5}
STEEPER = {
    "sentence": "Every step raises the loss",
    "kind": "curve",
    "recipe": "two",
    "metric": "attack_loss:steps@25.5/255",
    "is": "rises steadily",
}

OVERFITS = {
    "sentence": "It overfits",
    "kind": "curve",
    "recipe": "two",
    "metric": "validation_loss",
    "is": "rises",
}


def study_of(*claims, **changes):
    return study_from(
        {
            "name": "tiny",
            "title": "A title",
            "question": "Why?",
            "seeds": SEEDS,
            "practical_difference": 0.01,
            "recipes": {"one": {"model": "softmax"}, "two": {"model": {"name": "mlp", "hidden": [16]}}},
            "ablations": [
                {
                    "recipe": "two",
                    "vary": {"hidden": [[64], [4], [16]], "l2": [0.0, 0.1], "optimizer": ["sgd", "adam"]},
                }
            ],
            "attacks": [
                {"name": "linf", "recipes": ["two"], "epsilons": [0.0, 0.1, 0.2], "attacks": ["fgsm"]},
            ],
            "attack_traces": [
                {
                    "name": "steps",
                    "recipe": "two",
                    "epsilons": [0.1, 0.3],
                    "attack": {"name": "bim", "steps": 2},
                },
            ],
            "claims": list(claims),
            **changes,
        }
    )


def made_up(recipe, seed, value):
    """A trial of this accuracy and one less this loss."""
    metrics = {"test_accuracy": value, "test_loss": 1 - value}
    outcome = {"status": "finished" if np.isfinite(value) else "diverged", "metrics": metrics}
    return StoredTrial("", with_values(recipe, {"seed": seed}), outcome, {}, Path())


ROWS = {
    "one": [0.50, 0.52, 0.51, 0.50],
    "two": [0.60, 0.61, 0.61, 0.59],
    "hidden = 64": [0.70, 0.72, 0.71, 0.71],
    "hidden = 4": [0.40, 0.44, 0.42, 0.41],
    "l2 = 0.1": [0.60, 0.60, 0.61, 0.60],
    "optimizer = adam": [0.61, 0.62, 0.61, 0.60],
}
CURVE = [[0.6, 0.4, 0.1], [0.6, 0.3, 0.1], [0.6, 0.35, 0.1], [0.6, 0.32, 0.1]]


RATES = {0.0: [0.0] * 4, 0.1: [0.2, 0.3, 0.25, 0.25], 0.3: [0.81, 0.79, 0.8, 0.84]}
LOSSES = [[1.0, 1.2, 1.3], [1.1, 1.4, 1.45], [1.0, 1.3, 1.45], [0.9, 1.15, 1.2]]


def trace(rates, losses, seeds=SEEDS):
    """A made-up followed attack."""
    budgets = [
        TraceBudgetRecord(
            epsilon=epsilon,
            robust_accuracies=[1 - (rate or 0) for rate in own],
            success_rates=own,
            label_probabilities=[0.5 + epsilon] * seeds,
            losses=[each if epsilon == 0.1 else [9.0, 9.0, 9.0] for each in losses],
            means={},
            mean_losses=[],
        )
        for epsilon, own in rates.items()
    ]
    return TraceRecord(
        attack="steps", recipe="two", norm="linf", settings={"name": "bim"}, source=None, target="none",
        confidence=0.0, images=10, counted=[5] * seeds, seeds=list(range(seeds)), budgets=budgets, doubts=[],
        forward_count=0, backward_count=0,
    )  # fmt: skip


def judged(study, rows=ROWS, accuracies=CURVE, traces=None):
    """Judge the claims of a study on made-up values."""
    cells = ablation_cells(study.recipes["two"], study.entries("ablations")[0].vary)
    trials = {study.recipes["one"]: rows["one"]}
    trials |= {cell.recipe: rows["two" if cell.factor is None else cell.label] for cell in cells}
    stored = {
        recipe: [made_up(recipe, seed, value) for seed, value in enumerate(values)]
        for recipe, values in trials.items()
    }
    curves = [
        CurveRecord(
            attack="linf", recipe="two", norm="linf", attacks=["fgsm"], images=10, epsilons=[0.0, 0.1, 0.2],
            accuracies=accuracies, balanced_accuracies=[[each / 2 for each in own] for own in accuracies],
            mean=[0.0] * 3, low=[None] * 3, high=[None] * 3, doubts=[],
            forward_count=0, backward_count=0,
        )
    ] if accuracies else []  # fmt: skip
    followed = [trace(RATES, LOSSES)] if traces is None else traces
    return judge_claims(study, sources_of(study, stored, {"attacks": curves, "attack_traces": followed}))


def expected(study, rows, cells, **options):
    """Judge the study's only claim on a design written out by hand."""
    design = BlockDesign(tuple(rows), tuple(range(SEEDS)), np.array(list(rows.values())))
    (result,) = adjust_claims(
        [judge_claim(study.claims[0], design, cells, practical_difference=0.01, **options)]
    )
    return result


def same(record, result):
    assert (record.outcome, record.p_upheld, record.p_contradicted, record.seeds_needed) == (
        result.outcome,
        result.p_upheld,
        result.p_contradicted,
        result.seeds_needed,
    )
    assert record.reason == result.reason


# ------------------------------------------------------------------ which cells


def settings_of(claim):
    study = study_of(claim)
    cells = claim_cells(study.claims[0], study, sources_of(study).designs())
    return [(cell.name, dict(cell.settings), cell.recipe) for cell in cells]


def test_names_are_recipes_and_tables_are_settings():
    study = study_of()
    two = study.recipes["two"]
    against = ["one", {"recipe": "two", "l2": 0.1}]
    cells = settings_of({**COMPARISON, "against": against})
    assert [recipe for _, _, recipe in cells] == [two, study.recipes["one"], with_values(two, {"l2": 0.1})]


def test_the_claims_own_recipe_stands_for_those_that_name_none():
    claim = {**COMPARISON, "recipe": "two", "subject": {"l2": 0.1}, "against": {"optimizer": "adam"}}
    two = study_of().recipes["two"]
    assert [recipe for _, _, recipe in settings_of(claim)] == [
        with_values(two, {"l2": 0.1}),
        with_values(two, {"optimizer": "adam"}),
    ]


def test_levels_come_from_the_ablation_in_ascending_order():
    assert [settings for _, settings, _ in settings_of(TREND)] == [
        {"hidden": [4]},
        {"hidden": [16]},
        {"hidden": [64]},
    ]
    dotted = {**TREND, "factor": "regularization.l2", "settings": {"batch_size": 16}}
    cells = settings_of(dotted)
    assert [recipe.regularization.l2 for _, _, recipe in cells] == [0.0, 0.1]
    assert {recipe.training.batch_size for _, _, recipe in cells} == {16}


@pytest.mark.parametrize(
    ("factor", "values"),
    [("batch_size", [64, 1024, 128]), ("l2", [0.1, 1e-3, 0.02]), ("hidden", [[9], [4, 4], [100]])],
)
def test_levels_are_ordered_as_numbers_and_layers_by_their_sum(factor, values):
    ablations = [{"recipe": "two", "vary": {factor: values}}]
    study = study_of({**TREND, "factor": factor}, ablations=ablations)
    cells = claim_cells(study.claims[0], study, sources_of(study).designs())
    expected = sorted(values, key=lambda value: sum(value) if isinstance(value, list) else value)
    assert [dict(cell.settings)[factor] for cell in cells] == expected


def test_levels_of_the_claim_keep_their_order():
    claim = {**TREND, "levels": [[64], [4]]}
    assert [settings for _, settings, _ in settings_of(claim)] == [{"hidden": [64]}, {"hidden": [4]}]


# ------------------------------------------------------------------ what is refused, before training


@pytest.mark.parametrize(
    ("claim", "parts"),
    [
        ({**TREND, "factor": "batch_size"}, ["no ablation of two varies 'batch_size'", "levels"]),
        ({**TREND, "factor": "batch_sise"}, ["unknown field 'batch_sise'", "Did you mean 'batch_size'?"]),
        ({**TREND, "factor": "optimizer"}, ["not numbers", "levels"]),
        ({**TREND, "recipe": "one", "factor": "l2"}, ["no ablation of one"]),
        ({**TREND, "levels": [[4], [4]]}, ["same cell twice"]),
        ({**TREND, "is": "peaks", "at": [4]}, ["inner levels 16", "got 4"]),
        ({**TREND, "is": "peaks", "at": [5]}, ["inner levels 16", "got 5"]),
        ({**COMPARISON, "subject": {"recipe": "two", "momentun": 0.5}}, ["'momentun'", "'momentum'"]),
        ({**COMPARISON, "subject": {"recipe": "two", "momentum": 5}}, ["momentum", "got 5"]),
        ({**VALUE, "metric": "test_acuracy"}, ["no metric 'test_acuracy'", "Did you mean 'test_accuracy'?"]),
        (
            {**ROBUST, "metric": "robust_accuracy:l2@0.1"},
            ["robust_accuracy:l2@0.1", "robust_accuracy:linf@0 or 0.1 or 0.2"],
        ),
        ({**ROBUST, "metric": "robust_accuracy:linf"}, ["robust_accuracy:linf@0 or 0.1 or 0.2"]),
        (
            {**ROBUST, "metric": "robust_accuracy:linf@0.15"},
            ["linf@0.15", "linf@0 or 0.1 or 0.2"],
        ),
        ({**ROBUST, "metric": "robust_accuracy:linf@x"}, ["linf@x", "robust_accuracy:linf@0 or 0.1 or 0.2"]),
        ({**ROBUST, "recipe": "one"}, ["not measured on one", "only on two"]),
        ({**ROBUST, "settings": {"l2": 0.1}}, ["not measured on two with l2 = 0.1"]),
        (
            {**OVERFITS, "metric": "validation_los"},
            ["no curve 'validation_los'", "Did you mean 'validation_loss'?"],
        ),
        ({**OVERFITS, "metric": "test_accuracy"}, ["test_accuracy is one number, not a curve"]),
        (
            {**OVERFITS, "meanwhile": {"metric": "training_los", "is": "falls"}},
            ["no curve 'training_los'"],
        ),
        ({**OVERFITS, "settings": {"momentun": 0.5}}, ["'momentun'", "'momentum'"]),
        ({**FOOLED, "metric": "success_rate:linf@0.1"}, ["success_rate:steps@0 or 0.1 or 0.3"]),
        ({**FOOLED, "metric": "success_rate:steps@0.2"}, ["success_rate:steps@0 or 0.1 or 0.3"]),
        ({**FOOLED, "recipe": "one"}, ["not measured on one", "only on two"]),
        ({**FOOLED, "metric": "attack_loss:steps@0.1"}, ["attack_loss:steps@0.1", 'kind = "curve"']),
        (
            {**FOOLED, "metric": "succes_rate:steps@0.1"},
            ["no metric 'succes_rate:steps@0.1'", "'success_rate:steps@0.1'"],
        ),
        (
            {**STEEPER, "metric": "success_rate:steps@0.1"},
            ["steps@0.1 is one number, not a curve"],
        ),
        ({**STEEPER, "metric": "attack_loss:steps@0"}, ["attack_loss:steps@0.1 or 0.3"]),
        (
            {**STEEPER, "is": "rises", "meanwhile": {"metric": "running_loss", "is": "falls"}},
            ["attack step", "meanwhile"],
        ),
    ],
)
def test_claims_that_cannot_be_tested_are_refused_in_one_line(claim, parts):
    with pytest.raises(RecipeError) as caught:
        refuse_wrong_claims(study_of(claim))
    text = str(caught.value)
    assert claim["sentence"] in text
    assert "\n" not in text
    assert not [part for part in parts if part not in text], text


def test_claims_about_attacks_in_a_study_without_any_say_what_to_add():
    with pytest.raises(RecipeError, match=r"\[\[attacks\]\]"):
        refuse_wrong_claims(study_of(ROBUST, attacks=[], attack_traces=[]))
    with pytest.raises(RecipeError, match=r"\[\[attack_traces\]\]"):
        refuse_wrong_claims(study_of(FOOLED, attack_traces=[]))


@pytest.mark.parametrize(
    "claim",
    [
        VALUE,
        COMPARISON,
        TREND,
        ROBUST,
        {**TREND, "is": "peaks", "at": [16]},
        {**VALUE, "metric": "test_loss"},
        OVERFITS,
        {**OVERFITS, "metric": "running_cost"},
        FOOLED,
        STEEPER,
        {**FOOLED, "metric": "label_probability:steps@0"},
        {**FOOLED, "metric": "robust_accuracy:steps@0.1"},
    ],
)
def test_claims_that_can_be_tested_pass(claim):
    refuse_wrong_claims(study_of(claim))


# ------------------------------------------------------------------ judgements


def test_a_value_is_tested_on_its_own_cell():
    study = study_of(VALUE)
    (record,) = judged(study)
    same(record, expected(study, {"two": ROWS["two"]}, ["two"]))


def test_a_comparison_of_recipes_is_tested_on_both():
    study = study_of(COMPARISON)
    (record,) = judged(study)
    assert record.outcome == "upheld"
    same(record, expected(study, {"two": ROWS["two"], "one": ROWS["one"]}, ["two", "one"]))
    (turned,) = judged(study_of({**COMPARISON, "subject": "one", "against": "two"}))
    assert turned.outcome == "contradicted"


def test_a_trend_within_an_ablation_pools_the_spread_of_all_its_cells():
    study = study_of(TREND)
    (record,) = judged(study)
    rows = {"4": ROWS["hidden = 4"], "16": ROWS["two"], "64": ROWS["hidden = 64"]}
    pooled = {**rows, "(l2 = 0.1)": ROWS["l2 = 0.1"], "(optimizer = adam)": ROWS["optimizer = adam"]}
    assert record.outcome == "upheld"
    same(record, expected(study, pooled, list(rows)))
    alone = expected(study, rows, list(rows))
    assert alone.p_upheld != record.p_upheld


def test_a_peak_is_where_the_claim_says():
    rows = {**ROWS, "hidden = 64": [0.30, 0.32, 0.31, 0.31]}
    (record,) = judged(study_of({**TREND, "is": "peaks", "at": [16]}), rows)
    assert record.outcome == "upheld"
    (record,) = judged(study_of({**TREND, "is": "peaks", "at": [16]}))
    assert record.outcome == "contradicted"


def test_better_is_lower_for_a_loss():
    (record,) = judged(study_of({**COMPARISON, "metric": "test_loss"}))
    assert record.outcome == "upheld"  # the loss of two is lower
    (record,) = judged(study_of({**COMPARISON, "metric": "test_loss", "is": "higher"}))
    assert record.outcome == "contradicted"


def test_robust_accuracy_is_read_at_its_budget():
    study = study_of(ROBUST)
    (record,) = judged(study)
    assert record.outcome == "upheld"
    same(record, expected(study, {"two": [0.4, 0.3, 0.35, 0.32]}, ["two"]))
    (clean,) = judged(study_of({**ROBUST, "metric": "robust_accuracy:linf@0"}))
    assert clean.outcome == "contradicted"
    study = study_of({**ROBUST, "metric": "robust_balanced_accuracy:linf@25.5/255"})
    (balanced,) = judged(study)
    same(balanced, expected(study, {"two": [0.2, 0.15, 0.175, 0.16]}, ["two"]))


@pytest.mark.parametrize("claim", [VALUE, COMPARISON, TREND])
def test_a_diverged_trial_leaves_the_claim_undecided(claim):
    rows = {**ROWS, "two": [0.60, np.nan, 0.61, 0.59]}
    (record,) = judged(study_of(claim), rows)
    assert record.outcome == "undecided"
    assert "diverged" in record.reason


def test_a_diverged_trial_has_no_robust_accuracy_of_its_own():
    rows = {**ROWS, "two": [0.60, np.nan, 0.61, 0.59]}
    (record,) = judged(study_of(ROBUST), rows, [CURVE[0], CURVE[2], CURVE[3]])
    assert record.outcome == "undecided"
    assert "diverged in 1" in record.reason
    (record,) = judged(study_of(ROBUST), {**ROWS, "two": [np.nan] * SEEDS}, [])
    assert record.outcome == "undecided"


def test_claims_are_adjusted_for_their_number():
    weak = {**COMPARISON, "sentence": "Adam beats SGD", "recipe": "two"}
    weak |= {"subject": {"optimizer": "adam"}, "against": {"optimizer": "sgd"}, "is": "higher"}
    (alone,) = judged(study_of(weak))
    together = judged(study_of(weak, TREND, COMPARISON))
    assert together[0].p_contradicted == pytest.approx(3 * alone.p_contradicted)
    assert [record.sentence for record in together] == ["Adam beats SGD", "More is better", "Two beats one"]


def test_what_was_published_is_carried_along():
    (record,) = judged(study_of({**VALUE, "published": 0.61, "source": "Table 3"}))
    assert (record.published, record.source) == (0.61, "Table 3")


# ------------------------------------------------------------------ published figures

PUBLISHED = [
    {
        "recipe": "two",
        "vary": {"hidden": [[64], [4], [16]], "l2": [0.0, 0.1], "optimizer": ["sgd", "adam"]},
        "published": {"hidden": [0.63, 0.4, 0.61], "l2": [0.6, 0.601]},
    }
]


def figures_of(record):
    return [(figure.label, figure.published) for figure in record.figures]


def test_figures_are_cell_means_beside_the_published_ones_of_the_claims_factor():
    (record,) = judged(study_of(TREND, ablations=PUBLISHED))
    assert figures_of(record) == [("4", 0.4), ("16", 0.61), ("64", 0.63)]
    for figure, row in zip(record.figures, ("hidden = 4", "two", "hidden = 64"), strict=True):
        assert figure.value == pytest.approx(np.mean(ROWS[row]))
        assert figure.high - figure.value == pytest.approx(
            stats.t.ppf(0.975, SEEDS - 1) * stats.sem(ROWS[row])
        )
    assert record.noise.rests_on_noise is False
    assert record.noise.published_difference == pytest.approx(0.23)  # the least-squares line over ranks


def test_the_same_baseline_has_the_figure_of_the_table_that_the_claim_is_about():
    claim = {**COMPARISON, "recipe": "two", "subject": {"l2": 0.1}, "against": {"l2": 0.0}}
    (record,) = judged(study_of(claim, ablations=PUBLISHED))
    assert figures_of(record) == [("L2 coefficient 0.1", 0.601), ("L2 coefficient 0", 0.6)]
    # all six rows of the ablation but "one", pooled: t √2 s
    rows = np.array([row for name, row in ROWS.items() if name != "one"])
    residuals = rows - rows.mean(axis=1, keepdims=True) - rows.mean(axis=0) + rows.mean()
    deviation = np.sqrt((residuals**2).sum() / 12)
    assert record.noise.chance == pytest.approx(stats.t.ppf(0.975, 12) * np.sqrt(2) * deviation)
    assert record.noise.rests_on_noise is True


@pytest.mark.parametrize(
    "changes",
    [
        {"published": {"hidden": [0.63, None, 0.61]}},
        {"published": {"l2": [0.6, 0.601]}},
        {"metric": "test_loss", "published": {"hidden": [0.63, 0.4, 0.61]}},
    ],
)
def test_without_a_figure_for_every_cell_nothing_is_said_of_noise(changes):
    (record,) = judged(study_of(TREND, ablations=[{**PUBLISHED[0], **changes}]))
    assert record.noise is None
    assert [figure.published for figure in record.figures] == [None] * 3


def test_a_value_is_held_against_one_more_run():
    (record,) = judged(study_of({**VALUE, "published": 0.7}))
    row = np.array(ROWS["two"])
    reach = stats.t.ppf(0.975, SEEDS - 1) * row.std(ddof=1) * np.sqrt(1 + 1 / SEEDS)
    assert (record.noise.low, record.noise.high) == pytest.approx((row.mean() - reach, row.mean() + reach))
    assert record.noise.rests_on_noise is None
    assert "70 % does not" in record.noise.sentence
    (record,) = judged(study_of({**VALUE, "published": "about 0.7"}))
    assert record.noise is None


def test_a_diverged_cell_still_has_its_published_figures_judged():
    rows = {**ROWS, "two": [0.60, np.nan, 0.61, 0.59]}
    (record,) = judged(study_of(TREND, ablations=PUBLISHED), rows)
    assert record.outcome == "undecided"
    assert [figure.value is None for figure in record.figures] == [False, True, False]
    assert record.noise.published_difference == pytest.approx(0.23)


# ------------------------------------------------------------------ curves


def with_histories(study, histories, **changes):
    """Judge claims about curves on trials of recipe "two" with these histories."""
    recipe = study.recipes["two"]
    stored = []
    for seed, history in enumerate(histories):
        trial = made_up(recipe, seed, 0.6)
        outcome = {**trial.outcome, "history": history, **changes.get(str(seed), {})}
        stored.append(StoredTrial("", trial.recipe, outcome, {}, Path()))
    (record,) = judge_claims(study, sources_of(study, {recipe: stored}))
    return record


def history_of(losses, training=None, penalty=0.0):
    return [
        {"validation_loss": loss, "running_loss": own, "penalty": penalty}
        for loss, own in zip(losses, training or losses, strict=True)
    ]


RISING = [[2.0, 2.1, 2.5], [2.0, 2.2, 2.6], [2.1, 2.2, 2.6], [2.0, 2.0, 2.4]]


def test_a_curve_claim_is_the_t_test_over_seeds():
    record = with_histories(study_of(OVERFITS), [history_of(losses) for losses in RISING])
    change = np.array(RISING)[:, -1] - np.array(RISING)[:, 0]
    assert record.outcome == "upheld"
    assert record.p_upheld == pytest.approx(stats.ttest_1samp(change, 0).pvalue)
    (figure,) = record.figures
    assert (figure.value, figure.is_change, figure.metric) == (
        pytest.approx(change.mean()),
        True,
        "validation_loss",
    )
    assert figure.label == "From the first epoch to the last the validation loss"
    fallen = {**OVERFITS, "is": "falls"}
    assert with_histories(study_of(fallen), [history_of(each) for each in RISING]).outcome == "contradicted"


def test_a_cost_holds_the_penalty_and_a_window_is_shared():
    meanwhile = {"metric": "running_cost", "is": "falls"}
    claim = {**OVERFITS, "metric": "validation_cost", "is": "turns upwards", "meanwhile": meanwhile}
    dips = [[2.3, 2.0 + 0.01 * seed, 2.5 + 0.02 * seed] for seed in range(SEEDS)]
    falls = [[2.3, 2.2 - 0.01 * seed, 2.0] for seed in range(SEEDS)]
    histories = [history_of(*pair, penalty=0.5) for pair in zip(dips, falls, strict=True)]
    record = with_histories(study_of(claim), histories)
    assert record.outcome == "upheld"
    assert [figure.value for figure in record.figures] == pytest.approx([0.515, -0.185])


def test_seeds_that_stopped_early_are_compared_over_the_epochs_that_all_have():
    histories = [history_of(losses) for losses in RISING]
    histories[2] = histories[2][:2]
    record = with_histories(study_of(OVERFITS), histories)
    cut = np.array(RISING)[:, 1] - np.array(RISING)[:, 0]
    assert record.figures[0].value == pytest.approx(cut.mean())


def test_curves_that_cannot_be_tested_say_why():
    histories = [history_of(losses) for losses in RISING]
    record = with_histories(study_of(OVERFITS), histories, **{"1": {"status": "diverged"}})
    assert record.outcome == "undecided"
    assert record.reason == "two diverged in 1 of 4 seeds, so the claim cannot be tested."
    blank = [history_of([None] * 3, [1.0, 2.0, 3.0]) for _ in range(SEEDS)]
    record = with_histories(study_of(OVERFITS), blank)
    assert record.reason == "two has no validation loss, so the claim cannot be tested."
    short = [history[:1] for history in histories]
    assert "one epoch only" in with_histories(study_of(OVERFITS), short).reason


def test_curve_claims_count_in_the_familys_adjustment():
    study = study_of(OVERFITS, {**OVERFITS, "is": "falls"})
    recipe = study.recipes["two"]
    stored = [
        StoredTrial("", recipe, {"status": "finished", "history": history_of(losses)}, {}, Path())
        for losses in RISING
    ]
    first, _ = judge_claims(study, sources_of(study, {recipe: stored}))
    change = np.array(RISING)[:, -1] - np.array(RISING)[:, 0]
    assert first.p_upheld == pytest.approx(2 * stats.ttest_1samp(change, 0).pvalue)


# ------------------------------------------------------------------ followed attacks


def test_a_rate_of_success_is_read_at_its_budget_and_written_in_per_cent():
    study = study_of(FOOLED)
    (record,) = judged(study)
    same(record, expected(study, {"two": RATES[0.3]}, ["two"]))
    assert "two averages 81" in record.reason
    assert "%" in record.reason
    (figure,) = record.figures
    assert figure.value == pytest.approx(np.mean(RATES[0.3]))


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("label_probability:steps@0", 0.5),
        ("label_probability:steps@0.3", 0.8),
        ("robust_accuracy:steps@0.1", 0.75),
        ("robust_accuracy:linf@0", 0.6),
    ],
)
def test_other_quantities_of_an_attack_are_read_likewise(metric, value):
    (record,) = judged(study_of({**FOOLED, "metric": metric}))
    assert record.figures[0].value == pytest.approx(value)


def test_where_no_image_counted_the_claim_says_so():
    (record,) = judged(study_of(FOOLED), traces=[trace({0.3: [None, 0.8, 0.8, None]}, LOSSES)])
    assert record.outcome == "undecided"
    assert "in 2 of 4 seeds" in record.reason
    assert "diverged" not in record.reason


def test_a_diverged_trial_was_not_attacked():
    rows = {**ROWS, "two": [0.6, np.nan, 0.61, 0.6]}
    claims = (FOOLED, STEEPER, {**FOOLED, "metric": "success_rate:steps@0.1", "is": "at most"})
    followed = trace({0.1: [0.2, 0.3, 0.25], 0.3: [0.8, 0.8, 0.8]}, LOSSES[:3], seeds=3)
    for record in judged(study_of(*claims), rows, traces=[followed]):
        assert record.outcome == "undecided"
        assert "diverged in 1 of 4 seeds" in record.reason


def test_the_loss_of_an_attack_is_tested_step_by_step_from_before_the_first():
    (record,) = judged(study_of(STEEPER))
    losses = np.array(LOSSES)
    steps = [stats.ttest_1samp(losses[:, k + 1] - losses[:, k], 0).pvalue for k in (0, 1)]
    assert record.outcome == "upheld"
    assert record.p_upheld == pytest.approx(max(steps))
    assert "From step 1 to 2 the attack loss of steps with ε = 25.5/255 rises by 0.09" in record.reason
    assert [figure.label for figure in record.figures] == [
        "before the attack",
        "after step 1",
        "after step 2",
    ]
    assert [figure.value for figure in record.figures] == pytest.approx(losses.mean(0))


def test_a_loss_that_falls_at_its_last_step_contradicts():
    falling = [[first, first + 0.4, first + 0.2] for first, _, _ in LOSSES]
    for position, row in enumerate(falling):
        row[2] += 0.01 * position
    (record,) = judged(study_of(STEEPER), traces=[trace(RATES, falling)])
    assert record.outcome == "contradicted"
    assert "From step 1 to 2" in record.reason
