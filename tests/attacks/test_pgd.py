import pydantic
import pytest
import torch

from foolscope.attacks import BIM, MIFGSM, PGD, misclassified, run
from foolscope.threats import NORMS, Threat


def test_settings():
    assert PGD(step_size="2/255").step_size == 2 / 255
    assert PGD.model_validate({"name": "pgd", "steps": 7}).steps == 7
    for wrong in (
        {"steps": 0},
        {"step_size": -1},
        {"step_size": "x"},
        {"restarts": 2, "random_start": False},
        {"los": "margin"},
        {"loss": "hinge"},
    ):
        with pytest.raises(pydantic.ValidationError):
            PGD(**wrong)


@pytest.mark.parametrize("norm", list(NORMS))
def test_several_linear_classes_fall_at_the_exact_distance(norm, make_linear):
    """The smallest perturbation is the least, over the other classes, of margin over dual norm.

    With cross-entropy PGD needs more: its gradient mixes in the classes that are further away.
    """
    generator = torch.Generator().manual_seed(6)
    weights = torch.randn(5, 30, generator=generator, dtype=torch.float64)
    images = 0.5 + 0.02 * torch.randn(3, 2, 3, 5, generator=generator, dtype=torch.float64)
    for image in images[:, None]:
        # Put every class a little behind the first, so that the boundary is near and the box far.
        biases = weights[0] @ image.flatten() - weights @ image.flatten()
        biases[1:] -= 0.2 + 0.3 * torch.rand(4, generator=generator, dtype=torch.float64)
        model = make_linear(weights, biases)
        differences = weights[1:] - weights[0]
        margins = -(differences @ image.flatten() + biases[1:] - biases[0])
        dual = {
            "linf": differences.abs().sum(1),
            "l2": differences.norm(dim=1),
            "l1": differences.abs().amax(1),
        }[norm]
        exact = float((margins / dual).min())
        attack = PGD(loss="margin", random_start=False)
        for factor, falls in [(0.99, False), (1.01, True)]:
            threat, labels = Threat(norm, exact * factor), torch.tensor([0])
            result = run(model, image, labels, threat, attack, seed=0, targets="every", success=misclassified)
            assert bool(result.success) == falls


def test_an_explicit_step_size_is_taken(make_linear):
    model = make_linear(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.tensor([9.0, 0.0]))
    image = torch.full((1, 1, 1, 2), 0.5)
    attack = PGD(steps=3, step_size="1/100", random_start=False)
    result = run(model, image, torch.tensor([0]), Threat("linf", 0.1), attack, seed=0)
    torch.testing.assert_close(result.perturbation_sizes, torch.tensor([0.03]))


def test_restarts_start_elsewhere(make_images):
    starts = []

    class Watched(torch.nn.Module):
        def forward(self, images):
            starts.append(images.detach().clone())
            return torch.stack([images.sum((1, 2, 3)) * 0 + 1, images.sum((1, 2, 3)) * 0], 1)

    images = make_images(1, 1, 4, 4)
    threat = Threat("linf", 0.1)
    run(Watched(), images, torch.tensor([0]), threat, PGD(steps=1, restarts=3), seed=0, batch_size=1)
    points = [start for start in starts if not torch.equal(start, images)]
    assert len({tuple(point.flatten().tolist()) for point in points}) == 3
    assert all(float((point - images).abs().max()) > 0.05 for point in points)


def quadratic(images):
    """A score with a gradient that turns; class 0 always wins."""
    flat = images.flatten(1)
    score = torch.sin(9 * flat).sum(1) + flat[:, 0] * flat[:, 1]
    return torch.stack([torch.full_like(score, 50.0), score], 1)


class Asked(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.points = []

    def forward(self, images):
        self.points.append(images.detach().clone())
        return quadratic(images)


@pytest.mark.parametrize(
    ("attack", "step_fraction", "decay"),
    [
        (MIFGSM(), 1 / 10, 1.0),
        (MIFGSM(steps=5, momentum=0.7), 1 / 5, 0.7),
        (PGD(steps=8, momentum=0.9, random_start=False), 2.5 / 8, 0.9),
        (BIM(), 1.25 / 10, 0.0),
    ],
)
def test_momentum_iterates_equal_a_plain_loop(attack, step_fraction, decay, make_images):
    """Dong et al. (2018), algorithm 1, one image at a time; without momentum Kurakin et al. (2017)."""
    images, epsilon = make_images(3, 1, 2, 3), 0.2
    model = Asked()
    labels = torch.zeros(3, dtype=torch.int64)
    run(model, images, labels, Threat("linf", epsilon), attack, seed=0)
    iterates = torch.stack(model.points[1:])  # step, image, ...
    assert len(iterates) == attack.steps + 1
    for k in range(3):
        point, g = images[k : k + 1].clone(), torch.zeros(1, 1, 2, 3, dtype=torch.float64)
        for t in range(attack.steps + 1):
            torch.testing.assert_close(iterates[t, k], point[0])
            variable = point.clone().requires_grad_()
            loss = torch.nn.functional.cross_entropy(quadratic(variable), labels[:1])
            (gradient,) = torch.autograd.grad(loss, variable)
            g = decay * g + gradient / gradient.abs().sum()
            point = point + epsilon * step_fraction * g.sign()
            point = torch.max(torch.min(point, images[k] + epsilon), images[k] - epsilon).clamp(0, 1)


def test_bim_takes_the_published_steps_at_eight(make_images):
    model, images = Asked(), 0.5 + 0.1 * make_images(1, 1, 2, 3)
    run(model, images, torch.tensor([0]), Threat("linf", "8/255"), BIM(), seed=0)
    sizes = (model.points[2] - images).abs()
    torch.testing.assert_close(sizes, torch.full_like(sizes, 1 / 255))


def test_momentum_survives_a_zero_gradient(make_images):
    class Flat(torch.nn.Module):
        def forward(self, images):
            return torch.stack([images.sum((1, 2, 3)) * 0 + 1, images.sum((1, 2, 3)) * 0], 1)

    images = make_images(2, 1, 2, 3)
    result = run(Flat(), images, torch.tensor([0, 0]), Threat("linf", 0.1), MIFGSM(), seed=0)
    assert torch.equal(result.adversarial_inputs, images)
    assert any("exactly zero" in doubt for doubt in result.doubts)
