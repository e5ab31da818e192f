from dataclasses import replace
from fractions import Fraction
from math import ceil, floor, sqrt

import numpy as np
import pytest
import torch
from torch import nn

from foolscope.attacks import APGD, LOSSES, misclassified, run
from foolscope.attacks.runner.problem import Problem
from foolscope.attacks.step_rules import StepHalving, checkpoint_periods
from foolscope.threats import NORMS, Threat

NORM = pytest.mark.parametrize("norm", list(NORMS))


class Recorder(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.seen = inner, []

    def forward(self, images):
        self.seen.append(images.detach().clone())
        return self.inner(images)


def smooth_network(classes, pixels, seed):
    """Smooth, so that rounding stays rounding, and curved enough for every rule to come into play."""
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, classes)
    ).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return network.eval()


def checkpoints(steps):
    """The paper's W, from its formula."""
    places = [Fraction(0), Fraction(22, 100)]
    while places[-1] < 1:
        places.append(places[-1] + max(places[-1] - places[-2] - Fraction(3, 100), Fraction(6, 100)))
    return sorted({ceil(place * steps) for place in places if place < 1})


def project(norm, image, point, epsilon):
    """The nearest point of ball and box, by bisection on the multiplier; vectors of one image."""
    change = point - image
    room = np.where(change > 0, 1 - image, image)
    size = {"linf": lambda d: np.abs(d).max(), "l2": np.linalg.norm, "l1": lambda d: np.abs(d).sum()}[norm]
    family = {
        "linf": lambda t: np.minimum(np.abs(change), t * epsilon),
        "l2": lambda t: t * np.abs(change),
        "l1": lambda t: np.maximum(np.abs(change) - (1 - t) * np.abs(change).max(), 0),
    }[norm]
    low, high = 0.0, 1.0
    if size(np.minimum(family(high), room)) > epsilon:
        for _ in range(60):
            middle = (low + high) / 2
            if size(np.minimum(family(middle), room)) > epsilon:
                high = middle
            else:
                low = middle
        high = low
    return image + np.sign(change) * np.minimum(family(high), room)


def reference_dense(function, norm, image, start, epsilon, steps, rho):
    """Algorithm 1 of Croce and Hein (2020) for one image: all iterates, and how often it halved."""
    marks = checkpoints(steps)
    direction = {"linf": np.sign, "l2": lambda g: g / sqrt((g * g).sum())}[norm]
    eta, points, current = 2 * epsilon, [start], start
    value, gradient = function(start)
    values, best = [value], (value, start, gradient)
    previous, halved_at, best_at = start, [0], {}
    for k in range(steps):
        z = project(norm, image, current + eta * direction(gradient), epsilon)
        alpha = 1.0 if k == 0 else 0.75
        following = current + alpha * (z - current) + (1 - alpha) * (current - previous)
        previous, current = current, project(norm, image, following, epsilon)
        points.append(current)
        value, gradient = function(current)
        values.append(value)
        if value > best[0]:
            best = (value, current, gradient)
        if k + 1 in marks:
            last = marks[marks.index(k + 1) - 1]
            rises = sum(values[i + 1] > values[i] for i in range(last, k + 1))
            halve = rises <= rho * (k + 1 - last)
            best_at[k + 1] = best[0]
            if halve or (last not in halved_at and best_at[last] == best[0]):
                eta /= 2
                _, current, gradient = best
                halved_at.append(k + 1)
    return points, len(halved_at) - 1


def reference_sparse(function, norm, image, start, epsilon, steps, rho):
    """The L1 attack of Croce and Hein (2021) for one image, and how often the best point became sparser."""
    pixels = len(image)
    eta, moved, support = epsilon, ceil(Fraction(pixels, 5)), pixels
    points, current = [start], start
    value, gradient = function(start)
    best, resets = (value, start, gradient), 0
    for k in range(steps):
        threshold = sorted(np.abs(gradient), reverse=True)[moved - 1]
        signs = np.where(np.abs(gradient) >= threshold, np.sign(gradient), 0)
        current = project(norm, image, current + eta * signs / np.abs(signs).sum(), epsilon)
        points.append(current)
        value, gradient = function(current)
        if value > best[0]:
            best = (value, current, gradient)
        if (k + 1) % max(1, floor(Fraction(4, 100) * steps)) == 0:
            now = int((np.abs(best[1] - image) > 1e-12).sum())
            if Fraction(now, support) < Fraction(95, 100):
                eta, resets = epsilon, resets + 1
                _, current, gradient = best
            else:
                eta = max(eta / 1.5, epsilon / 10)
            moved, support = 1 if now <= 2 else ceil(Fraction(2 * now, 3)), now
    return points, resets


REFERENCE = {"linf": reference_dense, "l2": reference_dense, "l1": reference_sparse}
BUDGET = {"linf": 0.15, "l2": 0.5, "l1": 1.5}


@NORM
@pytest.mark.parametrize(("loss", "targeted"), [("cross_entropy", False), ("dlr", False), ("dlr", True)])
def test_every_iterate_is_that_of_the_paper(norm, loss, targeted, make_images):
    """Image by image, in plain loops; in L2 and L1 the box binds for some pixels, too."""
    steps, epsilon, changes = 50, BUDGET[norm], 0
    network, images = smooth_network(5, 24, seed=3), make_images(2, 2, 3, 4, seed=1)
    order = network(images).argsort(1, descending=True)
    labels, targets = order[:, 0], order[:, 2] if targeted else None
    for row in range(len(images)):
        image, label = images[row : row + 1], labels[row : row + 1]
        aim = None if targets is None else targets[row : row + 1]
        recorder = Recorder(network)
        threat, attack = Threat(norm, epsilon), APGD(steps=steps, loss=loss)
        run(recorder, image, label, threat, attack, seed=5, targets=aim, trace=True, batch_size=1)
        ours = [point.flatten().numpy() for point in recorder.seen[1 : steps + 2]]

        def function(point, image=image, label=label, aim=aim):
            variable = torch.from_numpy(point).view_as(image).requires_grad_()
            logits = network(variable)
            direction = LOSSES[loss]
            value = (
                direction.untargeted(logits, label) if aim is None else direction.targeted(logits, label, aim)
            )
            (gradient,) = torch.autograd.grad(value.sum(), variable)
            return value.item(), gradient.flatten().numpy()

        theirs, changed = REFERENCE[norm](
            function, norm, image.flatten().numpy(), ours[0], epsilon, steps, 0.75
        )
        changes += changed
        assert len(ours) == len(theirs) == steps + 1
        np.testing.assert_allclose(np.stack(ours), np.stack(theirs), atol=1e-7, rtol=0)
    assert changes >= 2  # checkpoints did something


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 20, 40, 100, 1000])
def test_checkpoints(steps):
    periods = checkpoint_periods(steps)
    expected = [mark for mark in checkpoints(steps) if 0 < mark < steps]
    assert [step for step, period in enumerate(periods) if period] == expected
    assert len(periods) == steps
    assert [period for period in periods if period] == np.diff([0, *expected]).tolist()


def test_starts_lie_on_the_surface_and_differ():
    starts = []

    class Indifferent(nn.Module):
        def forward(self, images):
            starts.append(images.detach().clone())
            return torch.stack([images.sum((1, 2, 3)) * 0 + 1, images.sum((1, 2, 3)) * 0], 1)

    image = torch.full((1, 2, 4, 3), 0.5, dtype=torch.float64)
    for norm, geometry in NORMS.items():
        starts.clear()
        attack = APGD(steps=1, restarts=3)
        run(Indifferent(), image, torch.tensor([0]), Threat(norm, 0.2), attack, seed=0, batch_size=1)
        points = [point for point in starts[1::2] if not torch.equal(point, image)]
        assert len({tuple(point.flatten().tolist()) for point in points}) == 3
        for point in points:
            assert geometry.size(point - image).item() == pytest.approx(0.2)


@NORM
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_linear_classes_fall_to_targeted_dlr_at_the_exact_distance(norm, classes, make_linear):
    """The smallest perturbation is the least, over the other classes, of margin over dual norm."""
    generator = torch.Generator().manual_seed(6)
    weights = torch.randn(classes, 30, generator=generator, dtype=torch.float64)
    image = 0.5 + 0.02 * torch.randn(1, 2, 3, 5, generator=generator, dtype=torch.float64)
    biases = weights[0] @ image.flatten() - weights @ image.flatten()
    biases[1:] -= 0.2 + 0.3 * torch.rand(classes - 1, generator=generator, dtype=torch.float64)
    model = make_linear(weights, biases)
    differences = weights[1:] - weights[0]
    margins = -(differences @ image.flatten() + biases[1:] - biases[0])
    dual = {
        "linf": differences.abs().sum(1),
        "l2": differences.norm(dim=1),
        "l1": differences.abs().amax(1),
    }[norm]
    exact = float((margins / dual).min())
    for factor, falls in [(0.995, False), (1.01, True)]:
        threat, labels = Threat(norm, exact * factor), torch.tensor([0])
        attack = APGD(loss="dlr", steps=60)
        result = run(model, image, labels, threat, attack, seed=0, targets="every", success=misclassified)
        assert bool(result.success) == falls


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_halving_homes_in_on_a_maximum_inside_the_ball(norm):
    """The margin is −‖x − c‖², its peak halfway inside the ball, where steps of 2 ε only leap over it."""
    image, epsilon = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64), 0.2
    peak = image + epsilon / 4 * torch.tensor([[[1.0, -1.0], [1.0, 1.0]]], dtype=torch.float64)

    class Bowl(nn.Module):
        def forward(self, images):
            distances = (images - peak).square().flatten(1).sum(1)
            return torch.stack([distances + 1, torch.zeros_like(distances)], 1)

    result = run(Bowl(), image, torch.tensor([0]), Threat(norm, epsilon), APGD(loss="margin"), seed=0)
    assert not result.success.any()
    assert NORMS[norm].size(result.adversarial_inputs - peak).item() < 0.02 * epsilon


def test_large_logits_hide_from_cross_entropy_but_not_from_dlr(make_network, make_images):
    inner, images = make_network(1, 4, 4, 4, torch.float32).eval(), make_images(20, 1, 4, 4).float()
    labels = inner(images).argmax(1)

    class Loud(nn.Module):
        def forward(self, images):
            return 1e6 * inner(images)

    threat = Threat("linf", 0.08)
    plain = run(inner, images, labels, threat, APGD(steps=20), seed=0)
    hidden = run(Loud(), images, labels, threat, APGD(steps=20), seed=0)
    found = run(Loud(), images, labels, threat, APGD(steps=20, loss="dlr"), seed=0)
    assert any("exactly zero" in doubt for doubt in hidden.doubts)
    assert hidden.robust_accuracy > plain.robust_accuracy
    assert found.robust_accuracy <= plain.robust_accuracy


def test_a_loss_that_is_never_a_number_is_never_the_best():
    class Broken(nn.Module):
        def forward(self, images):
            sums = images.sum((1, 2, 3))
            return torch.stack([sums * torch.nan, sums], 1)

    image = torch.full((1, 1, 2, 2), 0.5)
    threat = Threat("linf", 0.1)
    result = run(Broken(), image, torch.tensor([0]), threat, APGD(steps=10), seed=0)
    assert not result.success.any()
    assert result.adversarial_inputs.isfinite().all()


@pytest.mark.parametrize(
    ("losses", "halved"),
    [
        ([5, 4, *range(10, 26), *[0] * 5], [22]),  # 16 rises of 22, at 5 no rise; 16 <= 0.75 * 22
        ([5, 4, *range(10, 27), *[0] * 4], []),  # 17 rises
        ([*range(23), *range(-20, -1)], [41]),  # 18 rises of 19, none above the best
        ([*range(23), *range(-20, -2), 30], []),  # the last one is above it
    ],
)
def test_when_a_step_is_halved(losses, halved):
    one = torch.ones(1, dtype=torch.float64)
    image, zero = torch.full((1, 1, 1, 2), 0.5, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    problem = Problem(image, zero, None, one, zero, zero, zero, zero, NORMS["linf"], (0.0, 1.0))
    rule, best, at = StepHalving(0.75), -1e9, []
    memory = rule.memory(problem)
    for step, loss in enumerate(losses):
        best = max(best, loss)
        state = {**memory, "loss": one * loss, "best_loss": one * best}
        memory, restart = rule.check(replace(problem, steps=zero + step), state, 100)
        at += [step] * bool(restart)
    assert at == halved
    assert memory["step_size"].item() == 2 * 0.5 ** len(halved)
