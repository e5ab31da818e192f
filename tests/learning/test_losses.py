import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional

from foolscope.core.errors import RecipeError
from foolscope.learning import LOSSES
from foolscope.learning.losses import (
    CrossEntropy,
    Focal,
    SquaredError,
    class_weights_per_trial,
    cross_entropy,
    evaluation_loss,
    focal,
    smoothing_per_trial,
    squared_error,
    training_loss,
)

TRIALS, BATCH, CLASSES = 3, 7, 4


def logits_and_labels(classes=CLASSES):
    generator = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(TRIALS, BATCH, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (TRIALS, BATCH), generator=generator)


@pytest.mark.parametrize("smoothings", [(0.0, 0.0, 0.0), (0.0, 0.1, 0.5), (0.9, 0.9, 0.9)])
@pytest.mark.parametrize("classes", [2, CLASSES])
def test_cross_entropy_is_pytorchs_with_each_trials_own_smoothing(smoothings, classes):
    logits, labels = logits_and_labels(classes)
    settings = [CrossEntropy(label_smoothing=rate) for rate in smoothings]
    rates = smoothing_per_trial(settings, torch.device("cpu"), torch.float64)
    losses = cross_entropy(logits, labels, rates)
    for trial, rate in enumerate(smoothings):
        expected = functional.cross_entropy(
            logits[trial], labels[trial], reduction="none", label_smoothing=rate
        )
        torch.testing.assert_close(losses[trial], expected, rtol=1e-12, atol=1e-12)


@given(st.floats(0.0, 0.99))
def test_smoothed_cross_entropy_is_least_at_the_smoothed_label(rate):
    """−Σ q log p is least, over p, at p = q = (1 − s) onehot + s / K, where it is the entropy of q."""
    target = torch.full((CLASSES,), rate / CLASSES, dtype=torch.float64)
    target[1] += 1.0 - rate
    entropy = torch.special.entr(target).sum()
    logits = target.clamp_min(1e-300).log().expand(1, 1, CLASSES)
    least = cross_entropy(logits, torch.tensor([[1]]), torch.tensor([rate], dtype=torch.float64))
    torch.testing.assert_close(least.squeeze(), entropy, rtol=1e-9, atol=1e-9)


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes():
    losses = cross_entropy(torch.zeros(1, 2, 10), torch.tensor([[0, 9]]), torch.tensor([0.3]))
    torch.testing.assert_close(losses, torch.full((1, 2), 10.0).log())


def test_squared_error_is_half_the_squared_distance_to_the_one_hot_label():
    scores, labels = logits_and_labels()
    expected = 0.5 * functional.mse_loss(
        scores, functional.one_hot(labels, CLASSES).double(), reduction="none"
    ).sum(-1)
    torch.testing.assert_close(squared_error(scores, labels, torch.zeros(TRIALS)), expected)


@pytest.mark.parametrize("name", list(LOSSES))
def test_contract(name):
    """Finite for large logits, no smaller than zero, gradient stays within the trial, inputs untouched."""
    settings, loss = LOSSES[name].settings, LOSSES[name].function
    assert settings.model_fields["name"].default == name
    logits, labels = logits_and_labels()
    logits = (100 * logits).requires_grad_()
    before = logits.detach().clone()
    losses = loss(logits, labels, torch.tensor([0.0, 0.1, 0.2], dtype=torch.float64))
    assert losses.shape == labels.shape
    assert losses.isfinite().all()
    assert losses.min() >= 0
    (gradient,) = torch.autograd.grad(losses[1].sum(), logits)
    assert gradient[1].abs().sum() > 0
    assert gradient[[0, 2]].abs().sum() == 0
    assert torch.equal(logits.detach(), before)


COUNTS = torch.tensor([3, 2, 1, 1])


@pytest.mark.parametrize(
    "settings", [CrossEntropy(), SquaredError(), Focal(gamma=1.5)], ids=lambda settings: settings.name
)
def test_integer_weights_are_the_loss_of_a_set_in_which_images_stand_several_times(settings):
    logits = torch.randn(1, 7, CLASSES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.arange(CLASSES).repeat_interleave(COUNTS)[None]
    times = (1, 2, 5, 3)
    weighted = training_loss([settings.model_copy(update={"class_weights": times})], COUNTS, torch.float64)
    repeats = torch.tensor(times)[labels[0]]
    plain = evaluation_loss([settings], torch.device("cpu"), torch.float64)
    expected = plain(logits.repeat_interleave(repeats, dim=1), labels.repeat_interleave(repeats, dim=1), None)
    torch.testing.assert_close(weighted(logits, labels, None).mean(), expected.mean())


def test_balanced_weights_are_those_of_scikit_learn_and_may_differ_by_trial():
    settings = [
        CrossEntropy(class_weights="balanced"),
        CrossEntropy(),
        CrossEntropy(class_weights=(2.0,) * 4),
    ]
    weights = class_weights_per_trial(settings, COUNTS, torch.float64)
    labels = torch.arange(CLASSES).repeat_interleave(COUNTS)
    expected = compute_class_weight("balanced", classes=labels.unique().numpy(), y=labels.numpy())
    assert weights[0].tolist() == pytest.approx(expected)
    assert weights[1:].tolist() == [[1.0] * 4] * 2
    assert class_weights_per_trial([CrossEntropy()], COUNTS) is None
    without = class_weights_per_trial(settings[:1], torch.tensor([2, 2, 0, 4]), torch.float64)
    assert without[0].tolist() == pytest.approx([8 / 6, 8 / 6, 0.0, 8 / 12])


def test_a_list_of_weights_of_another_length_is_refused_in_one_line():
    with pytest.raises(RecipeError, match="one number for each of the 4 classes; got 2") as caught:
        training_loss([CrossEntropy(class_weights=(1.0, 2.0))], COUNTS)
    assert "\n" not in str(caught.value)


def test_focal_loss_is_cross_entropy_times_a_power_of_what_is_missing_to_certainty():
    logits, labels = logits_and_labels()
    own = logits.softmax(dim=-1).gather(2, labels[..., None])[..., 0]
    exponents = torch.tensor([0.0, 0.5, 2.0], dtype=torch.float64)
    expected = -((1 - own) ** exponents[:, None]) * own.log()
    torch.testing.assert_close(focal(logits, labels, gamma=exponents), expected)
    torch.testing.assert_close(focal(logits, labels, gamma=0.0), cross_entropy(logits, labels))
    certain = torch.tensor([[[800.0, 0.0]]], requires_grad=True)
    (slope,) = torch.autograd.grad(
        focal(certain, torch.zeros(1, 1, dtype=torch.long), gamma=0.5).sum(), certain
    )
    assert slope.isfinite().all()


@pytest.mark.parametrize("name", [name for name, entry in LOSSES.items() if entry.takes_probabilities])
def test_probabilities_stand_in_place_of_labels(name):
    logits, labels = logits_and_labels()
    loss = LOSSES[name].function
    certain = functional.one_hot(labels, CLASSES).double()
    torch.testing.assert_close(loss(logits, certain, None), loss(logits, labels, None))
    settings = LOSSES[name].settings(class_weights=(1.0, 2.0, 3.0, 4.0))
    weighted = training_loss([settings] * TRIALS, COUNTS, torch.float64)
    torch.testing.assert_close(weighted(logits, certain, None), weighted(logits, labels, None))
    mixed = 0.3 * certain + 0.7 * certain.flip(-1)
    if name == "cross-entropy":
        expected = functional.cross_entropy(logits[0], mixed[0], reduction="none")
        torch.testing.assert_close(loss(logits, mixed, None)[0], expected)


def test_gathering_smoothing():
    settings = [CrossEntropy(label_smoothing=0.25), SquaredError()]
    assert smoothing_per_trial(settings, torch.device("cpu")).tolist() == [0.25, 0.0]
    assert smoothing_per_trial([SquaredError(), CrossEntropy()], torch.device("cpu")) is None
