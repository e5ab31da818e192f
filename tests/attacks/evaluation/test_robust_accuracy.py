import pytest
import torch
from statsmodels.stats.proportion import proportion_confint
from torch import nn

from foolscope.attacks import FGSM, FMN, PGD, robust_accuracy_curve, run
from foolscope.attacks.evaluation import robust_accuracy
from foolscope.attacks.evaluation.robust_accuracy import RobustAccuracyCurve
from foolscope.core.errors import ThreatError
from foolscope.threats import Threat

EPSILONS = (0.0, 0.01, 0.03, 0.1, 0.3)


@pytest.fixture
def setting(make_network, make_images):
    model, images = make_network(1, 6, 5, 3).eval(), make_images(40, 1, 6, 5)
    labels = model(images).argmax(1)
    labels[:4] = (labels[:4] + 1) % 3
    return model, images, labels


def curve_of(setting, attacks, epsilons=EPSILONS, **settings):
    return robust_accuracy_curve(*setting, "linf", epsilons, attacks, seed=0, **settings)


def test_on_two_linear_classes_the_curve_is_exact(make_linear, make_images):
    images = 0.5 + 0.2 * (make_images(50, 1, 2, 3) - 0.5)
    weights = torch.tensor([[0.0] * 6, [1.0, -1.0, 2.0, 0.5, -0.5, 1.0]], dtype=torch.float64)
    model = make_linear(weights, torch.tensor([0.0, -1.5], dtype=torch.float64))
    logits = model(images).detach()
    labels = logits.argmax(1)
    exact = (logits[:, 1] - logits[:, 0]).abs() / 6
    epsilons = (0.0, 0.01, 0.02, 0.05)
    curve = robust_accuracy_curve(model, images, labels, "linf", epsilons, [FGSM()], seed=0)
    expected = [1.0 if epsilon == 0 else (exact >= epsilon).double().mean().item() for epsilon in epsilons]
    assert curve.robust_accuracies == pytest.approx(expected)
    assert 0 < expected[-1] < expected[1] < 1, expected
    budgets = torch.tensor(epsilons, dtype=torch.float64)
    assert torch.equal(torch.searchsorted(budgets, curve.smallest_found), torch.searchsorted(budgets, exact))


def test_never_rises_and_agrees_with_single_runs(setting):
    model, images, labels = setting
    curve = curve_of(setting, [PGD(steps=10)])
    accuracies = curve.robust_accuracies
    assert list(accuracies) == sorted(accuracies, reverse=True)
    assert accuracies[0] == curve.clean_accuracy == 36 / 40
    assert accuracies[-1] < 0.2
    ever = labels != model(images).argmax(1)
    for epsilon, accuracy in zip(EPSILONS, accuracies, strict=True):
        ever |= run(model, images, labels, Threat("linf", epsilon), PGD(steps=10), seed=0).success
        assert accuracy <= 1 - ever.double().mean().item() + 1e-12
    sizes = (curve.adversarial_inputs - images).abs().amax((1, 2, 3))
    fooled = curve.smallest_found.isfinite()
    assert bool((model(curve.adversarial_inputs).argmax(1) != labels)[fooled].all())
    torch.testing.assert_close(sizes[fooled], curve.smallest_found[fooled], atol=1e-9, rtol=0.0)


def test_steps_are_coarse_but_for_the_smallest_perturbations(setting, monkeypatch):
    """A copy with its signs reversed in place of one in bfloat16: steps that follow it lead nowhere."""
    exact = [curve_of(setting, [attack], [0.03]) for attack in (PGD(steps=10), FMN(steps=10))]
    misleading = nn.Sequential(setting[0], Reversed()).eval()
    monkeypatch.setattr(robust_accuracy, "bfloat16_copy", lambda *known: (misleading, 0))
    misled, same = (curve_of(setting, [attack], [0.03]) for attack in (PGD(steps=10), FMN(steps=10)))
    assert misled.robust_accuracies[0] > exact[0].robust_accuracies[0] + 0.2
    assert same.robust_accuracies == exact[1].robust_accuracies


class Reversed(nn.Module):
    def forward(self, logits):
        return -logits


def test_second_attack_gets_survivors_only(setting):
    model, images, labels = setting
    weak = PGD(steps=1, step_size=0.01, random_start=False)
    threat = Threat("linf", 0.03)
    first = run(model, images, labels, threat, weak, seed=0)
    left = first.robust.nonzero()[:, 0]
    second = run(model, images[left], labels[left], threat, PGD(steps=10), seed=0, indices=left)
    both = curve_of(setting, [weak, PGD(steps=10)], [0.03])
    assert both.attacks == ("pgd", "pgd")
    assert both.backward_count == first.backward_count + second.backward_count
    assert both.forward_count == first.forward_count + second.forward_count - len(
        left
    )  # clean answers are known
    assert both.robust_accuracies == (1 - (40 - len(left) + second.success.sum().item()) / 40,)
    fooled_by = torch.full((40,), -1)
    fooled_by[4:][first.success[4:]] = 0
    fooled_by[left[second.success]] = 1
    assert torch.equal(both.fooled_by, fooled_by)
    assert set(fooled_by.tolist()) == {-1, 0, 1}


def test_reuse_costs_less_than_separate_runs(setting):
    model, images, labels = setting
    separate = [run(model, images, labels, Threat("linf", e), PGD(steps=10), seed=0) for e in EPSILONS]
    curve = curve_of(setting, [PGD(steps=10)])
    assert curve.forward_count < sum(result.forward_count for result in separate)
    assert curve.backward_count < sum(result.backward_count for result in separate)


def test_intervals_are_wilsons(setting):
    curve = curve_of(setting, [FGSM()])
    for accuracy, interval in zip(curve.robust_accuracies, curve.intervals(), strict=True):
        assert interval == pytest.approx(proportion_confint(round(accuracy * 40), 40, method="wilson"))


def test_texts_and_order_of_budgets(setting):
    curve = curve_of(setting, [FGSM()], ["8/255", 0, "2/255", "8/255"])
    assert curve.epsilons == (0.0, 2 / 255, 8 / 255)


def test_float32_budgets_count_what_was_found_with_them(make_network, make_images):
    model, images = (
        make_network(1, 6, 5, 3, torch.float32).eval(),
        make_images(40, 1, 6, 5, dtype=torch.float32),
    )
    labels = model(images).argmax(1)
    threat = Threat("linf", "26/255")
    alone = run(model, images, labels, threat, FGSM(), seed=0)
    curve = robust_accuracy_curve(model, images, labels, "linf", ["26/255"], [FGSM()], seed=0)
    assert curve.robust_accuracies == (alone.robust_accuracy,)
    assert 0 < alone.robust_accuracy < 1


def test_no_images(setting):
    model, images, labels = setting
    curve = curve_of((model, images[:0], labels[:0]), [FGSM()])
    assert all(value != value for value in curve.robust_accuracies)
    assert all(low != low for low, _ in curve.intervals())


def test_refuses(setting):
    with pytest.raises(ThreatError, match="0 attacks"):
        curve_of(setting, [])
    with pytest.raises(ThreatError, match="0 budgets"):
        curve_of(setting, [FGSM()], [])


def test_progress(setting):
    seen = []
    curve_of(setting, [FGSM()], progress=lambda epsilon, survivors: seen.append((epsilon, survivors)))
    assert seen[0] == (0.0, 36)
    assert [epsilon for epsilon, _ in seen] == list(EPSILONS[: len(seen)])


def test_each_image_is_counted_for_the_attack_and_from_the_budget_that_fooled_it():
    """A clean mistake, one that falls at a budget exactly, two that fall below one, and one that holds."""
    inf = float("inf")
    found, by = torch.tensor([0.0, 0.1, 0.15, 0.05, inf]), torch.tensor([-1, 0, 1, 1, -1])
    curve = RobustAccuracyCurve(
        norm="linf",
        epsilons=(0.1, 0.2),
        attacks=("pgd", "fmn"),
        labels=torch.zeros(5, dtype=torch.int64),
        smallest_found=found,
        fooled_by=by,
        adversarial_inputs=torch.zeros(5, 1, 1, 1),
        adversarial_logits=torch.zeros(5, 2),
        clean_logits=torch.zeros(5, 2),
        forward_count=0,
        backward_count=0,
        doubts=(),
    )
    assert [curve.taken(epsilon) for epsilon in (0.0, 0.07, 0.1, 0.2)] == [(0, 0), (0, 1), (1, 1), (1, 2)]
    assert curve.robust_accuracies == (2 / 5, 1 / 5)
    assert curve.clean_accuracy == 4 / 5


def test_balanced_accuracies_are_means_over_the_classes_that_have_images():
    curve = RobustAccuracyCurve(
        norm="linf",
        epsilons=(0.1, 0.3),
        attacks=("fgsm",),
        labels=torch.tensor([0, 0, 0, 0, 2, 2]),
        smallest_found=torch.tensor([0.0, 0.2, torch.inf, torch.inf, 0.05, 0.2]),
        fooled_by=torch.tensor([-1, 0, -1, -1, 0, 0]),
        adversarial_inputs=torch.zeros(6, 1, 1, 1),
        adversarial_logits=torch.zeros(6, 3),
        clean_logits=torch.zeros(6, 3),
        forward_count=0,
        backward_count=0,
        doubts=(),
    )
    assert curve.balanced_accuracies == ((3 / 4 + 1 / 2) / 2, (2 / 4 + 0 / 2) / 2)
