"""What holds of every demonstration in the table."""

import json

import numpy as np
import pytest
import torch
from quick_demonstrations import QUICK

from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS


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
