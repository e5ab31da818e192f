"""What a command that finds everything stored must not import: it is to start as fast as torch does."""

import json
import subprocess
import sys

import numpy as np
import pytest

HEAVY = (
    "foolscope.attacks",
    "foolscope.constructive",
    "foolscope.corruptions",
    "foolscope.experiments.engines.comparison",
    "foolscope.experiments.parts.table",
    "matplotlib",
    "pandas",
    "PIL",
    "ray",
    "scipy.ndimage",
    "scipy.optimize",
    "scipy.special",
    "scipy.stats",
    "sklearn",
    "torch._dynamo",
    "torch._inductor",
)


@pytest.fixture
def images(tmp_path):
    draw = np.random.default_rng(0)
    file = tmp_path / "images.npz"
    parts = {"train": 60, "test": 20}
    arrays = {
        f"{part}_images": draw.integers(0, 256, (count, 6, 6), np.uint8) for part, count in parts.items()
    }
    np.savez(file, **arrays, **{f"{part}_labels": np.arange(count) % 3 for part, count in parts.items()})
    return file


def test_a_stored_run_imports_only_what_it_shows(foolscope, images, tmp_path):
    arguments = ["train", "--dataset", "npz", "--path", str(images), "--epochs", "1"]
    first = foolscope(*arguments, "--json")
    assert first.code == 0, first.err
    code = f"""
import sys
from foolscope.cli import main
try: main({arguments})
except SystemExit: pass
print([name for name in {HEAVY} if name in sys.modules])
"""
    again = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    *lines, heavy = again.stdout.splitlines()
    assert json.loads(first.out)["identity"] in "".join(lines)
    assert heavy == "[]"
