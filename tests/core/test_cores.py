import os

import pytest

from foolscope.core.cores import available_cores

OURS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def limit(folder, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.max").write_text(text, encoding="ascii")


def limit_in_version_1(folder, quota, period=100_000):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.cfs_quota_us").write_text(f"{quota}\n", encoding="ascii")
    (folder / "cpu.cfs_period_us").write_text(f"{period}\n", encoding="ascii")


@pytest.fixture
def cores_of(tmp_path, monkeypatch):
    """The cores of a process on a machine with eight, with these lines in its list of groups."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)

    def cores(*lines):
        (tmp_path / "membership").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
        return available_cores(tmp_path / "groups", tmp_path / "membership")

    return cores


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("max 100000\n", 8),
        ("100000 100000\n", 1),
        ("150000 100000\n", 1),
        ("50000 100000\n", 1),
        ("100000000 100000\n", 8),
        ("", 8),
        ("200000 100000\n", 2),
        ("350000 50000\n", 7),
    ],
)
def test_a_container_may_have_fewer_cores_than_the_machine(tmp_path, cores_of, text, cores):
    limit(tmp_path / "groups", text)
    assert cores_of("0::/") == cores


@pytest.mark.parametrize(("quota", "cores"), [(-1, 8), (300_000, 3), (50_000, 1), (0, 8)])
def test_a_container_of_version_1(tmp_path, cores_of, quota, cores):
    limit_in_version_1(tmp_path / "groups" / "cpu", quota)
    assert cores_of("4:memory:/", "1:cpu:/") == cores


def test_the_smallest_limit_of_the_enclosing_groups_holds(tmp_path, cores_of):
    groups = tmp_path / "groups"
    limit(groups / "user.slice", "500000 100000\n")
    limit(groups / "user.slice" / "a.scope", "max 100000\n")
    assert cores_of("0::/user.slice/a.scope") == 5
    limit(groups / "user.slice" / "a.scope", "200000 100000\n")
    assert cores_of("0::/user.slice/a.scope") == 2
    assert cores_of("0::/user.slice/b.scope") == 5
    assert cores_of("0::/system.slice") == 8


def test_groups_of_version_1_are_those_of_the_processor(tmp_path, cores_of):
    groups = tmp_path / "groups"
    limit_in_version_1(groups / "cpu,cpuacct" / "job" / "step", 400_000)
    limit_in_version_1(groups / "memory" / "job", 100_000)
    assert cores_of("7:memory:/job", "3:cpu,cpuacct:/job/step") == 4
    limit_in_version_1(groups / "cpu,cpuacct" / "job", 300_000)
    assert cores_of("7:memory:/job", "3:cpu,cpuacct:/job/step") == 3


def test_version_2_beside_version_1(tmp_path, cores_of):
    limit(tmp_path / "groups" / "unified" / "job", "600000 100000\n")
    assert cores_of("1:cpu:/", "0::/job") == 6


def test_without_a_limit_there_are_the_cores_we_may_run_on(tmp_path):
    assert available_cores(tmp_path / "absent", tmp_path / "absent") == OURS


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only on Linux")
def test_a_process_that_is_bound_to_a_core_has_one(tmp_path):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert available_cores(tmp_path / "absent", tmp_path / "absent") == 1
    finally:
        os.sched_setaffinity(0, before)
