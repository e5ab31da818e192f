import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from foolscope.core.randomness import numpy_generator
from foolscope.data import Cifar10Settings, DigitsSettings, LabeledImages, NpzSettings, Parts, divide
from foolscope.data.splits import carve_test, halve, stratified_choice, stratified_split

label_lists = st.lists(st.integers(0, 6), min_size=1, max_size=120)


def numbered(labels, start=0):
    """Images whose single pixel triple spells their position."""
    position = torch.arange(start, start + len(labels))
    images = torch.stack([position // 256, position % 256], 1).to(torch.uint8)[:, None, None, :]
    return LabeledImages(images, torch.tensor(labels, dtype=torch.int64))


def positions(part):
    return (part.images[:, 0, 0, 0].long() * 256 + part.images[:, 0, 0, 1].long()).tolist()


@given(label_lists, st.data(), st.integers(0, 5))
def test_choice_is_exact_in_size_and_within_one_of_every_share(labels, data, seed):
    size = data.draw(st.integers(0, len(labels)))
    chosen = stratified_choice(torch.tensor(labels), size, numpy_generator(seed))
    assert len(set(chosen.tolist())) == size
    assert chosen.tolist() == sorted(chosen.tolist())
    for label in set(labels):
        share = size * labels.count(label) / len(labels)
        got = sum(labels[index] == label for index in chosen.tolist())
        assert abs(got - share) < 1


@given(label_lists, st.floats(0.01, 0.99), st.integers(0, 5))
def test_split_is_disjoint_and_covers_everything(labels, fraction, seed):
    rest, carved = stratified_split(numbered(labels), fraction, numpy_generator(seed))
    assert sorted(positions(rest) + positions(carved)) == list(range(len(labels)))
    assert len(carved) == round(fraction * len(labels))
    for part in (rest, carved):
        assert positions(part) == sorted(positions(part))
        assert part.labels.tolist() == [labels[index] for index in positions(part)]


@given(label_lists, st.integers(0, 5))
def test_same_seed_same_split_whatever_the_global_state(labels, seed):
    first = stratified_choice(torch.tensor(labels), len(labels) // 2, numpy_generator(seed))
    torch.manual_seed(seed + 1)
    np.random.seed(seed + 1)  # noqa: NPY002
    second = stratified_choice(torch.tensor(labels), len(labels) // 2, numpy_generator(seed))
    assert torch.equal(first, second)


def test_choice_is_random_within_a_class_and_among_tied_classes():
    labels = torch.arange(4).repeat(10)
    seen = [stratified_choice(labels, 2, numpy_generator(seed)) for seed in range(300)]
    counts = torch.cat(seen).bincount(minlength=40)
    assert int(counts.min()) > 0
    # Two of four classes each time: 150 expected for each, standard deviation about 9.
    by_class = counts.reshape(10, 4).sum(0)
    assert (by_class - 150).abs().max() < 45


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_halve(count):
    first, second = halve(numbered([0] * count), numpy_generator(0))
    assert (len(first), len(second)) == (count // 2, count - count // 2)
    assert sorted(positions(first) + positions(second)) == list(range(count))


def parts(validation=None):
    return Parts(("a", "b"), numbered([0, 1] * 50), validation, numbered([0, 1] * 20, start=1000))


def test_official_leaves_everything_as_it_is():
    before = parts()
    after = divide(before, Cifar10Settings(validation="official"))
    assert after == before


def test_test_half_keeps_the_training_set_and_divides_the_test_set():
    before = parts()
    after = divide(before, Cifar10Settings(validation="test-half"))
    assert after.train is before.train
    assert (len(after.validation), len(after.test)) == (20, 20)
    assert sorted(positions(after.validation) + positions(after.test)) == positions(before.test)


def test_none_leaves_validation_out():
    after = divide(parts(), DigitsSettings(validation="none"))
    assert after.validation is None
    assert len(after.train) == 100


def test_auto_prefers_the_distributors_validation_set():
    theirs = numbered([0, 1] * 5, start=5000)
    kept = divide(parts(theirs), NpzSettings(path="x"))
    assert kept.validation is theirs
    assert len(kept.train) == 100
    carved = divide(parts(), NpzSettings(path="x"))
    assert (len(carved.train), len(carved.validation)) == (90, 10)
    forced = divide(parts(theirs), NpzSettings(path="x", validation="stratified"))
    assert set(positions(forced.validation)) < set(positions(parts().train))


def test_limit_does_not_move_the_split():
    whole = divide(parts(), Cifar10Settings())
    few = divide(parts(), Cifar10Settings(limit=11))
    assert positions(few.validation) == positions(whole.validation)
    assert set(positions(few.train)) <= set(positions(whole.train))
    assert abs(int(few.train.labels.sum()) - 5.5) == 0.5


def test_test_set_does_not_depend_on_the_validation_set():
    images = numbered([0, 1] * 50)
    _, test = carve_test(images, 0.2, seed=3)
    _, again = carve_test(images, 0.2, seed=3)
    assert positions(test) == positions(again)
    assert test.labels.bincount().tolist() == [10, 10]
