"""Learning without gradients, and what a model does after training, inside the training loop."""

import contextlib

import pytest
import torch

from foolscope.learning import TrainingSettings, train_pack, training
from foolscope.learning.optimizers import Adam
from foolscope.learning.pack_checkpoints import Checkpoint
from foolscope.models import PrototypeTree, build_model
from foolscope.models.prototype_projection import tree_parts

COUNTED = PrototypeTree(channels=(4,), features=3, depth=2, leaves="derivative-free", normalization="half")
LEARNED = COUNTED.model_copy(update={"leaves": "gradient"})


@pytest.fixture
def trial(make_trial):
    def make(model=COUNTED, seed=0, epochs=3, **values):
        settings = TrainingSettings(batch_size=16, epochs=epochs, **values)
        return make_trial(model=model, seed=seed, optimizer=Adam(learning_rate=0.02), training=settings)

    return make


def rebuilt(outcome, settings, dataset):
    model = build_model(settings, dataset.image_shape, len(dataset.classes), seed=0)
    model.load_state_dict(outcome.weights)
    return model.double().eval()


@pytest.mark.parametrize("model", [COUNTED, LEARNED], ids=["counted", "learned"])
def test_two_seeds_in_a_pack_are_those_that_train_alone(model, trial, make_dataset):
    dataset = make_dataset()
    together = train_pack([trial(model, 0), trial(model, 1)], dataset)
    for seed, outcome in enumerate(together):
        (alone,) = train_pack([trial(model, seed)], dataset)
        assert outcome.history == alone.history
        assert outcome.metrics == alone.metrics
        for name, value in outcome.weights.items():
            assert torch.equal(value, alone.weights[name])
    assert together[0].history != together[1].history


def test_a_killed_run_resumes_to_the_same_bits_counted_leaves_included(
    trial, make_dataset, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0.0)
    dataset, checkpoint = make_dataset(), Checkpoint(tmp_path / "pack.safetensors", ("trial",))

    def stop(report):
        if report.epoch == 2:
            raise InterruptedError

    for report in (stop, None):
        with pytest.raises(InterruptedError) if report else contextlib.nullcontext():
            outcomes = train_pack([trial()], dataset, checkpoint=checkpoint, report=report)
    (resumed,), (whole,) = outcomes, train_pack([trial()], dataset)
    assert resumed.history == whole.history
    assert resumed.metrics == whole.metrics
    for name, value in resumed.weights.items():
        assert torch.equal(value, whole.weights[name])


def test_counted_leaves_count_every_training_image_of_an_epoch(trial, make_dataset):
    dataset = make_dataset()
    (outcome,) = train_pack([trial(keep="last")], dataset)
    scores = outcome.weights["body.tree.leaves.scores"]
    counts = torch.bincount(dataset.train.labels).float()
    torch.testing.assert_close(scores.sum(dim=0), counts, rtol=1e-5, atol=1e-5)


def test_the_stored_model_is_the_concluded_one(trial, make_dataset):
    dataset = make_dataset()
    settings = LEARNED.model_copy(update={"decisions": "greedy"})
    (outcome,) = train_pack([trial(settings)], dataset)
    model = rebuilt(outcome, settings, dataset)
    inputs = dataset.test.images.double() / 255
    accuracy = (model(inputs).argmax(dim=1) == dataset.test.labels).double().mean()
    assert outcome.metrics["test_accuracy"] == pytest.approx(accuracy.item())
    assert outcome.metrics["test_accuracy"] == outcome.metrics["test_accuracy_greedy"]
    assert {"test_accuracy_soft", "test_accuracy_projected", "test_accuracy_pruned"} < set(outcome.metrics)
    nearest = tree_parts(model).nearest
    assert torch.equal(nearest.source_pixels, dataset.train.images[nearest.source_image])
    with torch.no_grad():
        own = nearest(tree_parts(model).features(nearest.source_pixels.double() / 255)).diagonal()
    assert own.max() < 1e-5  # stored in float32


def test_the_validated_checkpoint_is_the_one_that_is_concluded(trial, make_dataset):
    """Without projection and pruning nothing changes: the test accuracy is that of the kept checkpoint."""
    dataset = make_dataset()
    plain = LEARNED.model_copy(update={"projection": False, "pruning": None})
    (outcome,) = train_pack([trial(plain)], dataset)
    (projected,) = train_pack([trial(LEARNED)], dataset)
    assert outcome.metrics["test_accuracy"] == outcome.metrics["test_accuracy_soft"]
    assert projected.metrics["test_accuracy_soft"] == outcome.metrics["test_accuracy"]
    assert outcome.history == projected.history
    assert (outcome.weights["body.nearest.source_image"] == -1).all()
