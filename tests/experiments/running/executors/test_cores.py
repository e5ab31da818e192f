import os

import pytest

from foolscope.experiments.running.executors.cores import available_cores

OURS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("max 100000\n", OURS),
        ("100000 100000\n", 1),
        ("150000 100000\n", 1),
        ("50000 100000\n", 1),
        ("100000000 100000\n", OURS),
        ("", OURS),
        ("200000 100000\n", min(2, OURS)),
    ],
)
def test_a_container_may_have_fewer_cores_than_the_machine(tmp_path, limit, cores):
    (tmp_path / "cpu.max").write_text(limit, encoding="ascii")
    assert available_cores(tmp_path / "cpu.max") == cores


def test_without_a_limit_there_are_the_cores_we_may_run_on(tmp_path):
    assert available_cores(tmp_path / "absent") == OURS


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only on Linux")
def test_a_process_that_is_bound_to_a_core_has_one(tmp_path):
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert available_cores(tmp_path / "absent") == 1
    finally:
        os.sched_setaffinity(0, before)
