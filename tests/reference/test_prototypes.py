import numpy as np
import pytest
import torch
from layer_examples import EXAMPLES

from foolscope.reference import Network, PrototypeSimilarity, SoftTree, relative_error


def test_only_the_nearest_patch_and_the_prototype_get_a_gradient():
    latent = np.array([[[0.0, 3.0, -7.0], [0.0, 4.0, 0.0]]])[:, :, None]  # patches (0, 0), (3, 4), (−7, 0)
    parameters = {"prototypes": np.array([[3.0, 5.0]])}
    similarities, cache = PrototypeSimilarity().forward(parameters, latent)
    assert similarities[0, 0] == pytest.approx(np.exp(-1.0))
    by_latent, by_parameters = PrototypeSimilarity().backward(parameters, cache, np.ones((1, 1)))
    pull = np.exp(-1.0)
    np.testing.assert_allclose(by_latent[0, :, 0], [[0, 0, 0], [0, pull, 0]])
    np.testing.assert_allclose(by_parameters["prototypes"], [[0, -pull]])


def test_a_prototype_on_its_patch_is_similar_and_stays():
    parameters = {"prototypes": np.array([[1.0, 2.0]])}
    similarities, cache = PrototypeSimilarity().forward(parameters, np.array([[[1.0], [2.0]]]))
    by_latent, by_parameters = PrototypeSimilarity().backward(parameters, cache, np.ones((1, 1)))
    assert similarities == 1
    assert not by_latent.any()
    assert not by_parameters["prototypes"].any()


@pytest.mark.parametrize(("leaves", "nodes"), [(3, 2), (4, 2), (8, 8)])
def test_a_tree_that_is_not_complete_is_refused(leaves, nodes):
    with pytest.raises(ValueError, match=rf"got {leaves} leaves and {nodes} nodes"):
        SoftTree().forward({"leaves": np.zeros((leaves, 2))}, np.zeros((1, nodes)))


def test_predictions_are_probabilities():
    generator = np.random.default_rng(0)
    leaves = {"leaves": generator.normal(size=(16, 5))}
    prediction, _ = SoftTree().forward(leaves, generator.random((7, 15)))
    assert prediction.min() > 0
    np.testing.assert_allclose(prediction.sum(axis=1), 1.0, rtol=1e-14)


def test_the_whole_classifier_by_automatic_differentiation():
    """C1: the gradient of a log-likelihood by prototypes, leaves and latent patches."""
    similarity, tree = (EXAMPLES[name][0].in_torch for name in ("prototype-similarity", "soft-tree"))
    generator = np.random.default_rng(0)
    parameters = {
        "nodes.prototypes": generator.normal(size=(7, 4)),
        "tree.leaves": generator.normal(size=(8, 3)),
    }
    latent, labels = generator.normal(size=(5, 4, 3, 2)), np.array([0, 2, 1, 1, 0])
    network = Network((("nodes", PrototypeSimilarity()), ("tree", SoftTree())))
    prediction, cache = network.forward(parameters, latent)
    gradient = np.zeros_like(prediction)
    gradient[np.arange(5), labels] = -1 / prediction[np.arange(5), labels] / 5
    by_latent, by_parameters = network.backward(parameters, cache, gradient)

    leaves = {name: torch.from_numpy(value).requires_grad_() for name, value in parameters.items()}
    leaves["latent"] = torch.from_numpy(latent).requires_grad_()
    predicted = tree(
        {"leaves": leaves["tree.leaves"]},
        similarity({"prototypes": leaves["nodes.prototypes"]}, leaves["latent"]),
    )
    loss = -predicted[range(5), labels].log().mean()
    expected = dict(zip(leaves, torch.autograd.grad(loss, leaves.values()), strict=True))
    for name, own in (by_parameters | {"latent": by_latent}).items():
        assert relative_error(own, expected[name].numpy()) <= 1e-12, name
