"""What is true of every attribution method, over the table, so that a new one cannot be forgotten."""

import numpy as np
import pytest
import torch
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.inspection.attribution import ATTRIBUTIONS, attribute

COUNT = 9
LIGHT = {"smoothgrad": {"samples": 3}, "integrated-gradients": {"steps": 4, "most_steps": 16}}


@pytest.fixture(params=ATTRIBUTIONS)
def method(request):
    return ATTRIBUTIONS[request.param].model_validate({"name": request.param, **LIGHT.get(request.param, {})})


def maps(model, images, method, batch_size=100, numbers=None, targets=None):
    targets = torch.arange(len(images)) % 2 if targets is None else targets
    return attribute(model, images, targets, method, seed=0, batch_size=batch_size, numbers=numbers).values


def test_its_name_is_that_of_the_table_and_its_reading_a_sentence():
    for name, method in ATTRIBUTIONS.items():
        assert method(name=name).name == name
        assert method(name=name).reading().lower().startswith(method.title.lower())
        assert method(name=name).reading().endswith(".")


def test_maps_have_the_size_of_the_images_and_are_finite_and_not_flat(method, make_network, make_images):
    found = maps(make_network(), make_images(COUNT), method)
    assert found.shape == (COUNT, 1, 9, 7)
    assert found.isfinite().all()
    assert (found.flatten(1).std(dim=1) > 0).all()
    with_colors = maps(make_network(3, 7, 10, 4), make_images(2, 3, 7, 10), method)
    assert with_colors.shape in ((2, 3, 7, 10), (2, 1, 7, 10))


def test_nothing_is_changed(method, make_network, make_images):
    model, images = make_network(), make_images(COUNT)
    model[0].bias.requires_grad_(False)
    before, weights = images.clone(), {name: each.clone() for name, each in model.state_dict().items()}
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    maps(model, images, method)
    assert torch.equal(images, before)
    assert not images.requires_grad
    assert all(torch.equal(each, weights[name]) for name, each in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert [each.requires_grad for each in model.parameters()] == [True, False] + [True] * 6
    assert all(each.grad is None for each in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_an_image_does_not_depend_on_its_neighbors_or_the_batch_size(method, make_network, make_images):
    model, images = make_network(), make_images(COUNT)
    whole = maps(model, images, method)
    for batch_size in (1, 7):
        torch.testing.assert_close(maps(model, images, method, batch_size), whole)
    some = [5, 2]
    targets = torch.tensor(some) % 2
    alone = maps(model, images[some], method, numbers=np.array(some), targets=targets)
    torch.testing.assert_close(alone, whole[some])


def test_the_same_seed_gives_the_same_maps_and_the_target_matters(method, make_network, make_images):
    model, images = make_network(), make_images(COUNT)
    found = maps(model, images, method)
    assert not maps(model, images.clone().requires_grad_(), method).requires_grad
    assert torch.equal(maps(model, images, method), found)
    assert not torch.allclose(maps(model, images, method, targets=1 - torch.arange(COUNT) % 2), found)


def test_a_model_that_overwrites_its_input_gives_the_same_maps(method, make_network, make_images):
    class Overwriting(nn.Module):
        def __init__(self, body):
            super().__init__()
            self.body = body

        def forward(self, images):
            return self.body(images.mul_(2).sub_(0.5))

    class Plain(Overwriting):
        def forward(self, images):
            return self.body(images * 2 - 0.5)

    images, body = make_images(COUNT), make_network()
    before = images.clone()
    expected = maps(Plain(body), images, method)
    torch.testing.assert_close(maps(Overwriting(body), images, method), expected)
    assert torch.equal(images, before)


def test_a_model_that_detaches_its_input_has_maps_of_zeros(method, make_images):
    class Detaching(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps = nn.Conv2d(1, 2, 1, dtype=torch.float64)

        def forward(self, images):
            means = self.maps(images).detach().mean(dim=(2, 3))
            return means * 0 + torch.tensor([1.0, 2.0], dtype=torch.float64)

    found = maps(Detaching(), make_images(3), method)
    assert (found == 0).all()


@pytest.mark.parametrize("method", [name for name in ATTRIBUTIONS if name != "grad-cam"], indirect=True)
def test_a_linear_model_has_a_closed_form(method, make_images):
    linear = nn.Linear(2 * 5 * 6, 3, dtype=torch.float64)
    model, images = nn.Sequential(nn.Flatten(), linear), make_images(4, 2, 5, 6)
    targets = torch.tensor([0, 1, 2, 1])
    weights = linear.weight.detach()[targets].view(4, 2, 5, 6)
    if method.name == "occlusion":
        method = method.model_copy(update={"patch": 2, "stride": 2, "fill": 0.25})
        parts = (weights * (images - 0.25)).sum(dim=1)
        falls = nn.functional.avg_pool2d(nn.functional.pad(parts, (0, 0, 0, 1)), 2) * 4
        expected = falls.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)[:, None, :5]
    elif method.name == "integrated-gradients":
        method = method.model_copy(update={"baseline": 0.3})
        expected = (images - 0.3) * weights
    else:
        expected = weights
    torch.testing.assert_close(maps(model, images, method, targets=targets), expected)


def test_no_convolution_is_one_line_for_grad_cam_alone(method, make_images):
    model = nn.Sequential(nn.Flatten(), nn.Linear(63, 2, dtype=torch.float64))
    if method.name != "grad-cam":
        maps(model, make_images(1), method)
        return
    with pytest.raises(RecipeError, match="needs a convolution, and the model shows none"):
        maps(model, make_images(1), method)
