import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn.functional import cross_entropy

from foolscope.experiments.parts import attack_traces as traces
from foolscope.experiments.parts.attack_traces import TracePlan, trace_record
from foolscope.experiments.parts.part import Context, Entry
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import study_from
from foolscope.learning.measuring.evaluation import to_pixels

RECIPE = recipe_from(
    {
        "dataset": {"name": "digits", "limit": 300},
        "model": {"name": "mlp", "hidden": [16]},
        "optimizer": {"name": "sgd", "learning_rate": 0.5},
        "training": {"epochs": 4, "batch_size": 32},
        "precision": "float32",
    }
)
SEEDS, IMAGES, STEPS = 3, 60, 3
PLAN = {
    "name": "any",
    "recipe": "mlp",
    "epsilons": [0.15, 0.05],
    "attack": {"name": "bim", "steps": STEPS},
    "images": IMAGES,
}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return Session(Store(tmp_path_factory.mktemp("store")), device="cpu")


@pytest.fixture(scope="module")
def trials(session):
    return run_trials([with_values(RECIPE, {"seed": seed}) for seed in range(SEEDS)], session)


def plan_of(**changes):
    return TracePlan.model_validate({**PLAN, **changes})


def followed(plan, trials, session):
    return trace_record(plan, trials, session, lambda fraction, detail: None)


def first_images(session, count=IMAGES):
    test = session.dataset(RECIPE.dataset).test
    return to_pixels(test.images[:count], torch.float32), test.labels[:count]


def ascend(model, images, labels, epsilon, steps, step_size, targets=None):
    """Signed gradient steps, written out: every point on the way, the clean images first."""
    points = [images]
    for _ in range(steps):
        point = points[-1].clone().requires_grad_()
        aim = labels if targets is None else targets
        (gradient,) = torch.autograd.grad(cross_entropy(model(point), aim, reduction="sum"), point)
        sign = 1 if targets is None else -1
        moved = point.detach() + sign * step_size * gradient.sign()
        points.append(torch.minimum(torch.maximum(moved, images - epsilon), images + epsilon).clamp(0, 1))
    return points


def test_losses_and_accuracies_are_those_of_the_steps_written_out(trials, session):
    record = followed(plan_of(), trials, session)
    images, labels = first_images(session)
    assert [budget.epsilon for budget in record.budgets] == [0.0, 0.05, 0.15]
    assert (record.images, record.seeds) == (IMAGES, [0, 1, 2])
    for place, trial in enumerate(trials):
        model = trial.model()
        with torch.no_grad():
            right = model(images).argmax(1) == labels
        assert record.counted[place] == int(right.sum())
        for budget in record.budgets[1:]:
            points = ascend(model, images, labels, budget.epsilon, STEPS, budget.epsilon * 1.25 / STEPS)
            with torch.no_grad():
                logits = [model(point) for point in points]
            losses = [float(cross_entropy(each, labels)) for each in logits]
            assert budget.losses[place] == pytest.approx(losses, abs=1e-4)
            held = torch.stack([each.argmax(1) == labels for each in logits]).all(0)
            assert budget.robust_accuracies[place] == pytest.approx(float(held.double().mean()))
            fooled = float((right & ~held).sum() / right.sum())
            assert budget.success_rates[place] == pytest.approx(fooled, abs=1e-6)


def test_before_the_attack_is_the_clean_model(trials, session):
    before = followed(plan_of(), trials, session).budgets[0]
    images, labels = first_images(session)
    for place, trial in enumerate(trials):
        with torch.no_grad():
            clean = trial.model()(images).softmax(1)
        right = clean.argmax(1) == labels
        of_label = clean[torch.arange(IMAGES), labels]
        assert before.robust_accuracies[place] == pytest.approx(float(right.double().mean()))
        assert before.label_probabilities[place] == pytest.approx(float(of_label[right].mean()), abs=1e-6)
        assert before.success_rates[place] == 0
        assert before.losses[place] == []


def test_only_confident_images_of_the_source_that_reach_the_target_count(trials, session):
    epsilon, confidence = 0.2, 0.7
    plan = plan_of(
        attack="fgsm", epsilons=[epsilon], source="3", target="8", confidence=confidence, images=1000
    )
    record = followed(plan, trials, session)
    test = session.dataset(RECIPE.dataset).test
    images = to_pixels(test.images[test.labels == 3], torch.float32)
    labels = torch.full((len(images),), 3)
    assert record.images == len(images)
    (_, budget) = record.budgets
    some = unsure = 0
    for place, trial in enumerate(trials):
        model = trial.model()
        end = ascend(model, images, labels, epsilon, 1, epsilon, torch.full_like(labels, 8))[-1]
        with torch.no_grad():
            clean, moved = model(images).softmax(1), model(end).softmax(1)
        counted = (clean.argmax(1) == 3) & (clean[:, 3] >= confidence)
        assert record.counted[place] == int(counted.sum())
        unsure += int((clean.argmax(1) == 3).sum()) - int(counted.sum())
        reached = counted & (moved.argmax(1) == 8)
        some += int(reached.sum())
        assert budget.success_rates[place] == pytest.approx(float(reached.sum() / counted.sum()), abs=1e-6)
        assert budget.label_probabilities[place] == pytest.approx(float(moved[counted, 3].mean()), abs=1e-5)
    assert some > 0
    assert unsure > 0


def test_intervals_are_students_over_the_seeds(trials, session):
    budget = followed(plan_of(), trials, session).budgets[1]
    columns = [*zip(*budget.losses, strict=True)]
    pairs = [
        *zip(columns, budget.mean_losses, strict=True),
        (budget.label_probabilities, budget.means["label_probability"]),
    ]
    for values, (mean, low, high) in pairs:
        assert mean == pytest.approx(np.mean(values))
        expected = stats.t.interval(0.95, SEEDS - 1, np.mean(values), stats.sem(values))
        assert (low, high) == pytest.approx((max(0.0, expected[0]), expected[1]))


def test_one_seed_has_no_interval_and_diverged_ones_are_left_out(trials, session):
    (wild,) = run_trials([with_values(RECIPE, {"learning_rate": 1e30})], session)
    record = followed(plan_of(), [wild, trials[1]], session)
    assert record.seeds == [1]
    assert all(low is high is None for _, low, high in record.budgets[1].mean_losses)


def test_where_nothing_counts_there_is_no_rate(trials, session):
    record = followed(plan_of(confidence=0.999999), trials[:1], session)
    assert record.counted == [0]
    for budget in record.budgets:
        assert budget.success_rates == budget.label_probabilities == [None]
        assert budget.means["success_rate"] == (None, None, None)


def test_what_has_been_followed_is_read(trials, session, monkeypatch):
    first = followed(plan_of(), trials, session)
    calls = []

    def refuse(*args, **kwargs):
        calls.append(args)
        raise AssertionError("attacked again")

    monkeypatch.setattr(traces, "run", refuse)
    assert followed(plan_of(epsilons=["0.05", 0.15]), trials, session) == first
    assert followed(plan_of(name="other"), trials, session).attack == "other"
    others = (
        {"epsilons": [0.05]},
        {"images": 59},
        {"norm": "l2"},
        {"source": "3"},
        {"target": "second"},
        {"confidence": 0.5},
        {"attack": "fgsm"},
    )
    for changes in others:
        with pytest.raises(AssertionError, match="attacked again"):
            followed(plan_of(**changes), trials, session)
    monkeypatch.setattr(traces, "ATTACK_VERSION", "another")
    with pytest.raises(AssertionError, match="attacked again"):
        followed(plan_of(), trials, session)
    assert len(calls) == len(others) + 1


def test_a_study_follows_each_attack_on_its_recipe(trials, session):
    study = study_from(
        {
            "name": "tiny",
            "title": "A title",
            "question": "Why?",
            "recipes": {"mlp": RECIPE, "wild": with_values(RECIPE, {"learning_rate": 1e30})},
            "attack_traces": [PLAN, {**PLAN, "name": "lost", "recipe": "wild"}],
        }
    )
    told = []
    of_recipe = {
        study.recipes["mlp"]: trials,
        study.recipes["wild"]: run_trials([study.recipes["wild"]], session),
    }
    context = Context(study, session, of_recipe)
    records = [
        record
        for place, plan in enumerate(study.entries("attack_traces"))
        for record in traces.PART.run(plan, context, Entry(place, lambda *event: told.append(event)))
    ]
    assert [record.attack for record in records] == ["any"]
    assert told == [(place / SEEDS, f"any, seed {place}") for place in range(SEEDS)]
