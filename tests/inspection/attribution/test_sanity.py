import warnings

import numpy as np
import pytest
import torch
from torch import nn

from foolscope.core.randomness import torch_generator
from foolscope.inspection.attribution import Gradient, Maps
from foolscope.inspection.attribution.method import Attribution
from foolscope.inspection.attribution.randomization import layers_from_top, randomized
from foolscope.inspection.attribution.sanity import AttributionSanity, sanity


class ImageItself(Attribution):
    """A map that ignores the model."""

    name: str = "image"
    title = "the image itself"
    is_overlay = False

    def reading(self):
        return "The image."

    def maps(self, model, images, targets, *, draws, batch_size):
        return Maps(images)


def checked(model, images, *methods):
    predictions = model.eval()(images).argmax(1).numpy()
    return sanity(
        model,
        images,
        predictions,
        methods,
        numbers=np.arange(len(images)),
        seed=0,
        batch_size=50,
        tell=lambda done, detail: None,
    )


def test_a_map_that_ignores_the_model_is_doubted_and_gradients_are_not(make_network, make_images):
    model, images = make_network(), make_images(12)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    found = checked(model, images, Gradient(), ImageItself())
    gradient, image = found.methods
    for stage in (*image.cascading, *image.independent):
        assert (stage.own.mean, stage.similarity.mean) == (pytest.approx(1), pytest.approx(1))
        assert stage.other.mean < 0.3
    assert image.barely_changes
    assert not gradient.barely_changes
    assert gradient.final.own.mean < 0.7
    assert found.doubts == [
        "Maps by the image itself barely change when all weights are randomized (rank correlation 1.00): "
        "they show the image rather than what the model has learned."
    ]
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert AttributionSanity.model_validate_json(found.model_dump_json()) == found


def test_stages_are_those_of_models_randomized_by_hand(make_network, make_images):
    model, images = make_network(), make_images(6)
    found = checked(model, images, Gradient()).methods[0]
    assert [each.layer for each in found.cascading] == ["7", "3", "1", "0"]
    assert found.cascading[0] == found.independent[0]

    targets = model.eval()(images).argmax(1)[:, None]

    def gradients():
        pixels = images.clone().requires_grad_()
        model(pixels).gather(1, targets).sum().backward()
        return pixels.grad.abs().flatten(1).argsort(dim=1).argsort(dim=1).numpy()

    for kind, layers in (("cascading", ["7", "3", "1"]), ("independent", ["1"])):
        with randomized(model, layers, seed=0):
            changed = gradients()
        pairs = zip(gradients(), changed, strict=True)
        expected = np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])
        assert getattr(found, kind)[2].own.mean == pytest.approx(expected, abs=1e-9)


def test_random_weights_keep_the_scale_and_a_layer_gets_the_same_alone_and_with_others():
    model = nn.Sequential(nn.Linear(60, 70), nn.BatchNorm1d(70), nn.Linear(70, 50))
    generator = torch_generator(0, "weights")
    with torch.no_grad():
        model[0].weight.copy_(3 + 2 * torch.randn(70, 60, generator=generator))
    trained = {name: each.clone() for name, each in model.state_dict().items()}

    def drawn(layers, seed=1):
        with randomized(model, layers, seed=seed):
            return {name: each.clone() for name, each in model.state_dict().items()}

    alone, both = drawn(["0"]), drawn(["2", "0"])
    assert torch.equal(alone["0.weight"], both["0.weight"])
    assert torch.equal(alone["2.weight"], trained["2.weight"])
    assert not torch.equal(both["2.weight"], trained["2.weight"])
    assert float(alone["0.weight"].mean()) == pytest.approx(3, abs=0.15)
    assert float(alone["0.weight"].std()) == pytest.approx(2, abs=0.1)
    joint = torch.stack([alone["0.weight"].flatten(), trained["0.weight"].flatten()])
    assert abs(float(torch.corrcoef(joint)[0, 1])) < 0.05
    assert not torch.equal(drawn(["0"], seed=2)["0.weight"], alone["0.weight"])
    with pytest.raises(KeyboardInterrupt), randomized(model, ["0", "2"], seed=1):
        raise KeyboardInterrupt
    assert all(torch.equal(each, trained[name]) for name, each in model.state_dict().items())


def test_a_program_of_torchscript_is_randomized_like_the_module_it_was_made_from(make_network, make_images):
    model, images = make_network().eval(), make_images(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is, and says so
        traced = torch.jit.trace(model, images[:2], check_trace=False)
    found, expected = checked(traced, images, Gradient()), checked(model, images, Gradient())
    assert found.layers == expected.layers == 4
    assert found.methods[0].final.own.mean == pytest.approx(expected.methods[0].final.own.mean)


def test_layers_stand_in_the_order_of_computation_with_those_that_are_not_called():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 2)
            self.used_by_hand = nn.Linear(4, 4)
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(6, 4))

        def forward(self, images):
            hidden = nn.functional.linear(self.body(images), self.used_by_hand.weight)
            return self.head(hidden)

    assert layers_from_top(Mixed(), torch.zeros(1, 1, 2, 3)) == ["used_by_hand", "head", "body.1"]
    deep = nn.Sequential(nn.Flatten(), *[nn.Linear(6, 6) for _ in range(20)])
    found = checked(deep, torch.rand(2, 1, 2, 3), Gradient())
    assert [each.depth for each in found.methods[0].cascading] == [1, 5, 9, 12, 16, 20]
    assert checked(nn.Sequential(nn.Flatten()), torch.rand(2, 1, 2, 3), Gradient()) is None
