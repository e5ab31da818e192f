import warnings

import pytest
import torch
from torch import Tensor, nn

from foolscope.inspection.gradients.layer_flow import LayerFlow, flow_by_layer, weight_tensors


class Residual(nn.Module):
    """A network that writes over what its layers put out, or not, and uses one of them twice."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding=1)
        self.rectify = nn.ReLU(inplace=inplace)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.head = nn.Linear(3 * 20, 4)
        self.inplace = inplace
        self.kept: dict[str, Tensor] = {}

    def forward(self, images: Tensor) -> Tensor:
        self.kept["first"] = first = self.first(images)
        self.kept["rectify"] = hidden = self.rectify(first)
        self.kept["second"] = added = self.second(hidden)
        if self.inplace:
            added += hidden
        else:
            added = added + hidden
        self.kept["rectify (2)"] = last = self.rectify(added)
        self.kept["head"] = logits = self.head(last.flatten(1))
        return logits


def residual(inplace: bool) -> Residual:
    model = Residual(inplace).double()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


IMAGES = torch.rand(5, 1, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 3, 1])


def norms(flow: list[LayerFlow]) -> dict[str, float]:
    """The norms by what layers put out."""
    return {each.layer: each.output_norm for each in flow if each.output_norm is not None}


def learned(flow: list[LayerFlow]) -> list[LayerFlow]:
    return [each for each in flow if each.weight_norm is not None]


@pytest.mark.parametrize("inplace", [False, True])
def test_layers_that_write_over_their_inputs_and_are_used_twice(inplace: bool) -> None:
    flow = flow_by_layer(residual(inplace), IMAGES, LABELS)
    plain = residual(inplace=False)
    nn.functional.cross_entropy(plain(IMAGES), LABELS, reduction="sum").backward(
        inputs=[*plain.kept.values(), *plain.parameters()]
    )
    found = norms(flow)
    assert list(found) == ["images", "first", "rectify", "second", "rectify (2)", "head"]
    for name, output in plain.kept.items():
        expected = output.grad.flatten(1).norm(dim=1).mean()
        assert found[name] == pytest.approx(float(expected), rel=1e-12)
    assert [each.layer for each in learned(flow)] == ["first", "second", "head"]
    for each in learned(flow):
        weight = plain.get_submodule(each.layer).weight
        assert each.weight_norm == pytest.approx(float(weight.grad.norm()) / len(IMAGES), rel=1e-12)
        assert each.relative_norm == pytest.approx(each.weight_norm / float(weight.detach().norm()))


def test_the_weight_gradient_of_a_softmax_is_the_error_times_the_pixels() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(20, 4)).double()
    (found,) = learned(flow_by_layer(model, IMAGES, LABELS))
    with torch.no_grad():
        errors = model(IMAGES).softmax(dim=1) - nn.functional.one_hot(LABELS, 4)
    assert found.weight_norm == pytest.approx(float((errors.T @ IMAGES.flatten(1)).norm()) / 5, rel=1e-12)


def test_a_frozen_model_is_followed_and_stays_frozen() -> None:
    model = residual(inplace=True).requires_grad_(False).train()
    assert all(each > 0 for each in norms(flow_by_layer(model, IMAGES, LABELS)).values())
    assert model.training
    assert not any(each.requires_grad for each in model.parameters())
    assert not any(layer._forward_hooks for layer in model.modules())


def test_a_model_without_a_gradient_has_norms_of_zero() -> None:
    class Deaf(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.ones(len(images), 4)

    flow = flow_by_layer(Deaf(), IMAGES.float(), LABELS)
    assert norms(flow) == {"images": 0.0}


def test_a_program_that_hides_its_layers_is_none_itself() -> None:
    hidden = (nn.Linear(20, 4).double(),)

    class Program(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            outputs: torch.Tensor = hidden[0](inputs.flatten(1))
            return outputs

    assert list(norms(flow_by_layer(Program(), IMAGES, LABELS))) == ["images"]


def test_a_torchscript_program_tells_of_its_images_and_weights() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(20, 4)).double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is, and says so
        program = torch.jit.trace(model, IMAGES, check_trace=False)
    whole, watched = flow_by_layer(program, IMAGES, LABELS), flow_by_layer(model, IMAGES, LABELS)
    assert norms(whole) == {"images": pytest.approx(norms(watched)["images"], rel=1e-12)}
    assert [each.weight_norm for each in learned(whole)] == pytest.approx(
        [each.weight_norm for each in learned(watched)]
    )


def test_biases_and_scales_are_no_weights() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    assert list(weight_tensors(model)) == ["0", "2"]
