"""What is particular to a method: completeness, layers, patches; and Captum's maps of the same model."""

import captum.attr
import pytest
import torch
from torch import nn

from foolscope.core.errors import RecipeError
from foolscope.inspection.attribution import (
    GradCAM,
    Gradient,
    IntegratedGradients,
    Occlusion,
    SmoothGrad,
    attribute,
)
from foolscope.inspection.attribution.method import Draws

TARGETS = torch.tensor([0, 1, 2, 1])


@pytest.fixture
def model(make_network):
    return make_network(3, 8, 10, 3).eval()


@pytest.fixture
def images(make_images):
    return make_images(4, 3, 8, 10)


def maps(model, images, method, targets=TARGETS):
    return attribute(model, images, targets, method, seed=5, batch_size=50)


def test_gradients_are_captums(model, images):
    expected = captum.attr.Saliency(model).attribute(images.requires_grad_(), target=TARGETS, abs=False)
    torch.testing.assert_close(maps(model, images, Gradient()).values, expected)


def test_smoothgrad_is_captums_mean_over_our_noise(model, images):
    draws = Draws(5, torch.arange(4).numpy())
    spread = 0.2 * (images.amax((1, 2, 3)) - images.amin((1, 2, 3)))[:, None, None, None]
    saliency = captum.attr.Saliency(model)
    noisy = [images + spread * draws.gaussian(images, draw) for draw in range(6)]
    expected = torch.stack(
        [saliency.attribute(each.requires_grad_(), target=TARGETS, abs=False) for each in noisy]
    ).mean(0)
    torch.testing.assert_close(maps(model, images, SmoothGrad(samples=6, noise=0.2)).values, expected)
    tunnel = captum.attr.NoiseTunnel(saliency)
    without = tunnel.attribute(
        images.requires_grad_(), nt_samples=2, nt_type="smoothgrad", stdevs=0.0, target=TARGETS, abs=False
    )
    torch.testing.assert_close(maps(model, images, SmoothGrad(samples=2, noise=0)).values, without)


def test_noise_is_standard_normal_and_differs_by_image_draw_and_seed():
    images = torch.zeros(2, 3, 50, 60)
    draws = Draws(0, torch.tensor([3, 8]).numpy())
    first, second = draws.gaussian(images, 0), draws.gaussian(images, 1)
    assert abs(float(first.mean())) < 0.03
    assert abs(float(first.std()) - 1) < 0.03
    everything = [*first, *second, *Draws(1, draws.numbers).gaussian(images, 0)]
    correlations = torch.corrcoef(torch.stack(everything).flatten(1)) - torch.eye(6)
    assert float(correlations.abs().max()) < 0.06


def test_integrated_gradients_are_captums(model, images):
    captums = captum.attr.IntegratedGradients(model)
    expected = captums.attribute(images, baselines=0.5, target=TARGETS, n_steps=7, method="riemann_middle")
    method = IntegratedGradients(steps=7, most_steps=7, baseline=0.5)
    torch.testing.assert_close(maps(model, images, method).values, expected)


def test_grad_cam_is_captums(model, images):
    for layer, chosen in ((None, model[3]), ("2", model[2])):
        coarse = captum.attr.LayerGradCam(model, chosen).attribute(
            images, target=TARGETS, relu_attributions=True
        )
        expected = nn.functional.interpolate(coarse.detach(), (8, 10), mode="bilinear")
        torch.testing.assert_close(maps(model, images, GradCAM(layer=layer)).values, expected)


def test_occlusion_is_captums(model, images):
    for patch, stride in ((3, 2), (4, 4)):  # windows that overlap, and that are cut at the border
        expected = captum.attr.Occlusion(model).attribute(
            images, (3, patch, patch), strides=(3, stride, stride), baselines=0.5, target=TARGETS
        )
        found = maps(model, images, Occlusion(patch=patch, stride=stride)).values
        torch.testing.assert_close(found.float().expand_as(expected), expected)


class Power(nn.Module):
    """Logits (Σ x)ᵖ and 0: the midpoint rule's error on the way to x is known."""

    def __init__(self, power):
        super().__init__()
        self.power = power

    def forward(self, images):
        total = images.sum(dim=(1, 2, 3))
        return torch.stack([total**self.power, 0 * total], dim=1)


def test_steps_are_doubled_until_the_attributions_add_up():
    images = torch.rand(3, 1, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 0, 0])
    # Midpoints of n equal parts integrate 3 α² to 1 − 1 / (4 n²).
    for tolerance, steps in ((0.3, 1), (0.07, 2), (0.02, 4)):
        method = IntegratedGradients(steps=1, most_steps=64, tolerance=tolerance)
        found = maps(Power(3), images, method, targets)
        assert found.steps.tolist() == [steps] * 3
        torch.testing.assert_close(found.errors, torch.full((3,), 1 / (4 * steps**2), dtype=torch.float64))
        total = images.sum(dim=(1, 2, 3))
        expected = images * (total**2)[:, None, None, None] * (1 - 1 / (4 * steps**2))
        torch.testing.assert_close(found.values, expected)
    capped = maps(Power(3), images, IntegratedGradients(steps=1, most_steps=3, tolerance=1e-3), targets)
    assert capped.steps.tolist() == [2] * 3
    nothing = maps(Power(3), images, IntegratedGradients(), targets + 1)
    assert (nothing.errors == 0).all()


def test_only_images_that_miss_completeness_get_more_steps():
    class Jump(nn.Module):
        def forward(self, images):
            bright = images[:, 0, 0, 0]
            return torch.stack([bright + torch.where(bright > 0.5, 100.0, 0.0), 0 * bright], dim=1)

    images = torch.full((2, 1, 1, 1), 0.4)
    images[1] = 0.6  # the logit jumps on the way, without a gradient
    found = maps(Jump(), images, IntegratedGradients(steps=2, most_steps=8), torch.zeros(2).long())
    assert found.steps.tolist() == [2, 8]
    assert found.errors.tolist() == [pytest.approx(0, abs=1e-6), pytest.approx(100 / 100.6)]


def test_the_last_convolution_is_the_last_one_that_is_computed(images):
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Conv2d(4, 5, 3, dtype=torch.float64)
            self.first = nn.Conv2d(3, 4, 3, dtype=torch.float64)
            self.unused = nn.Conv2d(3, 4, 3, dtype=torch.float64)

        def forward(self, images):
            return self.last(self.first(images).tanh()).tanh().mean(dim=(2, 3))

    model = Backwards()
    found = maps(model, images, GradCAM()).values
    torch.testing.assert_close(found, maps(model, images, GradCAM(layer="last")).values)
    assert not torch.allclose(found, maps(model, images, GradCAM(layer="first")).values)
    with pytest.raises(RecipeError, match="does not use its layer 'unused'"):
        maps(model, images, GradCAM(layer="unused"))


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (GradCAM(layer="tail"), "no layer 'tail'. Known: 0, 1, 2, 3, 4, 5, 6, 7"),
        (GradCAM(layer="7"), r"'7' returns \(4, 3\)"),
        (Occlusion(patch=9), "patch must be at most 8 for 8×10 images; got 9"),
        (Occlusion(stride=3), "stride must be at most the patch, 2 for these images; got 3"),
    ],
    ids=["unknown layer", "no maps", "patch", "stride"],
)
def test_what_does_not_fit_is_one_line(model, images, method, words):
    with pytest.raises(RecipeError, match=words) as caught:
        maps(model, images, method)
    assert "\n" not in str(caught.value)


def test_a_layer_with_one_position_is_refused_with_the_others(images):
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, dtype=torch.float64), nn.Conv2d(4, 3, (6, 8), dtype=torch.float64), nn.Flatten()
    )
    with pytest.raises(RecipeError, match="output of '1' is 1×1 for 8×10 images; name an earlier one: 0"):
        maps(model, images, GradCAM())


@pytest.mark.parametrize(
    ("method", "settings", "words"),
    [
        (Occlusion, {"patch": 2, "stride": 3}, "stride must be at most the patch, 2"),
        (IntegratedGradients, {"steps": 64, "most_steps": 8}, "most_steps must be at least steps, 64"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(method, settings, words):
    with pytest.raises(ValueError, match=words):
        method(**settings)


def test_a_layer_that_overwrites_the_convolutions_output_changes_nothing(images):
    convolution = nn.Conv2d(3, 2, 3, dtype=torch.float64)
    tail = nn.Sequential(nn.Flatten(), nn.Linear(2 * 6 * 8, 3, dtype=torch.float64))
    plain, overwriting = (nn.Sequential(convolution, nn.ReLU(inplace=way), tail) for way in (False, True))
    torch.testing.assert_close(
        maps(overwriting, images, GradCAM()).values, maps(plain, images, GradCAM()).values
    )


def test_a_convolution_that_is_used_again_counts_where_it_is_last(images):
    class Again(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared = nn.Conv2d(3, 3, 3, padding=1, dtype=torch.float64)
            self.between = nn.Conv2d(3, 3, 3, padding=1, dtype=torch.float64)

        def forward(self, images):
            return self.shared(self.between(self.shared(images)).tanh()).tanh().mean(dim=(2, 3))

    model = Again()
    hidden = model.shared(model.between(model.shared(images)).tanh()).detach().requires_grad_()
    scores = hidden.tanh().mean(dim=(2, 3)).gather(1, TARGETS[:, None])
    (gradients,) = torch.autograd.grad(scores.sum(), hidden)
    expected = (gradients.mean(dim=(2, 3), keepdim=True) * hidden).sum(dim=1, keepdim=True).relu().detach()
    torch.testing.assert_close(maps(model, images, GradCAM()).values, expected)
