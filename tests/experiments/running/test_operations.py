import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from foolscope.experiments.running.operations import OperationCounter
from foolscope.models import MODELS, build_model


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"resnet34", "resnet50"}))
def test_operations_are_those_that_torch_counts(name):
    model = build_model(MODELS[name].settings(normalization="none"), (3, 32, 32), 10, seed=0).eval()
    images = torch.zeros(2, 3, 32, 32)
    with torch.no_grad():
        with FlopCounterMode(display=False) as expected:
            model(images)
        with OperationCounter() as found:
            logits = model(images)
        torch.testing.assert_close(logits, model(images))
    assert found.flops == expected.get_total_flops() > 0


def test_the_compiler_is_not_loaded():
    program = """
import sys, torch
from foolscope.experiments.running.operations import OperationCounter
with OperationCounter() as counter:
    torch.nn.Linear(2, 3)(torch.zeros(1, 2))
assert counter.flops == 2 * 2 * 3
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
