"""A pack that is composed differently than before continues with the trials that it finds in checkpoints."""

import contextlib
import functools
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from resumable_packs import PACKS, SETTINGS

from foolscope.core.errors import StoreError
from foolscope.learning import resuming, train_pack, training
from foolscope.learning.checkpoints import load_tensors, save_tensors
from foolscope.learning.pack_checkpoints import Checkpoint, cut_pack, stored_packs


class InterruptionError(Exception):
    pass


@pytest.fixture(autouse=True)
def _checkpoint_every_epoch(monkeypatch):
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0.0)


@pytest.fixture(scope="module")
def pack_of(make_trial, make_dataset):
    """The trials of an example by name, their data, and what they come to undisturbed."""

    @functools.cache
    def build(name):
        dataset = make_dataset(validation=None if name == "no validation" else 40)
        trials = [make_trial(**{"training": SETTINGS, **values}) for values in PACKS[name]]
        names = {f"trial {position}": trial for position, trial in enumerate(trials)}
        return names, dataset, dict(zip(names, train_pack(trials, dataset), strict=True))

    return build


def train(folder, names, trials, dataset, stop=None):
    """Train a pack of the trials of these names; return the outcomes by name and the epochs trained.

    Interrupted in an epoch, it leaves the checkpoint of the one before.
    """
    outcomes, epochs = {}, []

    def report(progress):
        epochs.append(progress.epoch)
        if progress.epoch == stop:
            raise InterruptionError

    checkpoint = Checkpoint(folder / f"{' '.join(names)}.safetensors", tuple(names))
    with contextlib.suppress(InterruptionError):
        found = train_pack([trials[name] for name in names], dataset, checkpoint=checkpoint, report=report)
        outcomes = dict(zip(names, found, strict=True))
    return outcomes, epochs


def numbers(record):
    return {name: value for name, value in vars(record).items() if value is not None}


def assert_same_to_rounding(found, expected, tolerance=1e-7):
    assert found.status == expected.status
    assert found.best_epoch == expected.best_epoch
    assert found.steps == expected.steps
    assert len(found.history) == len(expected.history)
    for one, other in zip(found.history, expected.history, strict=True):
        assert numbers(one) == pytest.approx(numbers(other), rel=tolerance, abs=tolerance)
    assert found.metrics == pytest.approx(expected.metrics, rel=tolerance, abs=tolerance)
    for name, value in expected.weights.items():
        torch.testing.assert_close(found.weights[name], value, rtol=10 * tolerance, atol=tolerance)


def last_epoch(names, trials, outcomes, first):
    """The last epoch that these trials are trained for, if one of them is not over before the first."""
    lengths = [len(outcomes[name].history) for name in names]
    return max((length for length in lengths if length >= first), default=first - 1)


def tolerance_of(name):
    return 1e-4 if name == "single precision" else 1e-9


@pytest.mark.parametrize("name", list(PACKS))
def test_each_trial_alone_continues_where_the_pack_was(name, pack_of, tmp_path):
    """Every kind of state is cut out of the pack's: what is left out would show."""
    trials, dataset, expected = pack_of(name)
    train(tmp_path, trials, trials, dataset, stop=4)
    for one in trials:
        outcomes, epochs = train(tmp_path, [one], trials, dataset)
        assert epochs == list(range(4, last_epoch([one], trials, expected, 4) + 1))
        assert_same_to_rounding(outcomes[one], expected[one], tolerance_of(name))


@st.composite
def compositions(draw):
    """An example, and twice its trials in packs, each pack in the order of the seeds."""
    name = draw(st.sampled_from([name for name, trials in PACKS.items() if len(trials) > 2]))
    names = [f"trial {position}" for position in range(len(PACKS[name]))]
    composed = []
    for _ in range(2):
        pack_of = {each: draw(st.integers(0, 2)) for each in names}
        packs = [[each for each in names if pack_of[each] == pack] for pack in range(3)]
        composed.append([pack for pack in packs if pack])
    return name, *composed


@given(compositions(), st.integers(2, 4), st.integers(0, 2))
@settings(max_examples=25, deadline=None)
def test_however_the_trials_are_put_together(pack_of, tmp_path_factory, composed, stop, further):
    """A pack is killed, its trials are put together differently and killed, and again; no epoch is lost."""
    name, before, after = composed
    trials, dataset, expected = pack_of(name)
    folder = tmp_path_factory.mktemp("packs")
    train(folder, trials, trials, dataset, stop=stop)
    for names in before:
        train(folder, names, trials, dataset, stop=stop + further)
    for names in after:
        outcomes, epochs = train(folder, names, trials, dataset)
        assert epochs == list(range(stop + further, last_epoch(names, trials, expected, stop + further) + 1))
        for each, outcome in outcomes.items():
            assert_same_to_rounding(outcome, expected[each], tolerance_of(name))


def test_trials_of_two_packs_continue_in_one(pack_of, tmp_path):
    """The widths, and so the padding, and the moments that a pack has differ between all three."""
    trials, dataset, expected = pack_of("different epochs")
    names = list(trials)
    for half in (names[0::2], names[1::2]):
        train(tmp_path, half, trials, dataset, stop=3)
    outcomes, epochs = train(tmp_path, names, trials, dataset)
    assert epochs == [3, 4, 5]
    for name in names:
        assert_same_to_rounding(outcomes[name], expected[name], 1e-9)


def test_a_pack_is_at_one_epoch(pack_of, tmp_path):
    """The furthest that all of its trials have reached, in whichever checkpoint."""
    trials, dataset, _ = pack_of("optimizer adam")
    names = list(trials)
    train(tmp_path, names[:3], trials, dataset, stop=3)
    train(tmp_path, names[:2], trials, dataset, stop=5)
    train(tmp_path, names[1:], trials, dataset, stop=2)  # one that is found nowhere: all of it begins anew
    assert {tuple(pack.identities): pack.epoch for pack in stored_packs(tmp_path)} == {
        tuple(names[:3]): 2,
        tuple(names[:2]): 4,
        tuple(names[1:]): 1,
    }
    for some, first in ((names[:2], 5), (names[:3], 3), (names[2:3], 3), (names[2:], 2), (names, 1)):
        _, epochs = train(tmp_path, some, trials, dataset, stop=first)
        assert epochs == [first]


def test_a_trial_that_is_over_joins_any_pack(pack_of, tmp_path):
    """It needs no epoch, so it does not hold back those that do; nor do they hold it back."""
    trials, dataset, expected = pack_of("early stopping")
    names = list(trials)
    over = [name for name in names if len(expected[name].history) < 4]
    assert over
    assert len(over) < len(names)
    train(tmp_path, names, trials, dataset, stop=5)
    fresh = {**trials, "fresh": trials[names[-1]]}
    outcomes, epochs = train(tmp_path, [*over, "fresh"], fresh, dataset)
    assert epochs == list(range(1, 6))
    for name in over:
        assert_same_to_rounding(outcomes[name], expected[name], 1e-9)
    assert_same_to_rounding(outcomes["fresh"], expected[names[-1]], 1e-9)
    assert train(tmp_path, over, trials, dataset)[1] == [], "nothing of these is left to train"


def test_the_next_best_checkpoint_takes_the_place_of_a_damaged_one(pack_of, tmp_path):
    trials, dataset, expected = pack_of("optimizer adam")
    names = list(trials)
    train(tmp_path, names, trials, dataset, stop=3)
    train(tmp_path, names[:2], trials, dataset, stop=5)
    damaged = tmp_path / f"{' '.join(names[:2])}.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-8])
    outcomes, epochs = train(tmp_path, names[:2], trials, dataset)
    assert epochs == [3, 4, 5]
    for name in names[:2]:
        assert_same_to_rounding(outcomes[name], expected[name], 1e-9)


@pytest.mark.parametrize(
    "name", ["different epochs", "a diverging neighbor", "moving averages and early stopping"]
)
def test_a_part_of_a_checkpoint_is_as_good_as_the_whole(name, pack_of, tmp_path):
    trials, dataset, expected = pack_of(name)
    names = list(trials)
    train(tmp_path, names, trials, dataset, stop=4)
    (whole,) = stored_packs(tmp_path)
    for each in names[::-1]:
        folder = tmp_path / each
        cut_pack(whole.path, Checkpoint(folder / "part.safetensors", (each,)))
        outcomes, epochs = train(folder, [each], trials, dataset)
        assert epochs == list(range(4, last_epoch([each], trials, expected, 4) + 1))
        assert_same_to_rounding(outcomes[each], expected[each], tolerance_of(name))
    for wrong in (Checkpoint(tmp_path / "part", ("another",)), Checkpoint(tmp_path / "part", (each,), 1)):
        with pytest.raises(StoreError, match="does not hold the trials"):
            cut_pack(whole.path, wrong)


@pytest.mark.parametrize("change", ["deleted", "trained further"])
def test_a_checkpoint_that_another_process_changes_meanwhile_is_passed_over(
    change, pack_of, tmp_path, monkeypatch
):
    """Between the look at it and its use; its tensors would be those of another epoch."""
    trials, dataset, expected = pack_of("optimizer adam")
    names = list(trials)
    train(tmp_path, names, trials, dataset, stop=3)
    further = tmp_path / "elsewhere"
    train(further, names, trials, dataset, stop=5)
    load_pack = resuming.load_pack

    def changed(path):
        path.unlink()
        if change == "trained further":
            shutil.copy(further / path.name, path)
        return load_pack(path)

    monkeypatch.setattr(resuming, "load_pack", changed)
    outcomes, epochs = train(tmp_path, names[:2], trials, dataset)
    assert epochs == [1, 2, 3, 4, 5]
    for name in names[:2]:
        assert_same_to_rounding(outcomes[name], expected[name], 1e-9)


def test_the_time_is_shared_among_the_trials(pack_of, tmp_path):
    trials, dataset, _ = pack_of("optimizer adam")
    names = list(trials)
    train(tmp_path, names, trials, dataset, stop=3)
    path = tmp_path / f"{' '.join(names)}.safetensors"
    tensors, document = load_tensors(path, torch.device("cpu"))
    tensors = {name: value.clone() for name, value in tensors.items()}
    save_tensors(path, tensors, {**document, "seconds": 4000.0})
    outcomes, _ = train(tmp_path, names[:2], trials, dataset)
    for outcome in outcomes.values():
        assert 1000 < outcome.duration_seconds < 1050
