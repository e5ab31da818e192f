import pytest

from foolscope.experiments.recipe import Recipe, with_values
from foolscope.experiments.running.packs import Pack, PackLimits, PendingTrial
from foolscope.experiments.running.plans import planned_before, remembered
from foolscope.experiments.running.store import Store

TRIALS = [PendingTrial(str(seed), with_values(Recipe(), {"seed": seed}), 10) for seed in range(6)]
PACKS = [Pack(tuple(TRIALS[:3]), 1), Pack(tuple(TRIALS[3:5]), 1), Pack((TRIALS[5],), 1)]


class KilledError(BaseException):
    pass


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def files(store):
    return sorted(path.name for path in (store.root / "packs").glob("*"))


def kill(store, packs=PACKS):
    with pytest.raises(KilledError), remembered(packs, store):
        raise KilledError


def finish(store, trial):
    folder = store.trial_folder(trial.identity)
    folder.mkdir(parents=True)
    (folder / "trial.json").write_text("{}")


def test_what_a_killed_run_had_planned_is_planned_again(store):
    assert planned_before(TRIALS, store, PackLimits(10**9)) == ([], TRIALS)
    kill(store)
    assert planned_before(TRIALS[::-1], store, PackLimits(10**9)) == (PACKS, [])
    assert planned_before(TRIALS[3:], store, PackLimits(10**9)) == (PACKS[1:], []), (
        "the first pack is finished"
    )


def test_a_pack_that_is_not_asked_for_as_a_whole_is_planned_anew(store):
    kill(store)
    assert planned_before(TRIALS[1:], store, PackLimits(10**9)) == (PACKS[1:], TRIALS[1:3])


def test_a_plan_that_is_done_leaves_nothing(store):
    with remembered(PACKS, store):
        assert len(files(store)) == 1
    assert files(store) == []


def test_a_second_run_takes_over_the_plan_of_the_first(store):
    kill(store)
    for trial in TRIALS[:3]:
        finish(store, trial)
    packs, _ = planned_before(TRIALS[3:], store, PackLimits(10**9))
    kill(store, packs)
    assert len(files(store)) == 1, "all of the first plan is in the second, or finished"
    assert planned_before(TRIALS[3:], store, PackLimits(10**9)) == (PACKS[1:], [])
    other = [PendingTrial("other", Recipe(), 10)]
    kill(store, [Pack(tuple(other))])
    assert len(files(store)) == 2, "a run of other trials leaves the plan to its own run"


@pytest.mark.parametrize(
    "text", ["", "{}", '[{"trials": 3}]', '[{"threads": 1}]', "[[]]", '[{"trials": ["0"], "threads": "x"}]']
)
def test_a_damaged_plan_costs_nothing(store, text):
    kill(store)
    (path,) = (store.root / "packs").glob("*.plan")
    path.write_text(text)
    assert planned_before(TRIALS, store, PackLimits(10**9)) == ([], TRIALS)
    with remembered(PACKS, store):
        pass


def test_a_pack_that_is_too_large_by_now_is_planned_anew(store):
    kill(store)
    largest = max(len(pack.trials) for pack in PACKS)
    packs, new = planned_before(TRIALS, store, PackLimits(10**9, most_trials=largest - 1))
    assert packs == [pack for pack in PACKS if len(pack.trials) < largest]
    assert {trial.identity for pack in packs for trial in pack.trials}.isdisjoint(
        trial.identity for trial in new
    )
    assert len(new) + sum(len(pack.trials) for pack in packs) == len(TRIALS)
