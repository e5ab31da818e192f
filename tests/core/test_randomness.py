import subprocess
import sys

import numpy as np
import torch

from foolscope.core.randomness import derive_seed, numpy_generator, torch_generator


def test_seeds_are_the_same_in_another_process_with_another_hash_seed():
    paths = [(0,), (3, "batches", 7), (12, "initialization", "body.1.weight")]
    code = f"from foolscope.core.randomness import derive_seed; print([derive_seed(*p) for p in {paths}])"
    for hash_seed in "12":
        environment = {"PYTHONHASHSEED": hash_seed, "PATH": ""}
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
        )
        assert run.stdout.strip() == str([derive_seed(*path) for path in paths])


def test_the_first_seed_is_what_sha256_says():
    """``printf 0 | sha256sum`` begins with 5feceb66ffc86f38; half of it is the seed."""
    assert derive_seed(0) == 0x5FECEB66FFC86F38 >> 1


def test_no_two_paths_share_a_seed():
    names = ["batches", "dropout", "initialization", "1", "10", ""]
    paths = [(seed, *path) for seed in range(12) for path in [(), *((name,) for name in names)]]
    paths += [(seed, name, number) for seed in range(12) for name in names for number in range(12)]
    seeds = {derive_seed(*path) for path in paths}
    assert len(seeds) == len(paths)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_bits_of_neighboring_seeds_are_independent():
    """Half of the 63 bits flip between one seed and the next, within five standard errors."""
    flips = [(derive_seed(seed, "x") ^ derive_seed(seed + 1, "x")).bit_count() for seed in range(2000)]
    standard_error = (63 / 4 / len(flips)) ** 0.5
    assert abs(np.mean(flips) - 31.5) < 5 * standard_error


def test_streams_of_two_names_are_uncorrelated():
    first = torch.randn(20_000, generator=torch_generator(0, "batches"))
    second = torch.randn(20_000, generator=torch_generator(0, "dropout"))
    assert abs(float((first * second).mean())) < 5 / 20_000**0.5


def test_equal_paths_give_equal_streams_and_others_do_not():
    for make, draw in (
        (torch_generator, lambda generator: torch.rand(3, generator=generator).tolist()),
        (numpy_generator, lambda generator: generator.random(3).tolist()),
    ):
        assert draw(make(1, "a", 2)) == draw(make(1, "a", 2))
        assert draw(make(1, "a", 2)) != draw(make(1, "a", 3))
        assert draw(make(1, "a", 2)) != draw(make(2, "a", 2))


def test_the_global_generators_are_neither_read_nor_written():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = (
        torch.rand(3, generator=torch_generator(0, "a")).tolist(),
        numpy_generator(0, "a").random(3).tolist(),
    )
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    second = (
        torch.rand(3, generator=torch_generator(0, "a")).tolist(),
        numpy_generator(0, "a").random(3).tolist(),
    )
    assert first == second
