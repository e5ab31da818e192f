import math

import pytest
import torch
from torch import Tensor, nn

from foolscope.inspection.layers.compression import compressed, parameter_count
from foolscope.inspection.layers.spectrum import effective_rank, spectra


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(8 * 4 * 3, 5)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(images))
        return logits


def net() -> Net:
    model = Net().double().eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


IMAGES = torch.rand(4, 3, 7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_the_sum_of_squares_is_the_weights_own() -> None:
    model = net()
    by_name = {each.layer: each for each in spectra(model)}
    assert (by_name["body.0"].rows, by_name["body.0"].columns) == (8, 27)
    assert len(by_name["head"].singular_values) == 5
    for name, weights in (("body.0", model.body[0].weight), ("head", model.head.weight)):
        values = torch.tensor(by_name[name].singular_values, dtype=torch.float64)
        assert float(values.square().sum()) == pytest.approx(float(weights.detach().square().sum()))
        assert list(values) == sorted(values, reverse=True)


def test_ranks_of_matrices_whose_spectrum_is_known() -> None:
    assert effective_rank(torch.tensor([2.0, 2.0, 2.0, 0.0])) == pytest.approx(3)
    assert effective_rank(torch.tensor([5.0])) == pytest.approx(1)
    assert effective_rank(torch.zeros(3)) == 0
    shares = [0.75, 0.25]
    assert effective_rank(torch.tensor([3.0, 1.0])) == pytest.approx(
        math.exp(-sum(share * math.log(share) for share in shares)), rel=1e-6
    )
    model = nn.Linear(3, 3, bias=False)
    model.weight.data = torch.diag(torch.tensor([10.0, 1.0, 0.1]))
    assert spectra(nn.Sequential(model))[0].energy_rank == 1


def test_at_full_rank_nothing_changes() -> None:
    model = net()
    assert torch.equal(compressed(model, 1.0)(IMAGES), model(IMAGES))


@pytest.mark.parametrize("fraction", [0.2, 0.4, 0.8])
def test_each_layer_is_the_nearest_of_its_rank(fraction: float) -> None:
    model = net()
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    small = compressed(model, fraction)
    expected = net()
    for layer in (expected.body[0], expected.head):
        matrix = layer.weight.detach().flatten(1)
        rank = max(1, round(fraction * min(matrix.shape)))
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        nearest = (left[:, :rank] * values[:rank]) @ right[:rank]
        assert float((matrix - nearest).norm()) == pytest.approx(
            float(values[rank:].norm())
        )  # Eckart and Young
        layer.weight.data = nearest.view_as(layer.weight)
    torch.testing.assert_close(small(IMAGES), expected(IMAGES), rtol=1e-10, atol=1e-10)
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def test_factors_are_used_only_where_they_are_smaller() -> None:
    model = net()
    counts = [parameter_count(compressed(model, fraction)) for fraction in (0.2, 0.4, 0.95, 1.0)]
    assert counts == sorted(counts)
    assert counts[-2] == counts[-1] == parameter_count(model)
    rank = round(0.2 * 8)
    assert parameter_count(compressed(model, 0.2)) == rank * (8 + 27) + 8 + 1 * (5 + 96) + 5


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.5])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        compressed(net(), fraction)
