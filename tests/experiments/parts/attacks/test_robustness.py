import json
from itertools import pairwise

import pytest
import torch

from foolscope.experiments.parts.attacks import robustness, stored
from foolscope.experiments.parts.attacks.plans import AttackPlan, attack_from
from foolscope.experiments.parts.attacks.robustness import curve_record, robustness_curves
from foolscope.experiments.parts.attacks.stored import attack_subject, correct_under_attack
from foolscope.experiments.parts.attacks.summary import attack_details
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.experiments.subjects.subject import run_subject
from foolscope.learning.measuring.evaluation import to_pixels

RECIPE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 400},
        "model": {"name": "mlp", "hidden": [16]},
        "optimizer": {"name": "sgd", "learning_rate": 0.5},
        "training": {"epochs": 6, "batch_size": 32},
        "precision": "float32",
    }
)
PLAN = {"name": "any", "recipes": ["mlp"], "epsilons": [0.2, 0, 0.05, 0.1], "images": 80}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return Session(Store(tmp_path_factory.mktemp("store")), device="cpu")


@pytest.fixture(scope="module")
def trials(session):
    return run_trials([with_values(RECIPE, {"seed": seed}) for seed in range(3)], session)


def plan_of(**changes):
    return AttackPlan.model_validate({**PLAN, "attacks": ["fgsm", {"name": "pgd", "steps": 5}], **changes})


def curve_of(plan, trials, session):
    told = []
    (curve,) = robustness_curves(
        plan, {"mlp": trials}, session, lambda fraction, detail: told.append((fraction, detail))
    )
    assert [fraction for fraction, _ in told] == sorted(fraction for fraction, _ in told)
    assert told[-1][0] == 1.0
    return curve


def first_images(session, count):
    test = session.dataset(RECIPE.dataset).test
    return to_pixels(test.images[:count], torch.float32), test.labels[:count]


def test_the_curve_starts_at_clean_accuracy_and_never_rises(trials, session):
    curve = curve_of(plan_of(), trials, session)
    images, labels = first_images(session, 80)
    assert curve.epsilons == [0.0, 0.05, 0.1, 0.2]
    assert curve.images == 80
    assert curve.attacks == ["fgsm", "pgd"]
    for trial, accuracies in zip(trials, curve.accuracies, strict=True):
        with torch.no_grad():
            clean = (trial.model()(images).argmax(1) == labels).double().mean().item()
        assert accuracies[0] == pytest.approx(clean)
        assert accuracies == sorted(accuracies, reverse=True)
        assert accuracies[-1] < clean / 2
    means = [sum(column) / 3 for column in zip(*curve.accuracies, strict=True)]
    assert curve.mean == pytest.approx(means)
    for low, mean, high in zip(curve.low, curve.mean, curve.high, strict=True):
        assert 0 <= low <= mean <= high <= 1
    assert curve.forward_count > 0
    assert curve.backward_count > 0


def test_the_result_for_each_image_is_found_from_the_record(trials, session):
    curve = curve_of(plan_of(), trials, session)
    for accuracies, evaluation in zip(curve.accuracies, curve.evaluations, strict=True):
        by_budget = [correct_under_attack(session.store, evaluation, each) for each in curve.epsilons]
        assert [correct.mean() for correct in by_budget] == accuracies
        assert all((more <= less).all() for less, more in pairwise(by_budget))
    images, labels = first_images(session, 80)
    with torch.no_grad():
        clean = trials[0].model()(images).argmax(1) == labels
    stored_clean = correct_under_attack(session.store, curve.evaluations[0], 0.0)
    assert stored_clean.tolist() == clean.tolist()
    assert correct_under_attack(session.store, curve.evaluations[0], 0.07) is None, "not attacked"
    assert correct_under_attack(session.store, "nothing", 0.1) is None


def test_what_has_been_attacked_is_read(trials, session, monkeypatch):
    first = curve_of(plan_of(), trials, session)
    calls = []

    def refuse(*args, **kwargs):
        calls.append(args)
        raise AssertionError("attacked again")

    monkeypatch.setattr(stored, "curve_evaluation", refuse)
    assert curve_of(plan_of(), trials, session) == first
    assert curve_of(plan_of(epsilons=["0.1", 0.0, 0.2, 0.05]), trials, session) == first
    for changes in (
        {"epsilons": [0.3]},
        {"norm": "l2"},
        {"images": 79},
        {"attacks": ["fgsm"]},
        {"attacks": ["fgsm", {"name": "pgd", "steps": 6}]},
    ):
        with pytest.raises(AssertionError, match="attacked again"):
            curve_of(plan_of(**changes), trials, session)
    monkeypatch.setattr(stored, "ATTACK_VERSION", "another")
    with pytest.raises(AssertionError, match="attacked again"):
        curve_of(plan_of(), trials, session)
    assert len(calls) == 6 * 3  # a failure does not keep the other seeds from being attacked


def test_what_became_of_the_images_is_summed_over_the_seeds(trials, session):
    curve = curve_of(plan_of(), trials, session)
    assert curve.details.models == 3
    for place, accuracies in enumerate(zip(*curve.accuracies, strict=True)):
        held = round(sum(accuracies) * curve.images)
        assert curve.details.held[place] == held
        assert curve.details.misclassified + sum(curve.details.taken[place]) + held == 3 * curve.images
    assert sum(curve.details.class_clean) == 3 * curve.images - curve.details.misclassified
    assert curve.details.classes == list(session.dataset(RECIPE.dataset).classes)


def test_one_seed_has_no_interval(trials, session):
    curve = curve_of(plan_of(), trials[:1], session)
    assert curve.low == curve.high == [None] * 4
    assert curve.mean == curve.accuracies[0]


def test_more_images_than_there_are_is_all_of_them(trials, session):
    curve = curve_of(plan_of(images=10_000, epsilons=[0.0], attacks=["fgsm"]), trials[:1], session)
    assert curve.images == len(session.dataset(RECIPE.dataset).test)
    assert curve.mean[0] == pytest.approx(trials[0].metric("test_accuracy"))


def test_diverged_trials_are_left_out(trials, session):
    (wild,) = run_trials([with_values(RECIPE, {"learning_rate": 1e30})], session)
    assert wild.status == "diverged"
    assert curve_of(plan_of(), [*trials[:2], wild], session).accuracies == [
        *curve_of(plan_of(), trials[:2], session).accuracies
    ]


def test_the_record_of_one_model_says_what_was_attacked(trials, session):
    subject = run_subject(trials[1], None, "test", 40, session)
    attack = attack_subject(
        subject, "linf", [0.05, 0.1], [attack_from({"name": "fgsm"})], store=session.store
    )
    record = curve_record(attack)
    assert record.attacked.model_dump(exclude_none=True) == subject.facts
    assert record.details == attack_details(attack.curve, subject.classes)
    assert record.settings == [{"name": "fgsm", "loss": "cross_entropy"}]
    assert record.accuracies == [list(attack.curve.robust_accuracies)]
    assert [low < mean < high for low, mean, high in zip(record.low, record.mean, record.high, strict=True)]
    full = curve_record(attack_subject(subject, "linf", [0.1], store=session.store))
    assert [each.name for each in full.checks] == [
        check.name for check in attack_subject(subject, "linf", [0.1], store=session.store).curve.checks
    ]
    assert {each.models for each in full.checks} == {1}


@pytest.mark.parametrize("attacks", [["fgsm", {"name": "pgd", "steps": 2}], "full"])
def test_what_a_study_attacked_is_found_by_anyone_else(trials, session, attacks):
    plan = plan_of(attacks=attacks, epsilons=["8/255"], images=30)
    curve = curve_of(plan, trials, session)
    for trial, accuracies in zip(trials, curve.accuracies, strict=True):
        subject = run_subject(trial, None, "test", 30, session)
        attack = attack_subject(subject, "linf", ["8/255"], plan.attacks, store=session.store)
        assert attack.was_stored
        assert list(attack.curve.robust_accuracies) == accuracies


@pytest.mark.parametrize("attacks", [["fgsm", {"name": "pgd", "steps": 2}], "full"])
def test_side_by_side_each_model_is_attacked_as_alone(trials, session, tmp_path, attacks, monkeypatch):
    """Two recipes, in portions of two models, of which one is already attacked."""
    plan = plan_of(attacks=attacks, epsilons=[0.1], images=30)
    monkeypatch.setattr(robustness, "_PIXELS", 2 * 30 * 64)
    store = Store(tmp_path)
    alone = [
        attack_subject(
            run_subject(trial, None, "test", 30, session), "linf", [0.1], plan.attacks, store=store
        )
        for trial in trials
    ]
    elsewhere = Session(Store(tmp_path / "elsewhere"), device="cpu")
    subject = run_subject(trials[2], None, "test", 30, session)
    attack_subject(subject, "linf", [0.1], plan.attacks, store=elsewhere.store)
    told = []
    curves = robustness_curves(
        plan, {"first": trials[:1], "others": trials[1:]}, elsewhere, lambda *each: told.append(each)
    )
    assert [curve.recipe for curve in curves] == ["first", "others"]
    found = [accuracies for curve in curves for accuracies in curve.accuracies]
    assert found == [list(each.curve.robust_accuracies) for each in alone]
    assert sum(curve.forward_count for curve in curves) == sum(each.curve.forward_count for each in alone)
    for each in alone:
        own = (elsewhere.store.root / "attacks" / each.folder.name / "images.jsonl").read_text()
        verdicts = [json.loads(line)["fooled_by"] for line in own.splitlines()]
        expected = (each.folder / "images.jsonl").read_text()
        assert verdicts == [json.loads(line)["fooled_by"] for line in expected.splitlines()]
    assert told[-1][0] == 1.0
