"""What benchmarks/until_decided.py simulates is what the package does."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import until_decided

from foolscope.statistics.any_look import judge_at_any_look
from foolscope.statistics.blocks import BlockDesign
from foolscope.statistics.estimate import holm

WORDS = {"helps": 1, "hurts": -1, "smaller than matters": 2, "no effect": 2, "undecided": 0}


def test_rows_are_adjusted_as_the_package_does():
    p_values = np.random.default_rng(0).uniform(size=(20, 5))
    expected = np.array([holm(row) for row in p_values])
    assert until_decided.holm_rows(p_values) == pytest.approx(expected)


def test_the_simulated_sequence_ends_with_the_verdicts_of_the_package(monkeypatch):
    monkeypatch.setattr("foolscope.statistics.any_look.further_seeds", lambda *arguments: (None, None))
    generator = np.random.default_rng(1)
    values = np.array([0.0, 3.0, 0.8, 0.0])[:, None] + generator.standard_normal((8, 4, 60))
    outcomes, trainings = until_decided.sequence(values, 2.0, 5)
    for draw, own in enumerate(values):
        counts = np.full(4, 5)
        while True:
            absent = np.arange(60) >= counts[:, None]
            unequal = BlockDesign(
                ("b", "x", "y", "z"), tuple(range(60)), np.where(absent, np.nan, own), absent=absent
            )
            looks = judge_at_any_look(unequal, "b", practical_difference=2.0)
            still = np.array([look.needs == "more seeds" for look in looks])
            if not still.any() or counts[0] == 60:
                break
            counts[0] = min(60, counts[0] + until_decided.further_seeds_at_once(int(counts[0])))
            counts[1:][still] = counts[0]
        assert [WORDS[look.verdict.outcome] for look in looks] == outcomes[draw].tolist()
        assert counts.sum() == trainings[draw]


def test_stored_ablations_are_read():
    for name in ("softmax-cifar10", "one-hidden-layer-cifar10"):
        values, deviation, margin = until_decided.stored_ablation(name)
        assert values.shape[1] == 5
        assert margin == 0.005
        # The pooled deviation of the study is that of all its cells, of which the diverged have no values.
        residuals = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
        assert deviation == pytest.approx(np.sqrt((residuals**2).sum() / (4 * (len(values) - 1))))


def test_a_fixed_design_of_two_cells_is_the_paired_t_test():
    generator = np.random.default_rng(2)
    values = generator.standard_normal((50, 2, 9)) + np.array([0.0, 1.0])[:, None]
    both = [until_decided.fixed(values, 0.5, 9, pooled=pooled) for pooled in (True, False)]
    assert (both[0] == both[1]).all()
    assert set(np.unique(both[0])) >= {0, 1}
