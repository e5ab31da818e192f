"""What holds of every demonstration in the table."""

import json

import numpy as np
import pytest
import torch

from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS
from foolscope.reports.parts.demonstrations.section import demonstration_section

QUICK = {
    "constructive-approximation": {
        "line_ratios": (5.0, 8.0),
        "plane_ratios": (5.0, 6.0),
        "training_steps": 1,
    },
    "curve-fit": {"points": 12, "steps": 20},
    "gradient-flow": {"hidden": 4, "rows": 5, "width": 3, "images": 4, "training_steps": 2},
    "linear-regression": {"examples": 20, "steps": 20},
    "low-rank": {"rows": 4, "columns": 3, "rank": 1, "starts": 2, "steps": 20},
    "shifted-relu": {"examples": 8, "hidden": 3, "steps": 5},
}


@pytest.mark.parametrize("kind", DEMONSTRATIONS)
def test_it_measures_what_it_declares_and_nothing_global(kind):
    entry = DEMONSTRATIONS[kind]
    settings = entry.settings.model_validate({"name": "it", "kind": kind, **QUICK[kind]})
    before = np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist()  # noqa: NPY002
    outcome, again = entry.run(settings, 3), entry.run(settings, 3)
    assert (np.random.get_state()[1].tolist(), torch.random.get_rng_state().tolist()) == before  # noqa: NPY002
    assert outcome == again
    words = entry.measures(settings)
    assert set(outcome.measures) == set(words)
    assert all(words.values())
    assert not any("." in name for name in words if "@" not in name)
    json.dumps(outcome.data, allow_nan=False)
    assert entry.run(settings, 4).data != outcome.data


def test_every_kind_can_be_reported():
    assert callable(demonstration_section)
    assert set(QUICK) == set(DEMONSTRATIONS)
