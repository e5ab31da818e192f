import torch
from scipy.stats import kstest

from foolscope.attacks.randomness import Noise


def test_numbers_belong_to_the_image_not_to_the_batch():
    indices, items = torch.tensor([5, 900, 5]), torch.tensor([0, 1, 1])
    together = Noise(3, "pgd").uniform(indices, items, 100)
    for k in range(3):
        assert torch.equal(Noise(3, "pgd").uniform(indices[k : k + 1], items[k : k + 1], 100)[0], together[k])
    others = [
        Noise(4, "pgd").uniform(indices[:1], items[:1], 100),
        Noise(3, "apgd").uniform(indices[:1], items[:1], 100),
        Noise(3, "pgd").uniform(indices[:1], items[:1], 100, draw=1),
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
