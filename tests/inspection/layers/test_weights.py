import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from foolscope.inspection.layers.weights import weight_histograms

QUANTILES = (np.arange(20000) + 0.5) / 20000


def histogram_of(values):
    layer = nn.Linear(len(values), 1, bias=False, dtype=torch.float64)
    layer.weight.data = torch.as_tensor(values, dtype=torch.float64)[None]
    (found,) = weight_histograms(layer)
    return found


@pytest.mark.parametrize(
    ("distribution", "share"), [(stats.norm, 0.0797), (stats.laplace, 0.1319), (stats.uniform(-1, 2), 0.0577)]
)
@pytest.mark.parametrize("scale", [1e-6, 3.0])
def test_the_share_near_zero_tells_the_shape_and_not_the_scale(distribution, share, scale):
    assert histogram_of(scale * distribution.ppf(QUANTILES)).near_zero == pytest.approx(share, abs=5e-4)


def test_a_spike_at_zero_is_seen():
    spiked = np.concatenate([np.zeros(20000), stats.norm.ppf(QUANTILES)])
    assert histogram_of(spiked).near_zero > 0.5


def test_counts_are_numpys():
    values = stats.norm.ppf(QUANTILES)[:900]
    found = histogram_of(values)
    expected, _ = np.histogram(values, bins=31, range=(-found.largest, found.largest))
    assert list(found.counts) == expected.tolist()
    assert found.largest == np.abs(values).max()
    assert found.zone == pytest.approx(0.1 * np.sqrt(np.mean(values**2)))


def test_zeros_and_what_is_not_finite():
    assert histogram_of(np.zeros(5)).near_zero == 1.0
    found = histogram_of(np.array([1.0, -1.0, np.nan, np.inf]))
    assert (sum(found.counts), found.largest) == (2, 1.0)
