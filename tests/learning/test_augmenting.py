"""Minibatches are augmented per seed; trials of a seed share the result; mixed labels enter the loss."""

from dataclasses import replace

import pytest
import torch

from foolscope.augmentation import AUGMENTATIONS
from foolscope.core.errors import RecipeError
from foolscope.learning import train_pack
from foolscope.learning.augmenting import EpochAugmentation, Targets, check_augmentation
from foolscope.learning.losses import cross_entropy


def operation(name, **values):
    return AUGMENTATIONS[name].settings.model_validate({"name": name, **values})


def images_of(groups, batch):
    return torch.rand(groups, batch, 1, 4, 5, generator=torch.Generator().manual_seed(1))


def augmented(operations, images, seeds=(0, 1), epoch=0, labels=None):
    groups, batch = images.shape[:2]
    labels = torch.arange(batch).expand(groups, -1) if labels is None else labels
    indices = torch.arange(batch).expand(groups, -1)
    return EpochAugmentation(operations, seeds, epoch, torch.device("cpu"))(images, indices, labels)


def test_a_seed_draws_the_same_in_any_pack_and_another_in_another_epoch():
    images = images_of(1, 40).expand(2, -1, -1, -1, -1)
    flip = operation("horizontal-flip")
    both, _ = augmented([flip], images)
    alone, _ = augmented([flip], images[:1], seeds=(1,))
    later, _ = augmented([flip], images[:1], seeds=(1,), epoch=1)
    assert torch.equal(both[1], alone[0])
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(alone, later)


def test_an_operation_draws_the_same_numbers_whatever_others_there_are():
    images = images_of(1, 40)
    flip, never = operation("horizontal-flip"), operation("invert", probability=0.0)
    alone, _ = augmented([flip], images, seeds=(3,))
    behind, _ = augmented([never, flip], images, seeds=(3,))
    assert torch.equal(alone, behind)


def test_two_operations_of_one_kind_draw_different_numbers():
    images = images_of(1, 40)
    flip = operation("horizontal-flip")
    twice, _ = augmented([flip, flip], images, seeds=(3,))
    assert not torch.equal(twice, images)  # equal draws would undo each other


def test_mixed_images_have_the_loss_of_mixed_labels():
    images, labels = images_of(1, 6), torch.tensor([[0, 1, 2, 0, 1, 2]])
    mixed, targets = augmented(
        [operation("mixup", alpha=1.0)], images, seeds=(5,), labels=labels.expand(2, -1)
    )
    assert targets.partners is not None
    assert targets.weights is not None
    logits = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    weights = targets.weights.double()
    soft = torch.zeros(2, 6, 3, dtype=torch.float64)
    soft.scatter_add_(2, targets.labels[..., None], weights[..., None])
    soft.scatter_add_(2, targets.partners[..., None], (1 - weights)[..., None])
    expected = -(soft * logits.log_softmax(dim=-1)).sum(dim=-1)
    torch.testing.assert_close(
        replace(targets, weights=weights).losses(cross_entropy, logits, None), expected
    )
    for image in range(6):  # the partner's label goes with the partner's pixels
        weight = targets.weights[0, image]
        candidates = [
            other
            for other in range(6)
            if torch.allclose(
                mixed[0, image], weight * images[0, image] + (1 - weight) * images[0, other], atol=1e-6
            )
        ]
        assert int(targets.partners[0, image]) in {int(labels[0, other]) for other in candidates}


def test_without_mixing_the_loss_is_that_of_the_labels():
    logits, labels = torch.randn(1, 4, 3), torch.tensor([[0, 1, 2, 0]])
    assert torch.equal(Targets(labels).losses(cross_entropy, logits, None), cross_entropy(logits, labels))


def test_trials_of_one_seed_share_their_augmentation_and_packs_change_nothing(make_trial, make_dataset):
    operations = (operation("horizontal-flip"), operation("mixup"))
    trials = [make_trial(seed=seed, augmentation=operations) for seed in (0, 1)]
    dataset = make_dataset()
    together = train_pack(trials, dataset)
    alone = [train_pack([trial], dataset)[0] for trial in trials]
    for one, other in zip(together, alone, strict=True):
        for name, weight in one.weights.items():
            torch.testing.assert_close(weight, other.weights[name])
    plain = train_pack([make_trial()], dataset)[0]
    assert any(not torch.equal(plain.weights[name], alone[0].weights[name]) for name in plain.weights)


def test_what_makes_no_sense_is_refused():
    mixup = operation("mixup")
    with pytest.raises(RecipeError, match="may mix images once; got mixup and mixup"):
        check_augmentation([mixup, mixup], (1, 8, 8), loss="cross-entropy", defense="none", batch_size=2)
    with pytest.raises(RecipeError, match="batch_size must be at least 2, got 1"):
        check_augmentation([mixup], (1, 8, 8), loss="cross-entropy", defense="none", batch_size=1)
    with pytest.raises(RecipeError, match=r"mixes labels, which adversarial training \(pgd\) cannot attack"):
        check_augmentation([mixup], (1, 8, 8), loss="cross-entropy", defense="pgd", batch_size=2)
