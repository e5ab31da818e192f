import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from foolscope.core.errors import DataError, FoolscopeError
from foolscope.core.threads import thread_count
from foolscope.experiments.recipe import with_values
from foolscope.experiments.running.executors import processes
from foolscope.experiments.running.executors.processes import shares
from foolscope.experiments.running.run import plan_trials, run_trials

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")


def test_a_pack_survives_one_loss_and_one_that_loses_two_workers_is_named_at_the_end(
    session, long, long_expected, contents, workers_of
):
    place, killed = session("processes", 1), []
    doomed = next(pack for pack in plan_trials(long, place) if pack.trials[0].recipe == long[0])

    def kill_them(event):
        batch_size = event.trials[0].training.batch_size
        if batch_size == 16 or 32 not in killed:
            killed.append(batch_size)
            for process in workers_of(os.getpid()):
                os.kill(process, signal.SIGKILL)

    message = rf"pack {doomed.identity[:8]} \(mlp, 1 trial\) lost 2 worker processes, .* out of memory"
    with pytest.raises(FoolscopeError, match=message) as raised:
        run_trials(long, place, kill_them)
    assert "\n" not in str(raised.value)
    assert {16, 32} == set(killed)
    assert workers_of(os.getpid()) == []
    assert contents(place.store.root) == long_expected


def test_a_worker_that_cannot_start_says_why(session, recipes, monkeypatch):
    monkeypatch.setattr(processes, "_PROGRAM", "raise SystemExit('first\\nno such library')")
    with pytest.raises(FoolscopeError, match=r"cannot start: ended with exit code 1 \(no such library\)"):
        run_trials(recipes, session("processes"))


def test_what_nobody_foresaw_comes_with_its_traceback(session, recipes, monkeypatch):
    broken = "from foolscope.experiments.running.executors import worker\nworker.run_pack = None\nmain("
    monkeypatch.setattr(processes, "_PROGRAM", processes._PROGRAM.replace("main(", broken))
    with pytest.raises(RuntimeError, match=r"in a worker process:\n.*Traceback") as raised:
        run_trials(recipes, session("processes", 1))
    assert "'NoneType' object is not callable" in str(raised.value)


TALKATIVE = """
import os
def talk():
    print("{", flush=True)
    print("not mine", file=sys.stderr)
    os.system("echo hello")
talk()
from foolscope.experiments.running.executors import worker
quiet = worker.run_pack
def run_pack(*arguments, **options):
    talk()
    return quiet(*arguments, **options)
worker.run_pack = run_pack
"""


def test_what_a_library_prints_is_no_message(session, recipes, expected, contents, monkeypatch, capfd):
    program = processes._PROGRAM.replace("from foolscope", f"{TALKATIVE}from foolscope")
    monkeypatch.setattr(processes, "_PROGRAM", program)
    place = session("processes", 1)
    run_trials(recipes, place)
    assert contents(place.store.root) == expected
    assert capfd.readouterr() == ("", "")


def test_data_that_changed_meanwhile_are_refused(session, recipes, tmp_path):
    def write(seed):
        images = np.random.default_rng(seed).integers(0, 256, (40, 5, 4), dtype=np.uint8)
        np.savez(tmp_path / "my.npz", images=images, labels=np.arange(40) % 2)

    write(0)
    recipe = with_values(recipes[0], {"dataset": {"name": "npz", "path": str(tmp_path / "my.npz")}})
    place = session("processes", 1)
    place.dataset(recipe.dataset)
    write(1)
    with pytest.raises(DataError, match="npz has changed since the run began"):
        run_trials([recipe], place)


def test_shares(monkeypatch):
    monkeypatch.setattr(processes, "available_cores", lambda: 8)
    with thread_count(8):
        assert shares(20, None) == (8, 1)
        assert shares(20, 3) == (3, 2)
        assert shares(3, None) == (3, 2)
        assert shares(1, None) == (1, 8)
        assert shares(20, 12) == (12, 1), "more workers than cores, if the person says so"
    with thread_count(1):
        assert shares(1, None) == (1, 1), "no more threads than this process has"
    assert torch.get_num_threads() == 1


SCRIPT = """
import foolscope as fs
base = fs.recipe({"dataset": {"name": "npz", "path": PATH}, "precision": "float32",
                  "training": {"epochs": 2}, "model": {"name": "mlp", "hidden": [4]}})
found = fs.ablate(base, {"batch_size": [16, 64]}, seeds=2,
                  session=fs.Session("store", executor="processes", workers=2))
print(len(found.sentences))
"""


def test_a_script_without_a_file_or_a_main_guard_works(tmp_path, recipes):
    """As in a notebook, there is no file that a worker could import."""
    script = SCRIPT.replace("PATH", repr(recipes[0].dataset.path))
    command = [sys.executable, "-W", "error", "-"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.stdout, done.stderr) == ("2\n", "")
    assert len(list(tmp_path.glob("store/trials/*/trial.json"))) == 6


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGKILL])
def test_workers_do_not_outlive_the_command(tmp_path, recipes, workers_of, ended_by):
    arguments = ["ablate", "--dataset", "npz", "--path", recipes[0].dataset.path, "--vary", "batch_size=16"]
    choices = ["--epochs", "100000", "--executor", "processes", "--workers", "2", "--store", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-m", "foolscope", *arguments, *choices],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background ignores it
    ) as command:
        assert "epoch" in command.stderr.readline()
        workers = workers_of(command.pid)
        assert len(workers) == 2
        os.killpg(command.pid, ended_by)  # as the terminal does
        out, err = command.communicate()
    lines = [line for line in err.splitlines() if line and not line.startswith("training:")]
    if ended_by == signal.SIGINT:
        assert command.returncode == 130
        assert lines == ["foolscope: interrupted; the same command continues where it stopped"]
    else:
        assert lines == []
    assert out == ""
    deadline = time.monotonic() + 20
    while [process for process in workers if Path(f"/proc/{process}").exists()]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
