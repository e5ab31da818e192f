"""Trees that are read, against trees whose nodes are known."""

import numpy as np
import pytest
import torch
from torch import nn

from foolscope.inspection.tree.prototype_tree import inspect_tree, patch_box
from foolscope.models import MLP, PrototypeTree, build_model
from foolscope.models.prototype_projection import project, prune, tree_parts

CLASSES = ("dark", "gray", "bright")


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (30, 1, 8, 6), generator=generator, dtype=torch.uint8)


@pytest.fixture(scope="module")
def model(images):
    """A projected tree of depth 3 from which leaves 0, 1 and 6 are pruned."""
    settings = PrototypeTree(channels=(3, 4), features=16, depth=3, normalization="none")
    tree = build_model(settings, (1, 8, 6), 3, seed=0).double().eval()
    addon = tree.get_submodule("body.features.7")
    addon.weight.data *= 40  # so that patches differ, and decisions with them
    scores = tree_parts(tree).tree.leaves.scores.data
    scores.copy_(4 * nn.functional.one_hot(torch.arange(8) % 3, 3))
    scores[[0, 1, 6]] = 0
    return prune(project(tree, images, torch.arange(30) % 3), 0.01)


def read(model, images, seed=0, batch_size=7):
    labels = torch.arange(len(images)) % 3
    generator = np.random.default_rng(seed)
    return inspect_tree(model, images.double() / 255, labels, CLASSES, generator, batch_size=batch_size)


def test_nodes_show_the_patches_that_they_were_projected_onto(model, images):
    record, arrays = read(model, images)
    nearest = tree_parts(model).nearest
    # node 1 goes to node 4 and node 6 to leaf 7 without asking
    assert [(each.node, each.yes, each.no) for each in record.nodes] == [
        (0, 2, 4),
        (2, 14, 5),
        (4, 10, 9),
        (5, 12, 11),
    ]
    assert (record.decisions, record.pruned, record.depth, record.projected) == (4, 3, 3, True)
    for each in record.nodes:
        source = int(nearest.source_image[each.node])
        np.testing.assert_allclose(arrays[each.image], images[source].numpy() / 255, atol=1e-6)
        assert each.label == CLASSES[source % 3]
        place = (int(nearest.source_row[each.node]), int(nearest.source_column[each.node]))
        assert (each.box.top, each.box.left) == (2.0 * place[0], 2.0 * place[1])
        assert (each.box.height, each.box.width) == (2.0, 2.0)


def test_shares_of_children_add_up_and_leaves_have_their_distributions(model, images):
    record, _ = read(model, images)
    shares = {each.node: each.share for each in (*record.nodes, *record.leaves)}
    assert shares[0] == pytest.approx(1)
    for each in record.nodes:
        assert shares[each.yes] + shares[each.no] == pytest.approx(each.share)
    assert [each.node for each in record.leaves] == [14, 12, 11, 10, 9]  # from yes to no
    distributions = torch.softmax(tree_parts(model).tree.leaves.scores.detach(), dim=1)
    for each in record.leaves:
        assert each.distribution == pytest.approx(distributions[each.node - 7].tolist())


def test_paths_follow_the_more_likely_child_to_a_leaf(model, images):
    record, arrays = read(model, images)
    inputs = images.double() / 255
    log_prediction = model(inputs)
    predicted = log_prediction.argmax(dim=1)
    parts = tree_parts(model)
    latents = parts.features(inputs)
    similarities = torch.exp(-parts.nearest(latents))
    nodes = {each.node: each for each in record.nodes}
    assert record.right
    assert record.wrong
    answers = set()
    for path in (*record.right, *record.wrong):
        image = int(path.image.rpartition("-")[2])
        assert (path.label, path.predicted) == (CLASSES[image % 3], CLASSES[predicted[image]])
        assert (path in record.right) == (path.label == path.predicted)
        assert path.probability == pytest.approx(log_prediction[image].max().exp().item())
        np.testing.assert_allclose(arrays[path.image], images[image].numpy() / 255, atol=1e-6)
        number, way = 0, 1.0
        answers.update(step.similarity > 0.5 for step in path.steps)
        for step in path.steps:
            assert step.node == number
            similarity = similarities[image, number].item()
            assert step.similarity == pytest.approx(similarity)
            prototype = parts.nearest.prototypes[number]
            differences = (latents[image] - prototype).square().sum(dim=0)
            row, column = divmod(int(differences.argmin()), 3)
            assert (step.box.top, step.box.left) == (2.0 * row, 2.0 * column)
            way *= max(similarity, 1 - similarity)
            number = nodes[number].yes if similarity > 0.5 else nodes[number].no
        assert path.way == pytest.approx(way)
        distribution = torch.softmax(parts.tree.leaves.scores[number - 7], dim=0)
        assert path.leaf == pytest.approx(distribution.tolist())
    assert answers == {True, False}


def test_images_are_drawn_of_different_classes_and_batches_do_not_matter(model, images):
    record, _ = read(model, images)
    other, _ = read(model, images, batch_size=30)
    assert [each.share for each in other.leaves] == pytest.approx([each.share for each in record.leaves])
    assert [path.image for path in other.right] == [path.image for path in record.right]
    wrong = {path.label for path in record.wrong}
    assert len(wrong) > 1
    assert {path.image for path in read(model, images, seed=1)[0].wrong} != {
        path.image for path in record.wrong
    }


def test_what_is_too_deep_to_be_drawn_is_a_mixture_of_leaves(images):
    settings = PrototypeTree(channels=(3,), features=2, depth=7, normalization="none")
    tree = build_model(settings, (1, 8, 6), 3, seed=0).double().eval()
    record, arrays = read(tree, images)
    assert not record.projected
    assert len(record.leaves) == 32
    assert {each.decisions for each in record.leaves} == {3}
    prediction = tree(images.double() / 255).exp().mean(dim=0)
    mixture = sum(each.share * np.array(each.distribution) for each in record.leaves)
    # each subtree's mixture is weighted by how often its leaves are reached, so that the whole is the mean
    np.testing.assert_allclose(mixture, prediction.detach().numpy(), rtol=1e-6)
    drawn = {each.node for each in record.nodes}
    assert {*range(31)} <= drawn
    assert {step.node for path in (*record.right, *record.wrong) for step in path.steps} <= drawn
    assert all(each.image in arrays for each in record.nodes)


def test_other_models_have_no_tree(images):
    mlp = build_model(MLP(normalization="none"), (1, 8, 6), 3, seed=0).double()
    assert read(mlp, images) is None
    assert read(nn.Flatten(), images) is None
    linear = PrototypeTree(head="linear", normalization="none")
    assert read(build_model(linear, (1, 8, 6), 3, seed=0).double(), images) is None


def test_a_box_of_a_larger_prototype_covers_its_patches():
    box = patch_box(2, 1, 3, (7, 7), (28, 28))
    assert (box.top, box.left, box.height, box.width) == (8.0, 4.0, 12.0, 12.0)
