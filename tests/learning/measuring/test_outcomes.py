"""What is measured, chosen and sampled where classes are unequal."""

import contextlib

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics
from torch.nn import functional

from foolscope.core.errors import RecipeError
from foolscope.data.dataset import Dataset, LabeledImages
from foolscope.learning import TrainingSettings, preparation, train_pack, training
from foolscope.learning.losses import CrossEntropy, Focal
from foolscope.learning.measuring import outcomes
from foolscope.learning.optimizers import SGD
from foolscope.learning.pack_checkpoints import Checkpoint
from foolscope.learning.packs.packing import solo_program
from foolscope.learning.sampling import epoch_order
from foolscope.models import MLP, LinearRegression, Softmax, build_model


def unequal(count, seed, rare=0.1):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.arange(count) < rare * count).long()
    images = 128 + 40 * torch.randn(count, 1, 4, 4, generator=generator)
    images[labels == 1, :, :2] += 25
    return LabeledImages(images.clamp(0, 255).to(torch.uint8), labels)


@pytest.fixture(scope="module")
def dataset():
    return Dataset.build("unequal", ("healthy", "ill"), unequal(200, 1), unequal(100, 2), unequal(120, 3))


def settings(**values):
    return TrainingSettings(**{"batch_size": 50, "epochs": 4, **values})


def stored(outcome, dataset, model=None):
    rebuilt = build_model(
        model or Softmax(), dataset.image_shape, 2, seed=0, mean=torch.zeros(1), deviation=torch.ones(1)
    )
    rebuilt.load_state_dict(outcome.weights)
    return rebuilt.eval()


def logits_of(outcome, split, dataset):
    with torch.no_grad():
        return stored(outcome, dataset)(split.images / 255.0)


def test_metrics_are_those_of_the_stored_model_on_each_split(make_trial, dataset):
    (outcome,) = train_pack([make_trial(model=Softmax(), training=settings())], dataset)
    for name, split in (("validation", dataset.validation), ("test", dataset.test)):
        logits, labels = logits_of(outcome, split, dataset), split.labels
        probabilities, predicted = logits.softmax(1).numpy(), logits.argmax(1)
        expected = {
            "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
            "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(labels, predicted),
            "f1": sklearn_metrics.f1_score(labels, predicted, average="macro"),
            "auc": sklearn_metrics.roc_auc_score(labels, probabilities[:, 1]),
            "loss": float(functional.cross_entropy(logits, labels)),
            "log_loss": sklearn_metrics.log_loss(labels, probabilities),
            "brier": 2 * sklearn_metrics.brier_score_loss(labels, probabilities[:, 1]),
        }
        for score, value in expected.items():
            assert outcome.metrics[f"{name}_{score}"] == pytest.approx(value, rel=1e-5), score
    assert outcome.auc_by_class == pytest.approx([outcome.metrics["test_auc"]] * 2)


def test_the_images_classified_correctly_are_those_of_the_stored_model(make_trial, dataset):
    """Whatever chooses the checkpoint or moves its threshold; and their mean is the accuracy."""
    trials = [
        make_trial(
            model=Softmax(),
            loss=CrossEntropy(class_weights=weights),
            training=settings(select_by=choice, threshold=threshold, keep=keep),
        )
        for weights, choice, threshold, keep in (
            (None, "accuracy", "half", "last"),
            (None, "balanced_accuracy", "validation", "best"),
            ("balanced", "f1", "validation", "last"),
        )
    ]
    outcomes = train_pack(trials, dataset)
    for outcome in outcomes:
        for name, split in (("validation", dataset.validation), ("test", dataset.test)):
            expected = (logits_of(outcome, split, dataset).argmax(1) == split.labels).numpy()
            assert np.array_equal(outcome.correct[name], expected)
            assert outcome.correct[name].mean() == outcome.metrics[f"{name}_accuracy"]
    assert not np.array_equal(outcomes[0].correct["test"], outcomes[1].correct["test"])
    assert "correct" not in outcomes[0].as_document()


def test_training_accuracy_is_the_checkpoints_and_no_running_mean(make_trial, dataset):
    trial = make_trial(model=Softmax(), training=settings(epochs=1), optimizer=SGD(learning_rate=0.5))
    (outcome,) = train_pack([trial], dataset)
    logits, labels = logits_of(outcome, dataset.train, dataset), dataset.train.labels
    assert outcome.metrics["training_accuracy"] == float((logits.argmax(1) == labels).double().mean())
    assert outcome.metrics["training_loss"] == pytest.approx(float(functional.cross_entropy(logits, labels)))
    assert outcome.history[0].running_loss > 1.05 * outcome.metrics["training_loss"]
    assert outcome.training_images == 200


def test_a_large_training_set_is_sampled_by_class_alike_every_time(dataset, monkeypatch):
    monkeypatch.setattr(outcomes, "_SAMPLE_IMAGES", 40)
    sample = outcomes.training_sample(dataset.train)
    assert sample.labels.bincount().tolist() == [36, 4]
    assert torch.equal(sample.images, outcomes.training_sample(dataset.train).images)


CHOICES = ("accuracy", "balanced_accuracy", "f1", "auc", "loss", "brier")


def test_each_trial_of_a_pack_keeps_the_checkpoint_that_is_best_by_its_own_score(make_trial, dataset):
    trials = [
        make_trial(
            model=MLP(hidden=(6,)),
            training=settings(select_by=choice, epochs=8),
            optimizer=SGD(learning_rate=1.5),
            loss=CrossEntropy(class_weights=(1.0, 4.0)),
        )
        for choice in CHOICES
    ]
    outcomes = dict(zip(CHOICES, train_pack(trials, dataset), strict=True))
    for choice, outcome in outcomes.items():
        scores = [getattr(record, f"validation_{choice}") for record in outcome.history]
        best = min(scores) if choice in ("loss", "brier") else max(scores)
        assert outcome.best_epoch == 1 + scores.index(best)
        assert outcome.metrics[f"validation_{choice}"] == pytest.approx(best)
    assert len({outcome.best_epoch for outcome in outcomes.values()}) > 1
    assert {record.validation_auc for record in outcomes["loss"].history} == {None}


def test_patience_follows_the_chosen_score(make_trial, dataset):
    trial = make_trial(
        model=MLP(hidden=(6,)),
        training=settings(select_by="f1", epochs=30, patience=2),
        optimizer=SGD(learning_rate=1.5),
    )
    (outcome,) = train_pack([trial], dataset)
    scores = [record.validation_f1 for record in outcome.history]
    assert outcome.status == "stopped early"
    assert len(scores) - (1 + scores.index(max(scores))) == 2


def test_balanced_sampling_draws_every_class_equally_often_from_the_seed_and_epoch():
    labels = torch.tensor([0] * 1900 + [2] * 100)
    drawn = epoch_order(labels, "balanced", seeds=[0, 1], epoch=3)
    counts = labels[drawn].eq(2).sum(dim=1)
    assert drawn.shape == (2, 2000)
    assert (counts - 1000).abs().max() < 5 * 500**0.5
    rare = drawn[0][labels[drawn[0]] == 2].bincount(minlength=2000)[1900:]
    assert rare.min() > 0, "every image of the rare class has its chance"
    assert torch.equal(drawn[1:], epoch_order(labels, "balanced", seeds=[1], epoch=3))
    assert not torch.equal(drawn[0], epoch_order(labels, "balanced", seeds=[0], epoch=4)[0])
    uniform = epoch_order(labels, "uniform", seeds=[0], epoch=3)
    assert uniform[0].sort().values.tolist() == list(range(2000))


def pack(make_trial):
    """Trials that differ in everything here that trials of a pack may differ in."""
    return [
        make_trial(
            model=MLP(hidden=(6,)),
            loss=Focal(gamma=gamma, class_weights=weights),
            training=settings(sampling="balanced", select_by=choice, threshold=threshold),
            seed=seed,
        )
        for seed in (0, 1)
        for gamma, weights, choice, threshold in (
            (0.5, None, "f1", "validation"),
            (2.0, "balanced", "auc", "half"),
            (1.0, (3.0, 1.0), "balanced_accuracy", "validation"),
        )
    ]


def test_a_pack_gives_what_its_trials_give_one_after_another(make_trial, dataset, monkeypatch):
    together = train_pack(pack(make_trial), dataset)
    alone = [train_pack([trial], dataset)[0] for trial in pack(make_trial)]
    monkeypatch.setattr(preparation, "pack_program", solo_program)
    in_turn = train_pack(pack(make_trial), dataset)
    for one, *others in zip(together, alone, in_turn, strict=True):
        for other in others:
            assert one.metrics == pytest.approx(other.metrics, rel=1e-6)
            assert one.confusion == other.confusion
            for name, value in one.weights.items():
                torch.testing.assert_close(value, other.weights[name], rtol=1e-5, atol=1e-6)


def test_an_interrupted_run_ends_with_the_same_bits(make_trial, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0.0)
    undisturbed = train_pack(pack(make_trial), dataset)

    def stop(report):
        if report.epoch == 3:
            raise KeyboardInterrupt

    names = tuple(map(str, range(len(undisturbed))))
    checkpoint = Checkpoint(tmp_path / "pack.safetensors", names)
    with contextlib.suppress(KeyboardInterrupt):
        train_pack(pack(make_trial), dataset, checkpoint=checkpoint, report=stop)
    assert checkpoint.path.exists()
    resumed = train_pack(pack(make_trial), dataset, checkpoint=checkpoint)
    for one, other in zip(resumed, undisturbed, strict=True):
        assert (one.metrics, one.confusion, one.history) == (other.metrics, other.confusion, other.history)
        assert all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())


def test_a_threshold_from_the_validation_images_is_stored_in_the_model(make_trial, dataset):
    score = "balanced_accuracy"
    trials = [
        make_trial(model=Softmax(), training=settings(select_by=score, threshold=threshold, keep=keep))
        for threshold, keep in (("half", "last"), ("validation", "last"), ("validation", "best"))
    ]
    half, moved, best = train_pack(trials, dataset)
    name = next(each for each in half.weights if each.endswith("bias"))
    change = moved.weights[name] - half.weights[name]
    assert change[0] == 0
    assert change[1] > 0
    assert all(torch.equal(half.weights[each], moved.weights[each]) for each in half.weights if each != name)
    assert moved.metrics[f"validation_{score}"] > half.metrics[f"validation_{score}"] + 0.02
    assert moved.metrics["test_auc"] == pytest.approx(half.metrics["test_auc"])
    predicted = logits_of(moved, dataset.test, dataset).argmax(1)
    expected = sklearn_metrics.confusion_matrix(dataset.test.labels, predicted)
    assert np.array_equal(moved.confusion, expected)
    reached = [record.validation_balanced_accuracy for record in best.history]
    assert best.best_epoch == 1 + reached.index(max(reached)), "by what a threshold can reach"
    assert best.metrics[f"validation_{score}"] == max(reached)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"threshold": "validation", "select_by": "auc"}, "must be one of accuracy, balanced_accuracy, f1"),
        ({"select_by": "auc"}, "needs validation images of two classes"),
        ({"threshold": "validation"}, "needs validation images of both classes"),
    ],
)
def test_what_the_validation_images_cannot_choose_is_refused(values, line, make_trial, dataset):
    common = dataset.validation.take((dataset.validation.labels == 0).nonzero()[:, 0])
    validation = dataset.validation if len(values) == 2 else common
    changed = Dataset.build("unequal", dataset.classes, dataset.train, validation, dataset.test)
    with pytest.raises(RecipeError, match=line) as caught:
        train_pack([make_trial(model=Softmax(), training=settings(**values))], changed)
    assert "\n" not in str(caught.value)


def test_a_threshold_needs_two_classes_and_an_output_bias(make_trial, make_dataset, dataset):
    trial = make_trial(model=Softmax(), training=settings(threshold="validation"))
    with pytest.raises(RecipeError, match="is for two classes; blobs has 3"):
        train_pack([trial], make_dataset())
    model = build_model(LinearRegression(normalization="none"), (1, 4, 4), 2, seed=0)
    head = next(module for module in model.modules() if isinstance(module, torch.nn.Linear))
    head.bias = None
    with pytest.raises(RecipeError, match="this model has none"):
        outcomes.output_bias(model, dataset)


def test_a_model_that_predicts_one_class_is_doubted(make_trial, dataset):
    healthy = Dataset.build(
        "unequal", dataset.classes, unequal(200, 1, rare=0.0), unequal(100, 2), unequal(120, 3)
    )
    (constant,) = train_pack([make_trial(model=Softmax(), training=settings(epochs=20))], healthy)
    assert constant.doubts == (
        "predicts 'healthy' for every test image; its accuracy of 90.00 % is the share of that class",
    )
    weighted = make_trial(model=Softmax(), loss=CrossEntropy(class_weights="balanced"), training=settings())
    assert train_pack([weighted], dataset)[0].doubts == ()


def test_balanced_sampling_leaves_nothing_to_balanced_class_weights(make_trial, dataset):
    """Class weights have mean 1 over the images that are drawn, so the step length is the same with both."""
    both, sampled = (
        make_trial(
            model=Softmax(), loss=CrossEntropy(class_weights=weights), training=settings(sampling="balanced")
        )
        for weights in ("balanced", None)
    )
    first, second = (train_pack([trial], dataset)[0] for trial in (both, sampled))
    for name, weight in first.weights.items():
        torch.testing.assert_close(weight, second.weights[name], rtol=0.0, atol=1e-6)
