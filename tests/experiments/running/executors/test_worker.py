import json
import subprocess
import sys

from foolscope.experiments.running.executors.processes import _PROGRAM


def test_a_worker_ends_with_its_standard_input_also_when_it_has_nothing_to_do(tmp_path):
    place = {"store": str(tmp_path / "store"), "data_dir": None, "device": "cpu", "threads": 1}
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        try:
            worker.stdin.write(json.dumps(place) + "\n")
            worker.stdin.flush()
            assert json.loads(worker.stdout.readline()) == {"ready": True}
            worker.stdin.close()
            assert worker.wait(timeout=20) == 0
            assert worker.stdout.read() == ""
        finally:
            worker.kill()
    assert not (tmp_path / "store").exists()
