import numpy as np
import pytest

from foolscope.statistics.classification import COUNTED, confusion_matrix
from foolscope.statistics.thresholds import best_offset


@pytest.mark.parametrize("score", COUNTED)
@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better(score, seed):
    """By brute force over all thresholds between values, also where values coincide."""
    generator = np.random.default_rng(seed)
    labels = (generator.random(40) < 0.15).astype(np.int64)
    labels[0] = 1
    margins = np.round(generator.normal(-2, 1, 40) + labels, 1)

    def reached(offset):
        return COUNTED[score](confusion_matrix(labels, (margins + offset > 0).astype(np.int64), 2))

    best = max(reached(-threshold) for threshold in np.arange(-6.05, 4.0, 0.1))
    assert reached(best_offset(margins, labels, COUNTED[score])) == pytest.approx(best)


def test_the_threshold_stays_where_it_is_if_no_other_is_better():
    margins, labels = np.array([-2.0, -1.0, 3.0]), np.array([0, 0, 1])
    assert best_offset(margins, labels, COUNTED["accuracy"]) == 0.0
    assert best_offset(np.array([-2.0, -1.0, 0.0]), labels, COUNTED["accuracy"]) == 0.5
