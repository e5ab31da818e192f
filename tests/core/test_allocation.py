import subprocess
import sys

import pytest

from foolscope.core.allocation import reuse_freed_memory

PROGRAM = """
import resource
import sys
import torch
from foolscope.core.allocation import reuse_freed_memory

if sys.argv[1] == "reuse":
    assert reuse_freed_memory()

def allocate(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        torch.ones(2**24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

allocate(20)
print(allocate(10))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the GNU C library's")
def test_pages_of_freed_tensors_are_used_again():
    def faults(mode):
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True
        )
        return int(run.stdout)

    pages = 10 * 4 * 2**24 // 4096
    assert faults("reuse") < pages / 100
    assert faults("default") > pages / 2, "or this is not needed any more"


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not reuse_freed_memory()
