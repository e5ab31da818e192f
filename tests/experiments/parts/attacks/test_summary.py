"""Counts of what became of the images, against counting them one by one."""

import json
from math import inf

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from foolscope.attacks import RobustAccuracyCurve
from foolscope.experiments.parts.attacks.records import AttackDetailsRecord, MaskingRecord
from foolscope.experiments.parts.attacks.summary import attack_details, summed_checks, summed_details

ATTACKS = ("fgsm", "pgd")
EPSILONS = (2 / 255, 8 / 255)
INFINITY_LOGIT = 9.0


def one_hot(classes, count):
    return INFINITY_LOGIT * torch.nn.functional.one_hot(torch.tensor(classes, dtype=torch.int64), count)


def curve_of(images, classes=3, epsilons=EPSILONS, attacks=ATTACKS):
    """Make a curve of (label, prediction under attack, size, attack), one for each image."""
    labels, predictions, sizes, attacked = (list(column) for column in zip(*images, strict=True))
    clean = [(label + 1) % classes if size == 0 else label for label, size in zip(labels, sizes, strict=True)]
    return RobustAccuracyCurve(
        norm="linf",
        epsilons=epsilons,
        attacks=attacks,
        labels=torch.tensor(labels),
        smallest_found=torch.tensor(sizes, dtype=torch.float32),
        fooled_by=torch.tensor(attacked),
        adversarial_inputs=torch.zeros(len(labels), 1, 1, 1),
        adversarial_logits=one_hot(predictions, classes).float(),
        clean_logits=one_hot(clean, classes).float(),
        forward_count=0,
        backward_count=0,
        doubts=(),
    )


IMAGES = [
    (0, 0, inf, -1),
    (0, 1, 8 / 255, 1),
    (0, 2, 2 / 255, 0),
    (1, 2, 0.0, -1),
    (1, 0, 0.001, 0),
    (1, 0, 0.02, 1),
    (0, 1, inf, -1),  # the last candidate of an attack that failed: its prediction does not count
]


def test_every_image_is_counted_once_at_each_budget():
    details = attack_details(curve_of(IMAGES), ["cat", "dog", "owl"])
    assert details.classes == ["cat", "dog", "owl"]
    assert details.misclassified == 1
    assert details.taken == [[2, 0], [2, 2]]
    assert details.held == [4, 2]
    assert details.class_images == [4, 3, 0]
    assert details.class_clean == [4, 2, 0]
    assert details.class_robust == [2, 0, 0]
    assert details.becomes == [[2, 1, 1], [2, 0, 0], [0, 0, 0]]
    assert details.sizes == pytest.approx([0, 0.001, 2 / 255, 0.02, 8 / 255], rel=1e-5)
    assert details.fallen == [1, 2, 3, 4, 5]
    assert attack_details(curve_of(IMAGES)).classes == ["0", "1", "2"]


sizes = st.one_of(st.sampled_from([0.0, inf, *EPSILONS]), st.floats(0.0001, 8 / 255))
rows = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), sizes, st.integers(0, 1)), min_size=1)


def as_found(images):
    """Name an attack only where one was needed and found something."""
    return [(label, other, size, by if 0 < size < inf else -1) for label, other, size, by in images]


@given(images=rows.map(as_found))
@settings(max_examples=60, deadline=None)
def test_counts_add_up(images):
    curve = curve_of(images)
    details = attack_details(curve)
    for row, accuracy in enumerate(curve.robust_accuracies):
        assert details.misclassified + sum(details.taken[row]) + details.held[row] == len(images)
        assert details.held[row] / len(images) == pytest.approx(accuracy)
    assert sum(details.class_images) == len(images)
    assert [sum(row) for row in details.becomes] == details.class_clean
    assert sum(details.class_robust) == details.held[-1]
    for label in range(3):
        own = [each for each in images if each[0] == label]
        assert details.class_images[label] == len(own)
        assert details.class_clean[label] == sum(size > 0 for _, _, size, _ in own)
        for other in range(3):
            became = sum(0 < size < inf and new == other for _, new, size, _ in own)
            held = sum(size == inf for _, _, size, _ in own) if label == other else 0
            assert details.becomes[label][other] == became + held
    assert (details.sizes[0], details.fallen[0]) == (0.0, details.misclassified)
    assert details.fallen[-1] == len(images) - details.held[-1]
    assert details.sizes == sorted(set(details.sizes))


def fallen_at(details, size):
    """Read the distribution: how many images are wrong after a change of at most ``size``."""
    return details.fallen[np.searchsorted(details.sizes, size * (1 + 1e-5), side="right") - 1]


def test_the_distribution_agrees_with_the_budgets():
    details = attack_details(curve_of(IMAGES))
    for epsilon, held in zip(EPSILONS, details.held, strict=True):
        assert fallen_at(details, epsilon) == len(IMAGES) - held


def test_a_long_distribution_is_thinned_evenly_and_keeps_its_jumps():
    generator = np.random.default_rng(0)
    found = np.concatenate([generator.uniform(0.001, 0.03, 5000) ** 1.5, np.full(2000, EPSILONS[1])])
    details = attack_details(curve_of([(0, 1, float(size), 0) for size in found]))
    assert len(details.sizes) <= 200
    assert fallen_at(details, EPSILONS[1]) == 7000
    for size in np.linspace(0, EPSILONS[1], 50):
        exact = int((found <= size * (1 + 1e-5)).sum())
        assert exact - 7000 / 198 <= fallen_at(details, size) <= exact
    assert details.fallen[-1] - details.fallen[-2] >= 2000


def test_models_are_summed():
    first, second = curve_of(IMAGES), curve_of(IMAGES[::2])
    both = summed_details([attack_details(first), attack_details(second)])
    together = attack_details(curve_of([*IMAGES, *IMAGES[::2]]))
    assert both == together.model_copy(update={"models": 2})
    assert summed_details([together]) == together


def test_it_survives_json():
    details = attack_details(curve_of(IMAGES))
    text = json.dumps(details.model_dump(mode="json"), allow_nan=False)
    assert AttackDetailsRecord(**json.loads(text)) == details


def seen(name, count, value=0.5):
    return MaskingRecord(
        name=name, seen=count, models=1, sentence=f"{name}: {count}", value=value, is_serious=True
    )


def test_signs_are_counted_over_models():
    first = [seen("zero", 0), seen("random", 1, inf), seen("late", 0)]
    second = [seen("zero", 1, 0.25), seen("random", 0, 0.0), seen("late", 0)]
    third = [seen("zero", 1, 0.75)]
    zero, random, late = summed_checks([first, second, third])
    assert (zero.name, zero.seen, zero.models, zero.sentence, zero.value) == ("zero", 2, 3, "zero: 1", 0.25)
    assert (random.seen, random.models, random.value) == (1, 2, None)
    assert (late.seen, late.models, late.sentence) == (0, 2, "late: 0")
