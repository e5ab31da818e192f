import pytest
import torch
from torch import nn

from foolscope.attacks import BIM, MIFGSM, PGD, Square, UniformNoise, transfer
from foolscope.core.errors import ThreatError
from foolscope.threats import Threat

THREAT = Threat("linf", 0.06)


class Counted(nn.Module):
    def __init__(self, model, change=lambda images: images):
        super().__init__()
        self.model, self.change, self.rows = model, change, 0

    def forward(self, images):
        self.rows += len(images)
        return self.model(self.change(images))


@pytest.fixture
def setting(make_network, make_images):
    """A surrogate, a victim that differs a little, and images with the victim's labels."""
    surrogate, victim = make_network(1, 6, 5, 3), make_network(1, 6, 5, 3).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in victim.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    images = make_images(30, 1, 6, 5)
    labels = victim(images).argmax(1)
    labels[:2] = (labels[:2] + 1) % 3
    return surrogate, victim, images, labels


def test_the_last_iterate_of_the_surrogate_is_judged_on_the_victim(setting):
    """A plain loop over steps on the surrogate, without looking for success."""
    surrogate, victim, images, labels = setting
    result = transfer(surrogate, victim, images, labels, THREAT, BIM(steps=4), seed=0)
    points = images.clone()
    surrogate.eval()
    for _ in range(4):
        variables = points.clone().requires_grad_()
        loss = nn.functional.cross_entropy(surrogate(variables), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, variables)
        points = points + 1.25 * 0.06 / 4 * gradient.sign()
        points = (images + (points - images).clamp(-0.06, 0.06)).clamp(0, 1)
    fools = victim(points).argmax(1) != labels
    fools[:2] = True
    assert torch.equal(result.success, fools)
    assert 5 < fools.sum() < 30
    torch.testing.assert_close(result.adversarial_inputs[2:], points[2:])
    torch.testing.assert_close(result.perturbation_sizes[2:], (points - images).abs().amax((1, 2, 3))[2:])
    assert result.attack == "transfer-bim"
    assert torch.equal(result.adversarial_predictions, victim(result.adversarial_inputs).argmax(1))


def test_what_fools_the_surrogate_only_does_not_count(setting):
    surrogate, victim, images, labels = setting

    class Deaf(nn.Module):
        def forward(self, images):
            return victim(images) * 0 + nn.functional.one_hot(labels, 3)[: len(images)] * 5.0 - 1.0

    result = transfer(surrogate, Deaf().eval(), images, labels, THREAT, PGD(steps=5), seed=0)
    assert not result.success.any()
    assert result.doubts == ()


def test_passes_of_both_models_are_counted(setting):
    surrogate, victim, images, labels = setting
    models = Counted(surrogate).eval(), Counted(victim).eval()
    result = transfer(*models, images, labels, THREAT, PGD(steps=5, restarts=3), seed=0, batch_size=256)
    probes = 2  # one image each, to see that the classes agree
    assert result.forward_count == models[0].rows + models[1].rows - probes
    assert result.backward_count == models[0].rows - 1
    assert models[1].rows <= 1 + len(images) * (1 + 3 + 1)
    assert bool((result.backwards[result.success][2:] % 5 == 0).all())


@pytest.mark.parametrize("attack", [MIFGSM(), Square(steps=8), UniformNoise(restarts=2)])
def test_batch_size_does_not_matter_and_modes_are_restored(attack, setting):
    surrogate, victim, images, labels = setting
    results = [
        transfer(surrogate, victim, images, labels, THREAT, attack, seed=1, batch_size=size)
        for size in (1, 7, 256)
    ]
    for result in results[1:]:
        assert torch.equal(result.success, results[0].success)
        torch.testing.assert_close(result.adversarial_inputs, results[0].adversarial_inputs)
    assert surrogate.training
    assert not victim.training
    assert all(parameter.requires_grad for parameter in surrogate.parameters())
    assert transfer(surrogate, victim, images[:0], labels[:0], THREAT, attack, seed=1).forward_count == 0


def test_refuses_other_classes(setting, make_network):
    _, victim, images, labels = setting
    with pytest.raises(ThreatError, match="must have the same classes"):
        transfer(make_network(1, 6, 5, 4), victim, images, labels, THREAT, MIFGSM(), seed=0)
