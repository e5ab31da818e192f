import pydantic
import pytest
import torch

from foolscope.attacks import NORMS, PGD, Threat, misclassified, run


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
