import numpy as np
import pytest

from foolscope.inspection.attribution.edge_tracing import mean_over_images


def test_the_interval_of_a_mean_is_students():
    found = mean_over_images(np.array([1.0, 2.0, 3.0, np.nan]))
    assert (found.mean, found.high - found.mean) == (2.0, pytest.approx(4.30265 / 3**0.5, rel=1e-5))
    assert mean_over_images(np.array([5.0])).low is None
    assert mean_over_images(np.array([np.nan])) is None
