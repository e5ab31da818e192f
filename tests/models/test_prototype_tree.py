"""The prototype tree against loops over images and nodes, hand-derived gradients and published formulas."""

import math

import numpy as np
import pytest
import torch

from foolscope.core.errors import RecipeError
from foolscope.models import PrototypeTree, build_model
from foolscope.models.prototype_layers import (
    CountedLeaves,
    GradientLeaves,
    NearestPrototypes,
    SoftTree,
    hard_decisions,
    reached,
    soft_decisions,
    squared_distances,
)
from foolscope.models.prototype_projection import deciding, project, prune, pruned_decisions, tree_parts
from foolscope.models.prototype_tree import conclude_prototype_tree, count_leaves
from foolscope.reference import PrototypeSimilarity
from foolscope.reference import SoftTree as DerivedTree

SMALL = {"channels": (3, 4), "features": 3, "normalization": "none"}


def small(**values):
    model = build_model(PrototypeTree(**{**SMALL, "depth": 3, **values}), (2, 6, 8), 4, seed=0)
    return model.double().eval()


def pixels(count, seed=0, shape=(2, 6, 8)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, *shape), generator=generator, dtype=torch.uint8)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tree_with(scores, depth, decide=soft_decisions):
    leaves = GradientLeaves(*scores.shape)
    leaves.scores = torch.nn.Parameter(scores.clone())
    return SoftTree(leaves, depth, decide).double()


def nearest_with(prototypes):
    layer = NearestPrototypes(len(prototypes), prototypes.shape[1], prototypes.shape[2], (1, 4, 4)).double()
    layer.prototypes = torch.nn.Parameter(prototypes.clone())
    return layer


def all_patches(latent, side):
    """The patches of one latent map, row by row."""
    _, height, width = latent.shape
    places = [(row, column) for row in range(height - side + 1) for column in range(width - side + 1)]
    return {place: latent[:, place[0] : place[0] + side, place[1] : place[1] + side] for place in places}


def probability(node, similarities, leaves, greedy=False):
    """The prediction below a node by recursion: children of k are 2k + 1 (left) and 2k + 2 (right)."""
    if node >= len(similarities):
        return torch.softmax(leaves[node - len(similarities)], dim=0)
    right = similarities[node]
    if greedy:
        right = float(right > 0.5)
    left_prediction = probability(2 * node + 1, similarities, leaves, greedy)
    return (1 - right) * left_prediction + right * probability(2 * node + 2, similarities, leaves, greedy)


@pytest.mark.parametrize("patch", [1, 2])
@pytest.mark.parametrize("decisions", ["soft", "greedy"])
def test_the_logits_are_the_log_of_what_loops_over_images_patches_and_nodes_give(patch, decisions):
    model = small(patch=patch, decisions=decisions)
    parts = tree_parts(model)
    with torch.no_grad():
        parts.nearest.prototypes.mul_(1.5).sub_(0.25)  # so that decisions differ
        parts.tree.leaves.scores.mul_(3)
        images = pixels(9).double() / 255
        found = model(images)
        expected = []
        for latent in parts.features(images):
            similarities = [
                torch.exp(-min((each - prototype).norm() for each in all_patches(latent, patch).values()))
                for prototype in parts.nearest.prototypes
            ]
            scores = parts.tree.leaves.scores
            expected.append(probability(0, similarities, scores, decisions == "greedy").log())
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(9, dtype=torch.float64))


def test_squared_distances_are_those_of_every_patch():
    latent, prototypes = normal(2, 3, 4, 5), normal(6, 3, 2, 2, seed=1)
    found = squared_distances(latent, prototypes)
    assert found.shape == (2, 6, 3, 4)
    for image, of_image in zip(latent, found, strict=True):
        for (row, column), patch in all_patches(image, 2).items():
            expected = (patch - prototypes).square().sum(dim=(1, 2, 3))
            torch.testing.assert_close(of_image[:, row, column], expected)


def test_gradients_are_the_hand_derived_ones():
    latent, prototypes = normal(5, 3, 2, 3).requires_grad_(), normal(7, 3, 1, 1, seed=1)
    with torch.no_grad():
        prototypes[2, :, 0, 0] = latent[0, :, 1, 1]  # a distance of zero
    nearest, tree = nearest_with(prototypes), tree_with(normal(8, 4, seed=2), 3)
    labels = torch.tensor([0, 3, 1, 1, 2])
    (-tree(nearest(latent))[range(5), labels]).sum().backward()

    similarity, derived_tree = PrototypeSimilarity(), DerivedTree()
    given = {"prototypes": prototypes[:, :, 0, 0].numpy()}
    leaves = {"leaves": tree.leaves.scores.detach().numpy()}
    similarities, similarity_cache = similarity.forward(given, latent.detach().numpy())
    predictions, tree_cache = derived_tree.forward(leaves, similarities)
    assert similarities[0, 2] == 1
    at_output = np.zeros_like(predictions)
    at_output[range(5), labels] = -1 / predictions[range(5), labels]
    at_similarities, at_leaves = derived_tree.backward(leaves, tree_cache, at_output)
    at_latent, at_prototypes = similarity.backward(given, similarity_cache, at_similarities)

    np.testing.assert_allclose(latent.grad, at_latent, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(
        nearest.prototypes.grad[:, :, 0, 0], at_prototypes["prototypes"], rtol=1e-10, atol=1e-13
    )
    np.testing.assert_allclose(tree.leaves.scores.grad, at_leaves["leaves"], rtol=1e-10, atol=1e-13)
    assert not at_latent[0, :, 1, 1].any()  # the patch is nearest to that prototype only
    assert at_prototypes["prototypes"].any(axis=1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_every_distance_is_zero_values_and_gradients_are_finite(dtype):
    latent = torch.full((2, 3, 2, 2), 0.3, dtype=dtype, requires_grad=True)
    nearest = nearest_with(torch.full((3, 3, 1, 1), 0.3)).to(dtype)
    tree = tree_with(normal(4, 3), 2).to(dtype)
    nearest.prototypes.data.copy_(latent[:1, :, :1, :1].detach().expand(3, 3, 1, 1))
    log_prediction = tree(nearest(latent))
    torch.testing.assert_close(log_prediction[0], torch.log_softmax(tree.leaves.scores[3], dim=0))
    log_prediction.sum().backward()
    assert not latent.grad.any()
    assert not nearest.prototypes.grad.any()
    assert tree.leaves.scores.grad.isfinite().all()


@pytest.mark.parametrize("distance", [1e-30, 1e-8, 0.5, math.log(2.0), 0.7, 30.0, 800.0])
def test_log_decisions_are_exact_near_either_end(distance):
    left, right = soft_decisions(torch.tensor([[distance]], dtype=torch.float64))
    expected = math.log(-math.expm1(-distance)) if distance < 1 else math.log1p(-math.exp(-distance))
    assert left.item() == pytest.approx(expected, rel=1e-14, abs=1e-320)
    assert right.item() == -distance


def test_deep_trees_do_not_underflow():
    """Only the last leaf knows class 1, ten unlikely decisions away: e^−600 is zero in float64, too."""
    scores = torch.tensor([[2000.0, 0.0]]).repeat(2**10, 1)
    scores[-1] = torch.tensor([0.0, 2000.0])
    tree = tree_with(scores, 10).float()
    distances = torch.full((1, 2**10 - 1), 60.0, requires_grad=True)
    log_prediction = tree(distances)
    torch.testing.assert_close(log_prediction, torch.tensor([[0.0, -600.0]]))
    gradient = torch.autograd.grad(log_prediction[0, 1], distances)[0]
    assert gradient.sum() == -10  # those on the way


def test_hard_decisions_follow_the_more_likely_child():
    distances = normal(50, 15).abs()
    scores = normal(16, 3, seed=1)
    found = tree_with(scores, 4, hard_decisions).eval()(distances)
    right = torch.exp(-distances) > 0.5
    for image, prediction in zip(right.tolist(), found, strict=True):
        node = 0
        while node < 15:
            node = 2 * node + (2 if image[node] else 1)
        torch.testing.assert_close(prediction, torch.log_softmax(scores[node - 15], dim=0))
    assert len({tuple(row) for row in found.tolist()}) > 5


def test_training_is_soft_whatever_evaluation_does():
    distances, scores = normal(5, 7).abs(), normal(8, 3, seed=1)
    greedy, soft = tree_with(scores, 3, hard_decisions), tree_with(scores, 3)
    assert torch.equal(greedy.train()(distances), soft(distances))
    assert not torch.allclose(greedy.eval()(distances), soft(distances))


# Projection


@pytest.mark.parametrize("patch", [1, 2])
def test_projected_prototypes_are_the_nearest_of_all_training_patches(patch, monkeypatch):
    monkeypatch.setattr("foolscope.models.prototype_projection._BATCH_NUMBERS", 7 * 48 * 5)  # 5 images
    model, images, labels = small(patch=patch), pixels(12), torch.arange(12) % 4
    images[5:10] = images[:5]  # of patches equally near the first counts, also in another batch
    before = {name: value.clone() for name, value in model.state_dict().items()}
    projected = project(model, images, labels)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    parts, old = tree_parts(projected), tree_parts(model)
    with torch.no_grad():
        latents = parts.features(images.double() / 255)
    patches = {
        (image, *place): each
        for image, latent in enumerate(latents)
        for place, each in all_patches(latent, patch).items()
    }
    layer = parts.nearest
    assert layer.latent_size.tolist() == list(latents.shape[2:])
    for node, prototype in enumerate(old.nearest.prototypes):
        distances = {key: round((each - prototype).norm().item(), 9) for key, each in patches.items()}
        nearest = min(distances, key=distances.get)
        torch.testing.assert_close(layer.prototypes[node], patches[nearest], rtol=1e-12, atol=1e-12)
        found = (layer.source_image[node], layer.source_row[node], layer.source_column[node])
        assert tuple(map(int, found)) == nearest
        assert torch.equal(layer.source_pixels[node], images[nearest[0]])
        assert layer.source_label[node] == labels[nearest[0]]
    assert len(set(layer.source_image.tolist())) > 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_image_of_a_projected_prototype_contains_it(dtype):
    model = small().to(dtype)
    images = pixels(12)
    parts = tree_parts(project(model, images, torch.zeros(12, dtype=torch.int64)))
    nearest = parts.nearest
    inputs = (nearest.source_pixels.to(dtype) / 255).requires_grad_()
    distances = nearest(parts.features(inputs)).diagonal()
    assert distances.max() < (1e-6 if dtype == torch.float32 else 1e-14)
    gradient = torch.autograd.grad(parts.tree(nearest(parts.features(inputs)))[:, 0].sum(), inputs)[0]
    assert gradient.isfinite().all()


# Pruning


def test_a_pruned_subtree_makes_room_for_its_sibling():
    """Leaves 0 to 3 and 5 are gone: the root goes right, node 5 goes left, node 6 decides."""
    kept = torch.tensor([False, False, False, False, True, False, True, True])
    assert pruned_decisions(kept).tolist() == [1, 0, 0, 0, 0, -1, 0]
    assert not pruned_decisions(torch.zeros(8, dtype=torch.bool)).any()
    assert not pruned_decisions(torch.ones(8, dtype=torch.bool)).any()


def test_pruning_keeps_the_distributions_of_what_is_left():
    """The pruned tree is that of the recursion in which a sibling takes the place of its parent."""
    model = small()
    scores = tree_parts(model).tree.leaves.scores.data
    scores[[0, 1, 6]] = 0.004 * scores[[0, 1, 6]]  # nearly uniform
    scores[4:6] = 0.02 * scores[4:6]
    margin = 0.01
    near = torch.softmax(scores, dim=1).amax(dim=1) <= 0.25 + margin
    assert near.tolist() == [True, True, False, False, True, True, True, False]
    pruned = prune(model, margin)
    assert not tree_parts(model).tree.forced.any()
    parts = tree_parts(pruned)
    with torch.no_grad():
        images = pixels(6).double() / 255
        similarities = torch.exp(-parts.nearest(parts.features(images)))
        for image, prediction in zip(similarities, pruned(images), strict=True):
            # left: node 4 over leaves 2, 3; right: leaf 7 alone
            left = probability(4, image, scores)
            right = torch.softmax(scores[7], dim=0)
            torch.testing.assert_close(prediction, ((1 - image[0]) * left + image[0] * right).log())


def test_the_conclusion_says_what_each_step_changes():
    images, labels = pixels(10), torch.arange(10) % 4
    settings = PrototypeTree(**SMALL, depth=3, pruning=0.1, decisions="greedy")
    model = build_model(settings, (2, 6, 8), 4, seed=0).double().eval()
    tree_parts(model).tree.leaves.scores.data[::3] *= 0.01
    conclusion = conclude_prototype_tree(settings, model, images, labels)
    inputs = images.double() / 255
    with torch.no_grad():
        soft, projected, pruned, greedy = (each(inputs) for each in conclusion.variants.values())
        assert list(conclusion.variants) == ["soft", "projected", "pruned", "greedy"]
        torch.testing.assert_close(soft, deciding(model, soft_decisions)(inputs))
        assert torch.equal(conclusion.model(inputs), greedy)
        different = [(one - other).abs().max() for one, other in [(soft, projected), (projected, pruned)]]
        assert min(different) > 1e-6
        assert len(greedy.unique(dim=0)) <= 8
    plain = PrototypeTree(**SMALL, depth=3, projection=False, pruning=None)
    conclusion = conclude_prototype_tree(plain, model, images, labels)
    assert list(conclusion.variants) == ["soft", "greedy"]
    assert conclusion.model is model


# Leaves without gradients


def test_counted_leaves_follow_the_published_update():
    """Equation 7 and lines 9 and 10 of algorithm 1, in loops over leaves and images, for two epochs."""
    model = build_model(PrototypeTree(**SMALL, depth=2, leaves="derivative-free"), (2, 6, 8), 3, seed=0)
    model.double().train()
    parts = tree_parts(model)
    assert isinstance(parts.tree.leaves, CountedLeaves)
    assert "body.tree.leaves.scores" not in dict(model.named_parameters())
    state = {
        f"body.tree.leaves.{name}": getattr(parts.tree.leaves, name) for name in ("scores", "scores_before")
    }
    generator = np.random.default_rng(0)
    expected = np.zeros((4, 3))
    for step in range(6):
        images, labels = pixels(5, seed=step).double() / 255, torch.from_numpy(generator.integers(3, size=5))
        model(images)
        with torch.no_grad():
            levels = reached(*soft_decisions(parts.nearest(parts.features(images))), parts.tree.forced)
        # batch normalization in training: the same minibatch gives the same latent map
        ways = levels[-1].exp().numpy()
        if step % 3 == 0:
            start = expected.copy()
        softmax = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
        update = np.zeros_like(expected)
        for way, label in zip(ways, labels, strict=True):
            target = np.eye(3)[label]
            prediction = sum(way[leaf] * softmax[leaf] for leaf in range(4))
            for leaf in range(4):
                update[leaf] += softmax[leaf] * target * way[leaf] / prediction
        expected = expected - start / 3 + update
        count_leaves(model, state, labels, step, 3)
        np.testing.assert_allclose(parts.tree.leaves.scores, expected, rtol=1e-10)
    assert expected.sum() == pytest.approx(15)  # each image of the last epoch counts once


def test_leaves_learned_by_gradient_are_not_counted():
    model = small()
    before = tree_parts(model).tree.leaves.scores.clone()
    count_leaves(model, {}, torch.zeros(2, dtype=torch.int64), 0, 1)
    assert torch.equal(tree_parts(model).tree.leaves.scores, before)


# Settings


def test_the_linear_head_has_the_same_stages_and_nothing_of_the_tree():
    tree, linear, labels = small(), small(head="linear"), torch.arange(2)
    assert tree_parts(linear) is None
    stages = [name for name in linear.state_dict() if name.startswith("body.") and name < "body.7"]
    for name in stages:
        value = linear.state_dict()[name]
        assert value.shape == tree.state_dict()[name.replace("body.", "body.features.", 1)].shape
    assert conclude_prototype_tree(PrototypeTree(head="linear"), linear, pixels(2), labels).model is linear


@pytest.mark.parametrize(("shape", "settings"), [((1, 3, 9), {}), ((1, 9, 7), {"patch": 2})])
def test_images_without_room_for_a_patch_are_refused(shape, settings):
    with pytest.raises(RecipeError, match=r"needs images of at least \d×\d pixels; got \d×\d"):
        build_model(PrototypeTree(**settings, normalization="none"), shape, 3, seed=0)
