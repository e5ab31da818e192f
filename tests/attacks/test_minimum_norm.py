"""What the attacks that look for the smallest perturbation promise, against exact distances."""

import pydantic
import pytest
import torch

from foolscope.attacks import (
    ATTACKS,
    DDN,
    FAB,
    FGSM,
    FMN,
    PGD,
    CarliniWagner,
    DeepFool,
    misclassified,
    robust_accuracy_curve,
    run,
)
from foolscope.threats import Threat

EXACT = [
    FMN(),
    DDN(loss="margin"),
    DeepFool(),
    FAB(iterations=20),
]  # with cross-entropy DDN mixes in the classes further away
EXACT_IN_NORM = pytest.mark.parametrize(
    ("attack", "norm"),
    [pytest.param(attack, norm, id=f"{attack.name}-{norm}") for attack in EXACT for norm in attack.norms],
)
PROJECTING = pytest.mark.parametrize(  # DeepFool clips to the box, but knows no way around it
    ("attack", "norm"),
    [
        *(pytest.param(FMN(), norm, id=f"fmn-{norm}") for norm in FMN.norms),
        *(pytest.param(FAB(iterations=20), norm, id=f"fab-t-{norm}") for norm in FAB.norms),
        pytest.param(DDN(loss="margin", steps=300), "l2", id="ddn-l2"),
    ],
)
LARGEST = {"linf": 0.5, "l2": 2.0, "l1": 8.0}


def measure(name, perturbation):
    flat = perturbation.double().flatten(1)
    return {"linf": flat.abs().amax(1), "l2": flat.norm(dim=1), "l1": flat.abs().sum(1)}[name]


def exact_distance(norm, direction, margin, image):
    """Return the size of the smallest change in the box that raises ``direction · x`` by ``margin``.

    The best change of a given size is known in each norm; bisection finds the size that gains enough.
    """
    room = torch.where(direction > 0, 1 - image, image)
    slope = direction.abs()
    by_slope = slope.argsort(descending=True)

    def best(parameter):
        if norm == "linf":
            return room.clamp(max=parameter)
        if norm == "l2":  # stationary: proportional to the slope where the box allows
            return (parameter * slope).minimum(room)
        before = torch.cat([room.new_zeros(1), room[by_slope].cumsum(0)[:-1]])
        return torch.zeros_like(room).scatter(
            0, by_slope, (parameter - before).clamp(min=0).minimum(room[by_slope])
        )

    low, high = 0.0, 1e3
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if (slope * best(middle)).sum() >= margin else (middle, high)
    return measure(norm, best(high)[None]).item()


def exact_distances(norm, model, images, labels):
    """The smallest, over the other classes, of the exact distances to their half-spaces."""
    weights, logits = model[1].weight.detach(), model(images).detach()
    distances = [
        [
            exact_distance(norm, weights[k] - weights[label], row[label] - row[k], image.flatten())
            for k in range(len(weights))
            if k != label
        ]
        for image, row, label in zip(images, logits, labels, strict=True)
    ]
    return torch.tensor(distances, dtype=torch.float64).amin(1)


def linear_problem(make_linear, classes, binds):
    """Linear classes, all near gray images; or images half of whose pixels can move one way only."""
    generator = torch.Generator().manual_seed(6)
    weights = torch.randn(classes, 30, generator=generator, dtype=torch.float64)
    images = 0.5 + 0.02 * torch.randn(6, 2, 3, 5, generator=generator, dtype=torch.float64)
    biases = -(weights @ images[0].flatten())
    biases[1:] -= 0.4 + 0.5 * torch.rand(classes - 1, generator=generator, dtype=torch.float64)
    if binds:
        images = torch.where(torch.rand(images.shape, generator=generator) < 0.5, images.round(), images)
    model = make_linear(weights, biases).eval()
    return model, images, model(images).argmax(1)


def attacked(attack, norm, model, images, labels):
    """Towards every class, since only DeepFool looks at all of them; any class counts."""
    threat = Threat(norm, LARGEST[norm])
    return run(model, images, labels, threat, attack, seed=0, targets="every", success=misclassified)


@EXACT_IN_NORM
@pytest.mark.parametrize("classes", [2, 5])
def test_the_size_found_is_the_exact_distance(attack, norm, classes, make_linear):
    model, images, labels = linear_problem(make_linear, classes, binds=False)
    exact = exact_distances(norm, model, images, labels)
    differences = model[1].weight.detach()[None] - model[1].weight.detach()[labels][:, None]
    dual = {"linf": differences.abs().sum(2), "l2": differences.norm(dim=2), "l1": differences.abs().amax(2)}
    logits = model(images).detach()
    gaps = (logits.gather(1, labels[:, None]) - logits) / dual[norm]
    unbounded = gaps.scatter(1, labels[:, None], torch.inf).amin(1)
    if norm == "l1":  # its one pixel may lack the room
        assert bool((exact >= unbounded * (1 - 1e-9)).all())
    else:
        torch.testing.assert_close(exact, unbounded)
    result = attacked(attack, norm, model, images, labels)
    assert result.success.all()
    assert result.doubts == ()
    ratio = result.perturbation_sizes / exact
    assert 1 - 1e-9 <= ratio.min() <= ratio.max() <= 1.01, ratio


@PROJECTING
@pytest.mark.parametrize("classes", [2, 5])
def test_the_size_found_is_exact_where_the_box_binds(attack, norm, classes, make_linear):
    model, images, labels = linear_problem(make_linear, classes, binds=True)
    ratio = attacked(attack, norm, model, images, labels).perturbation_sizes / exact_distances(
        norm, model, images, labels
    )
    assert 1 - 1e-9 <= ratio.min() <= ratio.max() <= 1.01, ratio


@pytest.mark.parametrize("norm", DeepFool.norms)
def test_deepfool_finds_the_nearest_of_several_classes_by_itself(norm, make_linear):
    model, images, labels = linear_problem(make_linear, 5, binds=False)
    exact = exact_distances(norm, model, images, labels)
    threat = Threat(norm, LARGEST[norm])
    sizes = run(model, images, labels, threat, DeepFool(), seed=0).perturbation_sizes
    assert bool((sizes <= 1.01 * exact).all())
    blind = run(model, images, labels, threat, DeepFool(rivals=1), seed=0).perturbation_sizes
    assert bool((blind > 1.05 * exact).any())  # the class with the largest logit is not always the nearest


def test_deepfool_pays_for_one_forward_pass_and_one_backward_pass_a_rival(make_linear):
    model, images, labels = linear_problem(make_linear, 5, binds=False)
    result = run(model, images, labels, Threat("l2", 2), DeepFool(rivals=3, halvings=4), seed=0)
    # clean image, before and behind the boundary, halvings, last candidate, confirmation
    assert result.forwards.tolist() == [1 + 2 + 4 + 1 + 1] * 6
    assert result.backwards.tolist() == [2 * 3] * 6


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_first_radius_of_fmn_is_a_little_more_than_the_distance(norm, make_linear):
    model, images, labels = linear_problem(make_linear, 2, binds=False)
    attack = FMN(steps=1, step_size=50.0)
    result = run(model, images, labels, Threat(norm, LARGEST[norm]), attack, seed=0)
    torch.testing.assert_close(result.perturbation_sizes, 1.05 * exact_distances(norm, model, images, labels))


CARLINI_WAGNER = CarliniWagner(search_steps=5, iterations=80, learning_rate=0.02, initial_constant=0.1)


def test_carlini_wagner_finds_the_exact_distance(make_linear):
    model, images, labels = linear_problem(make_linear, 2, binds=False)
    ratio = attacked(CARLINI_WAGNER, "l2", model, images, labels).perturbation_sizes / exact_distances(
        "l2", model, images, labels
    )
    assert 1 - 1e-9 <= ratio.min() <= ratio.max() <= 1.01, ratio


def test_carlini_wagner_searches_the_constant(make_linear):
    """At the minimum of ``d² + c (m − d ‖w‖)`` the image fools if and only if ``c > 2 m / ‖w‖²``."""
    model, images, labels = linear_problem(make_linear, 2, binds=False)
    logits, weights = model(images[:1]).detach(), model[1].weight.detach()
    gap = (logits.max() - logits.min()).item()
    threshold = 2 * gap / (weights[1] - weights[0]).square().sum().item()
    for factor, fools in [(0.5, False), (1.2, True)]:
        attack = CarliniWagner(search_steps=1, iterations=150, initial_constant=factor * threshold)
        result = run(model, images[:1], labels[:1], Threat("l2", 2), attack, seed=0)
        assert bool(result.success) == fools
    grown = CarliniWagner(search_steps=2, iterations=150, initial_constant=0.12 * threshold)
    assert run(model, images[:1], labels[:1], Threat("l2", 2), grown, seed=0).success.all()


def test_carlini_wagner_gives_up_a_constant_that_gains_no_more(make_linear, monkeypatch):
    model, images, labels = linear_problem(make_linear, 2, binds=False)
    attack = CarliniWagner(search_steps=2, iterations=150, initial_constant=0.1)
    early = run(model, images, labels, Threat("l2", 2), attack, seed=0)
    monkeypatch.setattr("foolscope.attacks.carlini_wagner._SHORTEST_PERIOD", 1000)
    full = run(model, images, labels, Threat("l2", 2), attack, seed=0)
    assert full.backwards.tolist() == [300] * 6
    assert early.backwards.unique().numel() > 1  # each image in its own time
    assert int((early.backwards < 300).sum()) >= 5
    assert bool((early.backwards >= 2 * 100).all())  # two checks for each constant, 50 iterations apart
    assert full.success.all()
    torch.testing.assert_close(early.perturbation_sizes, full.perturbation_sizes, rtol=2e-3, atol=0.0)


def test_looking_beyond_the_ball_is_no_reason_for_a_doubt_and_counts_for_nothing(make_linear):
    model, images, labels = linear_problem(make_linear, 2, binds=False)
    budget = exact_distances("l2", model, images, labels).min().item() / 2
    result = run(model, images, labels, Threat("l2", budget), CARLINI_WAGNER, seed=0)
    assert not result.success.any()
    assert result.doubts == ()
    assert bool((result.perturbation_sizes <= budget * (1 + 1e-9)).all())
    assert bool((result.perturbation_sizes > 0).all())


@pytest.fixture
def setting(make_network, make_images):
    model, images = make_network(1, 6, 5, 3).eval(), make_images(30, 1, 6, 5)
    labels = model(images).argmax(1)
    labels[:4] = (labels[:4] + 1) % 3
    return model, images, labels


@EXACT_IN_NORM
def test_one_run_answers_for_every_budget(attack, norm, setting):
    model, images, labels = setting
    largest = LARGEST[norm] / 2
    budgets = [0, *(largest * k / 12 for k in (1, 2, 3, 6, 12))]
    result = run(model, images, labels, Threat(norm, largest), attack, seed=0)
    curve = robust_accuracy_curve(model, images, labels, norm, budgets, [attack], seed=0)
    sizes = measure(norm, result.adversarial_inputs - images).clamp(max=largest)
    thresholded = [1 - (result.success & (sizes <= budget)).double().mean().item() for budget in budgets]
    assert curve.robust_accuracies == pytest.approx(thresholded)
    assert len(set(thresholded)) > 3
    assert thresholded[0] == 26 / 30
    assert (curve.forward_count, curve.backward_count) == (result.forward_count, result.backward_count)


def test_a_curve_takes_what_either_kind_of_attack_finds(setting):
    model, images, labels = setting
    budgets = [0.0, 0.01, 0.03, 0.1]
    rough = FMN(steps=3, step_size=0.01)
    mixed, fixed, alone = (
        robust_accuracy_curve(model, images, labels, "linf", budgets, attacks, seed=0)
        for attacks in ([FGSM(), rough, PGD()], [FGSM(), PGD()], [rough])
    )
    lowest = [min(pair) for pair in zip(fixed.robust_accuracies, alone.robust_accuracies, strict=True)]
    assert all(a <= b for a, b in zip(mixed.robust_accuracies, lowest, strict=True))
    assert mixed.backward_count < fixed.backward_count + alone.backward_count
    assert {0, 1, 2} & set(mixed.fooled_by.tolist()) > {1}
    fooled = mixed.smallest_found.isfinite()
    sizes = (mixed.adversarial_inputs - images).abs().amax((1, 2, 3))
    torch.testing.assert_close(sizes[fooled], mixed.smallest_found[fooled])
    assert bool((model(mixed.adversarial_inputs).argmax(1) != labels)[fooled].all())


def test_a_later_attack_replaces_only_larger_perturbations(setting):
    model, images, labels = setting
    rough = FMN(steps=4, step_size=0.1)
    one = run(model, images, labels, Threat("l2", 1), rough, seed=0)
    other = run(model, images, labels, Threat("l2", 1), DeepFool(), seed=0)
    curve = robust_accuracy_curve(model, images, labels, "l2", [0, 1], [rough, DeepFool()], seed=0)
    found = torch.stack(
        [torch.where(each.success, each.perturbation_sizes, torch.inf) for each in (one, other)]
    )
    torch.testing.assert_close(curve.smallest_found, found.amin(0))
    assert torch.equal(curve.fooled_by[4:], found[:, 4:].argmin(0))
    assert set(curve.fooled_by.tolist()) == {-1, 0, 1}


@EXACT_IN_NORM
def test_more_steps_find_smaller_perturbations(attack, norm, setting):
    model, images, labels = setting
    means = []
    field = "iterations" if isinstance(attack, FAB) else "steps"
    for steps in (5, 20, 80):
        longer = attack.model_copy(update={field: steps})
        result = run(model, images[4:], labels[4:], Threat(norm, LARGEST[norm]), longer, seed=0)
        means.append(torch.where(result.success, result.perturbation_sizes, LARGEST[norm]).mean().item())
    assert means == sorted(means, reverse=True)
    assert means[-1] < means[0] or attack.name == "deepfool"  # which is through after five


@EXACT_IN_NORM
def test_a_budget_is_spent_on_what_it_allows(attack, norm, setting):
    """With the budget halfway, the images that a large one fools within it still fall, and no others."""
    model, images, labels = (each[4:] if isinstance(each, torch.Tensor) else each for each in setting)
    free = run(model, images, labels, Threat(norm, LARGEST[norm]), attack, seed=0)
    budget = free.perturbation_sizes.median().item()
    tight = run(model, images, labels, Threat(norm, budget), attack, seed=0)
    assert tight.doubts == ()
    assert bool((measure(norm, tight.adversarial_inputs - images) <= budget * (1 + 1e-9)).all())
    assert abs(int(tight.success.sum()) - 13) <= 2


@pytest.mark.parametrize("settings", [ATTACKS[name] for name in ("fmn", "ddn", "deepfool", "carlini-wagner")])
def test_settings_are_checked(settings):
    for wrong in (
        {"steps": 0},
        {"step": 3},
        *([{"step_size": 0}, {"radius_step": 1}] if settings is FMN else []),
    ):
        with pytest.raises(pydantic.ValidationError):
            settings(**wrong)
