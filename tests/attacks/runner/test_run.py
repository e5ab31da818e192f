from math import ceil

import pytest
import torch
from torch import nn

from foolscope.attacks import PGD, misclassified, run
from foolscope.core.errors import ThreatError
from foolscope.core.settings import Settings
from foolscope.threats import Threat
from foolscope.threats.prediction import automatic_batch_size


class Scripted(Settings):
    """Shows the model the points x + shifts[step], whatever the model says."""

    shifts: tuple[float, ...]
    name: str = "scripted"
    restarts: int = 1
    stops_at_success: bool = True
    norms: tuple[str, ...] = ("linf",)

    @property
    def steps(self):
        return len(self.shifts) - 1

    def start(self, problem, noise):
        return {"inputs": problem.inputs + self.shifts[0]}

    def step(self, problem, state, oracle):
        oracle.logits(state["inputs"])
        shifts = problem.inputs.new_tensor(self.shifts)[problem.steps + 1]
        return {"inputs": problem.inputs + shifts[:, None, None, None]}


class Wrapped(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images.flatten(1))


def brightness(flat):
    """Two classes, the brighter one from a mean of 0.5 on."""
    return torch.stack([torch.full_like(flat[:, 0], 0.5), flat.mean(1)], 1)


def at(*means):
    images = torch.tensor(means, dtype=torch.float64)[:, None, None, None].expand(-1, 1, 2, 3)
    return images.clone(), torch.zeros(len(means), dtype=torch.int64)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 256])
def test_a_fooled_image_costs_nothing_more(batch_size):
    """With a step of 0.01 an image at distance δ from the boundary falls after ⌈δ / 0.01⌉ steps."""
    distances = [0.035, 0.0, 0.145, 0.005, 0.095, 0.5, 0.155, 0.2, 0.012]
    images, labels = at(*(0.5 - distance for distance in distances))
    labels[1] = 1  # at the boundary the first class wins: misclassified as it is
    attack = PGD(steps=10, step_size=0.01, random_start=False)
    calls = []
    model = Wrapped(lambda flat: (calls.append(len(flat)), brightness(flat))[1])
    result = run(model, images, labels, Threat("linf", 0.4), attack, seed=0, batch_size=batch_size)
    forwards, backwards = [], []
    for k, distance in enumerate(distances):
        steps = ceil(distance / 0.01)
        fooled = steps <= 10
        seen = min(steps + 1, 10)  # each step asks before it moves, so it takes one more to see the success
        forwards.append(1 if k == 1 else 1 + seen + (steps >= 10) + fooled)
        backwards.append(0 if k == 1 else seen)
        assert bool(result.success[k]) == (fooled or k == 1)
        assert int(result.steps[k]) == (0 if k == 1 else min(steps, 10))
    assert result.forwards.tolist() == forwards
    assert result.backwards.tolist() == backwards
    assert result.forward_count == sum(calls) == sum(forwards)
    assert result.backward_count == sum(backwards)
    assert max(calls) <= batch_size


def test_waiting_images_fill_the_batch():
    images, labels = at(*[0.3] * 2, *[0.495] * 20)
    calls = []
    model = Wrapped(lambda flat: (calls.append(len(flat)), brightness(flat))[1])
    attack = PGD(steps=20, step_size=0.01, random_start=False)
    run(model, images, labels, Threat("linf", 0.1), attack, seed=0, batch_size=4)
    loop = calls[6:-5]  # without the clean images and the last check
    assert sum(loop) == 2 * 21 + 20 * 2
    # The quick images pass beside the slow ones, two rounds each; batch after batch takes 21 + 5 × 2 rounds.
    assert len(loop) <= 22


def test_restarts_go_on_only_where_nothing_was_found():
    images, labels = at(0.5 - 0.045, 0.2)
    attack = PGD(steps=3, step_size=0.03, restarts=4)
    result = run(Wrapped(brightness), images, labels, Threat("linf", 0.05), attack, seed=0, batch_size=2)
    assert result.success.tolist() == [True, False]
    assert int(result.forwards[1]) == 1 + 4 * 4
    assert int(result.backwards[1]) == 4 * 3
    assert int(result.items[0]) == 0
    seen = min(int(result.steps[0]) + 1, 3) + (int(result.steps[0]) == 3)
    assert int(result.forwards[0]) == 1 + seen + 1  # no second restart for it
    assert int(result.items[1]) == 0  # of an image that holds the first candidate is shown


def test_the_lowest_work_item_wins_whatever_the_batch_size():
    """Both targets can be reached; with room for both the second succeeds while the first still runs."""
    weights = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    model = Wrapped(lambda flat: flat @ weights.T + torch.tensor([0.1, 0.0, 0.0], dtype=torch.float64))
    images, labels = torch.zeros(1, 1, 1, 2, dtype=torch.float64), torch.tensor([0])
    attack = PGD(steps=20, step_size=0.02, random_start=False)
    targets = torch.tensor([[1, 2]])
    for batch_size in (1, 2):
        result = run(
            model, images, labels, Threat("linf", 0.3), attack, seed=0, targets=targets, batch_size=batch_size
        )
        assert int(result.items[0]) == 0
        assert result.adversarial_predictions.tolist() == [1]


def test_aiming_and_taking_any():
    weights = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.1]], dtype=torch.float64)
    model = Wrapped(lambda flat: flat @ weights.T + torch.tensor([0.1, 0.0, 0.005], dtype=torch.float64))
    images, labels = torch.full((1, 1, 1, 2), 0.05, dtype=torch.float64), torch.tensor([0])
    attack = PGD(steps=20, step_size=0.01, random_start=False)
    aim = torch.tensor([1])
    strict = run(model, images, labels, Threat("linf", 0.06), attack, seed=0, targets=aim)
    loose = run(
        model, images, labels, Threat("linf", 0.06), attack, seed=0, targets=aim, success=misclassified
    )
    assert not strict.success.any()
    assert loose.success.all()
    assert loose.adversarial_predictions.tolist() == [2]


def test_an_image_that_an_attack_sets_right_is_not_robust():
    """The first image is misclassified and moved towards class 2, but no further than into its own class."""
    model = Wrapped(lambda flat: flat.mean(1, keepdim=True) * torch.arange(3.0) - torch.tensor([0, 0.5, 1.3]))
    images, labels = at(0.4, 0.6)
    result = run(
        model,
        images,
        torch.ones_like(labels),
        Threat("linf", 0.3),
        Scripted(shifts=(0.15,)),
        seed=0,
        targets=torch.tensor([2, 2]),
    )
    assert result.clean_predictions.tolist() == [0, 1]
    assert result.adversarial_predictions.tolist() == [1, 1]
    assert result.robust.tolist() == [False, True]
    assert result.robust_accuracy == result.clean_accuracy == 0.5


def test_trace_follows_every_image_and_changes_no_verdict(make_network, make_images):
    model, images = make_network(1, 6, 5, 3).eval(), make_images(20, 1, 6, 5)
    labels = model(images).argmax(1)
    labels[0] = (labels[0] + 1) % 3
    attack = PGD(steps=6, step_size=0.05 / 6, random_start=False)
    plain = run(model, images, labels, Threat("linf", 0.05), attack, seed=0)
    traced = run(model, images, labels, Threat("linf", 0.05), attack, seed=0, trace=True, batch_size=3)
    assert plain.losses_by_step.shape == (20, 0)
    assert traced.losses_by_step.shape == (20, 7)
    clean = torch.nn.functional.cross_entropy(model(images), labels, reduction="none")
    torch.testing.assert_close(traced.losses_by_step[:, 0], clean)
    means = traced.losses_by_step.mean(0)
    assert bool((means.diff() > 0).all())
    torch.testing.assert_close(traced.adversarial_inputs, plain.adversarial_inputs)
    assert torch.equal(traced.success, plain.success)
    assert 1 < plain.success.sum() < 20
    assert bool((traced.backwards == 6).all())


def test_every_image_an_attack_shows_counts():
    images, labels = at(0.4)
    result = run(
        Wrapped(brightness), images, labels, Threat("linf", 0.3), Scripted(shifts=(0.0, 0.2, 0.0)), seed=0
    )
    assert result.success.all()
    torch.testing.assert_close(result.perturbation_sizes, torch.tensor([0.2], dtype=torch.float64))


def test_an_attack_without_steps_is_checked():
    images, labels = at(0.4, 0.1)
    result = run(Wrapped(brightness), images, labels, Threat("linf", 0.3), Scripted(shifts=(0.2,)), seed=0)
    assert result.success.tolist() == [True, False]


def test_the_smallest_perturbation_is_kept_where_an_attack_asks_for_it():
    images, labels = at(0.4, 0.35)
    attack = Scripted(shifts=(0.3, 0.12, 0.05, 0.2), stops_at_success=False)
    result = run(Wrapped(brightness), images, labels, Threat("linf", 1), attack, seed=0)
    torch.testing.assert_close(result.perturbation_sizes, torch.tensor([0.12, 0.2], dtype=torch.float64))
    assert result.steps.tolist() == [1, 3]


@pytest.mark.parametrize("mean", [0.4, 0.9])
def test_what_leaves_the_ball_or_the_bounds_does_not_count(mean):
    images, labels = at(mean)
    labels[:] = int(mean > 0.5)
    shift = 0.2 if mean < 0.5 else -1.0  # past the ball; past black
    result = run(
        Wrapped(brightness).eval(),
        images,
        labels,
        Threat("linf", abs(shift) * 0.99),
        Scripted(shifts=(shift,)),
        seed=0,
    )
    assert not result.success.any()
    assert "left the ball" in result.doubts[0]


class TestDoubts:
    def doubts(self, function, images=None, **settings):
        images, labels = at(0.45, 0.3) if images is None else images
        return run(
            Wrapped(function).eval(), images, labels, Threat("linf", 0.1), PGD(steps=4, **settings), seed=0
        ).doubts

    def test_none(self):
        assert self.doubts(brightness) == ()

    def test_dead_units(self):
        (doubt,) = self.doubts(lambda flat: brightness(torch.relu(flat - 0.6)))
        assert doubt.startswith("100 % of the input gradients were exactly zero")

    def test_detached_input(self):
        (doubt,) = self.doubts(lambda flat: brightness(flat.detach()))
        assert "exactly zero" in doubt

    def test_not_finite_gradient(self):
        (doubt,) = self.doubts(lambda flat: brightness(flat) + torch.sqrt(flat * 0).sum(1, keepdim=True))
        assert "not finite" in doubt

    def test_not_finite_output(self):
        doubts = self.doubts(lambda flat: brightness(flat) / 0)
        assert any("The output on 2 clean images is not finite" in doubt for doubt in doubts)

    def test_not_a_number_does_not_fool(self):
        images, labels = at(0.3)
        threat = Threat("linf", 0.1)
        over = torch.tensor([0.0, torch.nan])
        model = Wrapped(lambda flat: torch.where(flat[:, :1] > 0.35, over, brightness(flat)))
        assert not run(model, images, labels, threat, PGD(steps=4), seed=0).success.any()

    def test_probabilities(self):
        (doubt,) = self.doubts(lambda flat: brightness(flat).softmax(1))
        assert "probabilities" in doubt

    def test_train_mode(self):
        images, labels = at(0.45)
        (doubt,) = run(
            Wrapped(brightness).train(), images, labels, Threat("linf", 0.1), PGD(steps=2), seed=0
        ).doubts
        assert "train mode" in doubt

    def test_a_model_that_answers_differently(self):
        calls = []

        def second_thoughts(flat):
            calls.append(1)
            return brightness(flat + (0.3 if len(calls) == 2 else 0.0))

        images, labels = at(0.45)
        model = Wrapped(second_thoughts).eval()
        result = run(model, images, labels, Threat("linf", 0.01), PGD(steps=2), seed=0)
        assert not result.success.any()
        assert "from call to call" in result.doubts[0]


def test_refuses():
    images, labels = at(0.4, 0.3)
    threat, attack = Threat("linf", 0.1), PGD(steps=2)
    with pytest.raises(ThreatError, match=r"logits of shape \(2, classes\)"):
        run(Wrapped(lambda flat: flat.mean(1, keepdim=True)), images, labels, threat, attack, seed=0)
    with pytest.raises(ThreatError, match="below 2"):
        run(Wrapped(brightness), images, labels + 2, threat, attack, seed=0)
    with pytest.raises(ThreatError, match="Did you mean 200/255"):
        run(Wrapped(brightness), images, labels, Threat("l2", 200), attack, seed=0)
    with pytest.raises(ThreatError, match="scripted works in linf; got norm 'l1'"):
        run(Wrapped(brightness), images, labels, Threat("l1", 0.1), Scripted(shifts=(0.1,)), seed=0)


def brighter_from(threshold):
    """Two classes as in ``brightness``, with another boundary."""
    return Wrapped(lambda flat: brightness(flat) + torch.tensor([threshold - 0.5, 0.0]))


@pytest.mark.parametrize(
    ("shifts", "judged"), [((0.0, 0.35, 0.4), 1), ((0.0, 0.2, 0.35), 2), ((0.0, 0.05, 0.35), 1)]
)
def test_steps_on_another_model_are_judged_by_the_model_itself_once(shifts, judged):
    """The image, of brightness 0.2, fools the other model from 0.3 on and really beyond 0.5.

    The model itself is asked where the other seems to be fooled, and about the last image; nobody is asked
    about a fooling image twice.
    """
    images, labels = at(0.2)
    calls = []
    model = Wrapped(lambda flat: (calls.append(len(flat)), brightness(flat))[1])
    result = run(
        model,
        images,
        labels,
        Threat("linf", 0.4),
        Scripted(shifts=shifts),
        seed=0,
        clean_logits=brightness(images.flatten(1)),
        stepping_model=brighter_from(0.3),
    )
    assert bool(result.success[0])
    assert float(result.adversarial_inputs.mean()) == pytest.approx(0.55)
    assert sum(calls) == judged
    assert result.forward_count == judged + 2


def test_what_fools_only_the_stepping_model_does_not_count():
    images, labels = at(0.2)
    model, attack = Wrapped(brightness), Scripted(shifts=(0.0, 0.2, 0.25))
    result = run(
        model, images, labels, Threat("linf", 0.4), attack, seed=0, stepping_model=brighter_from(0.3)
    )
    assert not bool(result.success[0])
    assert float(result.adversarial_logits[0].argmax()) == 0


@pytest.mark.parametrize(
    ("mean", "shift", "stored"),
    [
        (0.3, 0.35, 0.6),
        (0.3, 0.25, None),  # 0.55 fools, but not the level below it
        (0.8, -0.35, 0.5),
        (0.9, -0.35, None),
        (0.1, 0.7, 0.8),  # 0.7999999999999999 is on its level, and
        (0.8, -0.5, 0.3),  # so is 0.30000000000000004
    ],
)
def test_what_fools_is_rounded_to_the_level_towards_the_clean_image_before_it_counts(mean, shift, stored):
    images, labels = at(mean)
    labels[:] = int(mean > 0.5)
    result = run(
        Wrapped(brightness),
        images,
        labels,
        Threat("linf", abs(shift)),
        Scripted(shifts=(shift,)),
        seed=0,
        levels=10,
    )
    assert bool(result.success) == (stored is not None)
    if stored is not None:
        torch.testing.assert_close(result.adversarial_inputs, torch.full_like(images, stored))


def test_known_clean_logits_save_a_pass():
    images, labels = at(0.2)
    model = Wrapped(brightness)
    logits = model(images)
    threat = Threat("linf", 0.1)
    asked = run(model, images, labels, threat, PGD(steps=2), seed=0)
    known = run(model, images, labels, threat, PGD(steps=2), seed=0, clean_logits=logits)
    assert known.forward_count == asked.forward_count - 1
    assert torch.equal(known.adversarial_inputs, asked.adversarial_inputs)


def test_progress_reaches_the_end():
    seen = []
    images, labels = at(0.2, 0.49, 0.3)
    run(
        Wrapped(brightness),
        images,
        labels,
        Threat("linf", 0.1),
        PGD(steps=3, restarts=2),
        seed=0,
        batch_size=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (6, 6)
    assert seen == sorted(seen)


def test_automatic_batch_size():
    assert automatic_batch_size(torch.zeros(0, 1, 28, 28)) == 668
    assert automatic_batch_size(torch.zeros(2, 3, 32, 32)) == 170
    assert automatic_batch_size(torch.zeros(1, 3, 4000, 4000)) == 1
