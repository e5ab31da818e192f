"""Mixup and cutmix: images and labels are mixed with the same weights."""

import numpy as np
import pytest
import torch
from eight_bit import draws_for
from scipy import stats

from foolscope.augmentation import AUGMENTATIONS


def mixed(name, images, seed=0, **settings):
    entry = AUGMENTATIONS[name]
    return entry.mix(entry.settings(**settings), images, draws_for(len(images), seed))


def images_of(count, height=8, width=10):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(3))


def test_mixup_averages_with_the_weights_of_the_labels():
    images = images_of(12)
    result, mixing = mixed("mixup", images)
    weights = mixing.weights.view(-1, 1, 1, 1)
    torch.testing.assert_close(result, weights * images + (1 - weights) * images[mixing.partners])
    assert sorted(mixing.partners.tolist()) == list(range(12))


def test_cutmix_pastes_a_rectangle_whose_area_is_the_partners_weight():
    images = images_of(40)
    result, mixing = mixed("cutmix", images)
    partners = images[mixing.partners]
    own, pasted = (result == images).all(1), (result == partners).all(1)
    assert (own | pasted).all()
    for row in range(40):
        if mixing.partners[row] == row:
            continue
        rows, columns = pasted[row].any(1), pasted[row].any(0)
        assert pasted[row].sum() == rows.sum() * columns.sum()
        torch.testing.assert_close(mixing.weights[row], 1 - pasted[row].float().mean())


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_the_weights_of_mixup_follow_the_beta_distribution(alpha):
    _, mixing = mixed("mixup", torch.zeros(2000, 1, 1, 1), alpha=alpha)
    assert stats.kstest(mixing.weights.double().numpy(), stats.beta(alpha, alpha).cdf).pvalue > 0.001


def test_rectangles_of_cutmix_follow_the_beta_distribution_where_the_border_cuts_nothing_off():
    """A rectangle that touches no border has the drawn area, but for whole pixels."""
    images = torch.rand(1500, 1, 60, 60, generator=torch.Generator().manual_seed(1))
    _, mixing = mixed("cutmix", images, alpha=1.0)
    weights = mixing.weights.numpy()
    assert weights.min() >= 0
    assert weights.max() <= 1
    assert 0.6 < np.mean(weights) < 0.72  # the border cuts off a part: on average 0.16 of the area


def test_images_that_are_not_mixed_keep_themselves_and_their_labels():
    images = images_of(400, 2, 2)
    result, mixing = mixed("mixup", images, probability=0.3)
    unmixed = mixing.weights == 1
    assert abs(unmixed.float().mean() - 0.7) < 0.08
    assert torch.equal(result[unmixed], images[unmixed])
