import torch
from scipy.stats import kstest

from foolscope.attacks.runner.randomness import Noise, numbered_uniform


def test_numbers_belong_to_the_image_not_to_the_batch():
    indices, items = torch.tensor([5, 900, 5]), torch.tensor([0, 1, 1])
    together = Noise(3, "pgd").uniform(indices, items, 100)
    for k in range(3):
        assert torch.equal(Noise(3, "pgd").uniform(indices[k : k + 1], items[k : k + 1], 100)[0], together[k])
    others = [
        Noise(4, "pgd").uniform(indices[:1], items[:1], 100),
        Noise(3, "apgd").uniform(indices[:1], items[:1], 100),
        Noise(3, "pgd").uniform(indices[:1], items[:1], 100, draw="next"),
        together[1:2],
        together[2:3],
    ]
    assert all(not torch.equal(other[0], together[0]) for other in others)


def test_numbers_are_uniform():
    numbers = Noise(0, "pgd").uniform(torch.arange(100), torch.zeros(100, dtype=torch.int64), 50)
    assert numbers.dtype == torch.float32
    assert 0 <= numbers.min() < numbers.max() < 1
    assert kstest(numbers.flatten().numpy(), "uniform").pvalue > 0.01


def test_no_images():
    none = torch.zeros(0, dtype=torch.int64)
    assert Noise(0, "pgd").uniform(none, none, 4).shape == (0, 4)
    assert Noise(0, "pgd").gaussian(none, none, 4).shape == (0, 4)
    assert numbered_uniform(Noise(0, "pgd").keys(none, none), none, 4).shape == (0, 4)


def test_gaussian_numbers():
    indices, items = torch.arange(60), torch.zeros(60, dtype=torch.int64)
    numbers = Noise(0, "noise").gaussian(indices, items, 50)
    assert numbers.dtype == torch.float32
    assert kstest(numbers.flatten().numpy(), "norm").pvalue > 0.01
    assert torch.equal(Noise(0, "noise").gaussian(indices[7:8], items[:1], 50)[0], numbers[7])
    assert not torch.equal(Noise(0, "noise").gaussian(indices[7:8], items[:1] + 1, 50)[0], numbers[7])


def test_numbered_numbers_are_those_of_splitmix64():
    """The first outputs for the seed 1234567, from the reference implementation."""
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    expected = torch.tensor([(output >> 40) / 2**24 for output in outputs])
    key = torch.tensor([1234567])
    assert torch.equal(numbered_uniform(key, torch.tensor([0]), 4)[0], expected)
    assert torch.equal(numbered_uniform(key, torch.tensor([1]), 2)[0], expected[2:])


def test_numbered_numbers_are_uniform_and_belong_to_the_row():
    indices, items = torch.arange(100), torch.zeros(100, dtype=torch.int64)
    keys = Noise(0, "square").keys(indices, items)
    assert len(set(keys.tolist()) | set(Noise(0, "square").keys(indices, items + 1).tolist())) == 200
    steps = torch.arange(100) % 7
    numbers = numbered_uniform(keys, steps, 50)
    assert 0 <= numbers.min() < numbers.max() < 1
    assert kstest(numbers.flatten().numpy(), "uniform").pvalue > 0.01
    assert abs(torch.corrcoef(numbers[:, :2].T)[0, 1]) < 0.3
    assert torch.equal(numbered_uniform(keys[9:10], steps[9:10], 50)[0], numbers[9])
