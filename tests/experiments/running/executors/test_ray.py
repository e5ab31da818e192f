import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from foolscope.core.errors import FoolscopeError
from foolscope.experiments.running.executors import ray as executor
from foolscope.experiments.running.run import run_trials

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")


def tasks():
    """The processes that are at a pack; Ray titles a process by the task that it is at."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if command.startswith(b"ray::pack "):
            found.append(int(folder.name))
    return found


def kill_them():
    killed = tasks()
    for process in killed:
        os.kill(process, signal.SIGKILL)
    return killed


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_has_its_pack_run_again(session, long, long_expected, contents):
    place, killed = session("ray", 1), []
    run_trials(long[1:], place, lambda event: killed or killed.extend(kill_them()))
    assert len(killed) == 1
    assert contents(place.store.root) == long_expected


@pytest.mark.usefixtures("cluster")
def test_a_pack_that_loses_all_its_workers_is_named_and_the_others_are_kept(
    session, long, long_expected, contents, monkeypatch
):
    monkeypatch.setattr(executor, "_RETRIES", 0)
    place, killed = session("ray", 1), []

    def kill_the_larger(event):
        if not killed and event.trials == (long[0],):
            killed.extend(kill_them())

    with pytest.raises(FoolscopeError, match=r"pack \w+ \(mlp, 1 trial\) lost all its workers") as raised:
        run_trials(long, place, kill_the_larger)
    assert "\n" not in str(raised.value)
    assert contents(place.store.root) == long_expected


def test_a_machine_with_another_version_is_named():
    with pytest.raises(FoolscopeError, match=r"has foolscope \S+, this machine 0\.0"):
        executor._train({}, {}, {"foolscope": "0.0"}, None)


def test_a_cluster_that_does_not_answer_is_named(session, recipes, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(FoolscopeError, match=f"no Ray cluster at RAY_ADDRESS=127.0.0.1:{port} .*refused"):
        run_trials(recipes, session("ray"))


COMMAND = ("ablate", "--vary", "batch_size=16", "--seeds", "2", "--epochs", "2", "--executor", "ray")


@pytest.mark.parametrize("there_is_one", [True, False])
def test_a_command_uses_the_cluster_it_is_told_or_one_of_its_own_and_is_quiet(
    tmp_path, recipes, there_is_one, request, monkeypatch
):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if there_is_one:
        request.getfixturevalue("cluster")
        monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
    data = ("--dataset", "npz", "--path", recipes[0].dataset.path)
    command = [sys.executable, "-m", "foolscope", *COMMAND, *data, "--store", str(tmp_path), "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("training:")] == []
    assert "verdict" in done.stdout
    assert len(list(tmp_path.glob("trials/*/trial.json"))) == 4
    if there_is_one:
        assert ray.cluster_resources()["CPU"] == 2, "it stays"
