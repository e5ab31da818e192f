import os

import pytest

from foolscope.core.memory import available_memory, memory_limit

MB = 2**20


@pytest.fixture
def machine(tmp_path):
    """Files as Linux shows them: 8 GB, of which 6 are free; more by path and text."""

    def write(**files):
        files = {"proc/meminfo": "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 6291456 kB\n", **files}
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        return tmp_path

    return write


def group(path, limit, used, cached=0):
    return {
        f"sys/fs/cgroup/{path}memory.max": f"{limit}\n",
        f"sys/fs/cgroup/{path}memory.current": f"{used}\n",
        f"sys/fs/cgroup/{path}memory.stat": f"anon 1\ninactive_file {cached}\nactive_file 2\n",
    }


def test_a_machine_without_a_limit(machine):
    root = machine(**group("", "max", 0))
    assert (memory_limit(root), available_memory(root)) == (8192 * MB, 6144 * MB)


def test_a_container_has_its_limit_and_its_cache_counts_as_free(machine):
    root = machine(**group("", 1024 * MB, 700 * MB, cached=200 * MB))
    assert (memory_limit(root), available_memory(root)) == (1024 * MB, 524 * MB)


def test_a_limit_above_the_machine_does_not_count_but_what_is_free_is_the_least(machine):
    root = machine(**group("", 16_384 * MB, 16_000 * MB))
    assert (memory_limit(root), available_memory(root)) == (8192 * MB, 384 * MB)


def test_a_group_around_the_own_one_limits_too(machine):
    files = {"proc/self/cgroup": "0::/outer/job\n"}
    files |= group("outer/job/", 2048 * MB, 100 * MB) | group("outer/", 1024 * MB, 1000 * MB)
    root = machine(**files, **group("elsewhere/", 1 * MB, 1 * MB))
    assert (memory_limit(root), available_memory(root)) == (1024 * MB, 24 * MB)


def test_control_groups_of_version_1(machine):
    folder = "sys/fs/cgroup/memory/slurm/"
    root = machine(
        **{
            "proc/self/cgroup": "5:cpu,cpuacct:/other\n4:memory:/slurm\n",
            f"{folder}memory.limit_in_bytes": str(512 * MB),
            f"{folder}memory.usage_in_bytes": str(500 * MB),
            f"{folder}memory.stat": f"cache 9\ntotal_inactive_file {100 * MB}\n",
        }
    )
    assert (memory_limit(root), available_memory(root)) == (512 * MB, 112 * MB)


def test_a_group_over_its_limit_has_nothing_left(machine):
    root = machine(**group("", 10 * MB, 11 * MB))
    assert available_memory(root) == 0


def test_elsewhere_it_is_not_known(tmp_path):
    assert (memory_limit(tmp_path), available_memory(tmp_path)) == (None, None)


def test_this_machine_has_some():
    limit, available = memory_limit(), available_memory()
    assert limit is not None
    assert available is not None
    assert 0 < available <= limit <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
