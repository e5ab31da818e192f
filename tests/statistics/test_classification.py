import numpy as np
import pytest
from sklearn import metrics

from foolscope.statistics import classification as ours

CASES = ["random", "ties", "a class without images", "one class predicted", "two classes", "overconfident"]


def answers(case, images=60, seed=0):
    """Log-probabilities and labels."""
    generator = np.random.default_rng(seed)
    classes = 2 if case == "two classes" else 4
    logits = generator.normal(size=(images, classes))
    labels = generator.integers(classes, size=images)
    logits[np.arange(images), labels] += 1.0
    if case == "ties":
        logits = logits[generator.integers(9, size=images)]
    elif case == "a class without images":
        labels[labels == 2] = 0
    elif case == "one class predicted":
        logits[:, 1] += 20.0
    elif case == "overconfident":
        logits *= 3.0
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), labels


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:y_pred contains classes")
def test_counted_scores_are_those_of_scikit_learn(case):
    log_probabilities, labels = answers(case)
    predictions, classes = log_probabilities.argmax(axis=1), log_probabilities.shape[1]
    names = range(classes)
    counts = ours.confusion_matrix(labels, predictions, classes)
    assert np.array_equal(counts, metrics.confusion_matrix(labels, predictions, labels=names))
    assert ours.accuracy(counts) == pytest.approx(metrics.accuracy_score(labels, predictions))
    assert ours.balanced_accuracy(counts) == pytest.approx(
        metrics.balanced_accuracy_score(labels, predictions)
    )
    assert ours.macro_f1(counts) == pytest.approx(metrics.f1_score(labels, predictions, average="macro"))
    for mine, theirs in (
        (ours.recall_by_class, metrics.recall_score),
        (ours.precision_by_class, metrics.precision_score),
        (ours.f1_by_class, metrics.f1_score),
    ):
        undefined = theirs(labels, predictions, labels=names, average=None, zero_division=0.0)
        assert np.nan_to_num(mine(counts)) == pytest.approx(undefined)


@pytest.mark.parametrize("case", CASES)
def test_scores_of_probabilities_are_those_of_scikit_learn(case):
    log_probabilities, labels = answers(case)
    probabilities, classes = np.exp(log_probabilities), log_probabilities.shape[1]
    assert ours.log_loss(log_probabilities, labels) == pytest.approx(
        metrics.log_loss(labels, probabilities, labels=range(classes))
    )
    one_hot = np.eye(classes)[labels]
    by_class = [metrics.brier_score_loss(one_hot[:, k], probabilities[:, k]) for k in range(classes)]
    assert ours.brier_score(log_probabilities, labels) == pytest.approx(sum(by_class))
    present = [k for k in range(classes) if 0 < one_hot[:, k].sum() < len(labels)]
    expected = [metrics.roc_auc_score(one_hot[:, k], probabilities[:, k]) for k in present]
    found = ours.auc_by_class(log_probabilities, labels)
    assert found[present] == pytest.approx(expected)
    assert np.isnan(np.delete(found, present)).all()
    assert ours.macro_auc(log_probabilities, labels) == pytest.approx(np.mean(expected))


def test_area_is_the_share_of_pairs_in_the_right_order_even_where_probabilities_round_to_one():
    margins = np.array([50.0, 60.0, 70.0, 45.0, 55.0])
    log_probabilities = -np.logaddexp(0.0, np.stack([margins, -margins], axis=1))
    labels = np.array([1, 1, 1, 0, 0])
    assert (np.exp(log_probabilities[:, 1]) == 1.0).all()
    pairs = [own > other for own in margins[labels == 1] for other in margins[labels == 0]]
    assert ours.auc_by_class(log_probabilities, labels).tolist() == [np.mean(pairs)] * 2
    three = np.concatenate([log_probabilities - np.log1p(np.exp(-80.0)), np.full((5, 1), -80.0)], axis=1)
    assert ours.auc_by_class(three, labels)[1] == np.mean(pairs)


def test_one_class_has_neither_an_area_nor_an_error():
    log_probabilities, labels = np.zeros((3, 1)), np.zeros(3, dtype=np.int64)
    assert np.isnan(ours.macro_auc(log_probabilities, labels))
    assert (ours.brier_score(log_probabilities, labels), ours.log_loss(log_probabilities, labels)) == (0, 0)


def test_several_models_are_scored_as_each_alone():
    answered = [answers("random", seed=seed)[0] for seed in range(3)]
    labels = answers("random")[1]
    stacked = np.stack(answered)
    counts = ours.confusion_matrix(labels, stacked.argmax(axis=-1), 4)
    for score in (ours.accuracy, ours.balanced_accuracy, ours.macro_f1, ours.f1_by_class):
        assert np.array_equal(score(counts), np.stack([score(each) for each in counts]))
    for score in (ours.macro_auc, ours.auc_by_class, ours.log_loss, ours.brier_score):
        alone = np.stack([score(each, labels) for each in answered])
        assert score(stacked, labels) == pytest.approx(alone, rel=1e-12)
