import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from foolscope.inspection.attribution.edges import edge_correlations, edges
from foolscope.inspection.attribution.input_gradients import input_gradients
from foolscope.inspection.attribution.means import mean_over_images

IMAGES = torch.rand(6, 2, 7, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 2, 1, 0])


def test_the_gradient_of_a_softmax_is_the_error_times_the_weights():
    model = nn.Sequential(nn.Flatten(), nn.Linear(70, 3))
    found = input_gradients(model, IMAGES, LABELS, batch_size=4)
    with torch.no_grad():
        errors = model(IMAGES).softmax(dim=1) - nn.functional.one_hot(LABELS, 3)
        expected = (errors @ model[1].weight).view_as(IMAGES)
    torch.testing.assert_close(found, expected)
    assert not IMAGES.requires_grad
    assert all(each.grad is None for each in model.parameters())


def test_a_model_that_is_certain_has_a_gradient_all_the_same():
    model = nn.Sequential(nn.Flatten(), nn.Linear(70, 3))
    model[1].weight.data.zero_()[0] = 1.0
    images = torch.full((1, 2, 7, 5), 0.4)  # e^28 times as likely as the others, beyond float32
    assert float(model(images).detach().softmax(dim=1)[0, 0]) == 1.0
    assert float(input_gradients(model, images, torch.tensor([0]), batch_size=1).abs().min()) > 0


def test_edges_are_scipys():
    gray = IMAGES.mean(dim=1).numpy()
    expected = [
        np.hypot(ndimage.sobel(each, axis=0, mode="nearest"), ndimage.sobel(each, axis=1, mode="nearest"))
        for each in gray
    ]
    np.testing.assert_allclose(edges(IMAGES).numpy(), expected, atol=1e-6)


def test_each_image_is_compared_with_its_own_edges_and_is_the_other_of_exactly_one():
    gradients = torch.randn(IMAGES.shape, generator=torch.Generator().manual_seed(1))
    strengths = gradients.abs().sum(dim=1).flatten(1).numpy()
    outlines = edges(IMAGES).flatten(1).numpy()
    all_pairs = np.corrcoef(strengths, outlines)[:6, 6:]
    found = edge_correlations(IMAGES, gradients, np.random.default_rng(0))
    np.testing.assert_allclose(found.own, np.diag(all_pairs), atol=1e-5)
    partners = np.abs(all_pairs - found.other[:, None]).argmin(axis=1)
    np.testing.assert_allclose(found.other, all_pairs[np.arange(6), partners], atol=1e-5)
    assert sorted(partners) == list(range(6))
    assert (partners != np.arange(6)).all()


@pytest.mark.parametrize("scale", [1e-30, 1.0])
def test_a_gradient_that_is_the_edges_correlates_wholly_at_any_scale(scale):
    gradients = scale * edges(IMAGES)[:, None].double().expand(-1, 2, -1, -1)
    found = edge_correlations(IMAGES, gradients, np.random.default_rng(0))
    np.testing.assert_allclose(found.own, 1.0, atol=1e-6)
    assert (found.other < 0.9).all()


def test_flat_images_and_gradients_have_no_correlation():
    images = IMAGES.clone()
    images[0] = 0.5
    gradients = torch.rand(IMAGES.shape, generator=torch.Generator().manual_seed(2))
    gradients[1] = 0
    found = edge_correlations(images, gradients, np.random.default_rng(0))
    assert np.isnan(found.own).tolist() == [True, True, False, False, False, False]
    assert np.isnan(edge_correlations(IMAGES[:1], gradients[2:3], np.random.default_rng(0)).other).all()


def test_the_interval_of_a_mean_is_students():
    found = mean_over_images(np.array([1.0, 2.0, 3.0, np.nan]))
    assert (found.mean, found.high - found.mean) == (2.0, pytest.approx(4.30265 / 3**0.5, rel=1e-5))
    assert mean_over_images(np.array([5.0])).low is None
    assert mean_over_images(np.array([np.nan])) is None
