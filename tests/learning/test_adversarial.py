"""Adversarial training against plain loops over one torch module, and what it is for."""

import pytest
import torch
from torch.nn import functional

from foolscope.core.errors import RecipeError
from foolscope.core.randomness import torch_generator
from foolscope.data import load
from foolscope.experiments.recipe import recipe_from, with_values
from foolscope.experiments.running.packs import PACKED_FIELDS, PendingTrial, plan_packs
from foolscope.experiments.running.store import trial_identity
from foolscope.learning import DEFENSES, EpochRecord, TrainingSettings, preparation, train_pack
from foolscope.learning.adversarial import (
    FGSMTraining,
    NoDefense,
    PGDTraining,
    TRADESTraining,
    ascend,
    divergence,
)
from foolscope.learning.losses import SquaredError
from foolscope.learning.measuring.robustness import doubts_about_defense
from foolscope.learning.optimizers import SGD
from foolscope.learning.packs.packing import Context, solo_program
from foolscope.learning.preparation import prepare
from foolscope.learning.training import train_step
from foolscope.models import MLP, ResNet, SmallCNN

DEFENDED = {
    "pgd": PGDTraining(epsilon=0.1, attack_steps=3),
    "pgd from the image": PGDTraining(epsilon=0.1, attack_steps=2, attack_step_size=0.03, random_start=False),
    "fgsm": FGSMTraining(epsilon=0.08),
    "trades": TRADESTraining(epsilon=0.1, attack_steps=3, beta=2.0),
}
MODELS = {
    "mlp": MLP(hidden=(8,)),
    "cnn with dropout": SmallCNN(units=(9, 8), dropout=0.3),
    "batch normalization": ResNet(channels=(2, 3)),
}


def plain_ascent(objective, images, start, epsilon, step_size, steps):
    """Projected gradient ascent as the papers' own code writes it."""
    inputs = start.clone().clamp(images - epsilon, images + epsilon).clamp(0, 1)
    for _ in range(steps):
        inputs = inputs.detach().requires_grad_()
        objective(inputs).backward()
        inputs = inputs.detach() + step_size * inputs.grad.sign()
        inputs = torch.min(torch.max(inputs, images - epsilon), images + epsilon).clamp(0, 1)
    return inputs


def plain_loss(trial, model, images, labels):
    """The loss of one minibatch of one trial, computed with torch's functions; returns it with the inputs."""
    defense, smoothing = trial.defense, trial.loss.label_smoothing
    generator = torch_generator(trial.seed, "adversarial", 0)
    model.eval()
    if isinstance(defense, TRADESTraining):
        step_size = defense.attack_step_size or 2.5 * defense.epsilon / defense.attack_steps
        natural = model(images).softmax(1).detach()
        start = images + 0.001 * torch.randn(images.shape, generator=generator, dtype=images.dtype)
        inputs = plain_ascent(
            lambda each: functional.kl_div(model(each).log_softmax(1), natural, reduction="sum"),
            images, start, defense.epsilon, step_size, defense.attack_steps,
        )  # fmt: skip
        model.train()
        logits, moved = model(images), model(inputs)
        robust = functional.kl_div(moved.log_softmax(1), logits.softmax(1), reduction="batchmean")
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing) + defense.beta * robust
    steps = getattr(defense, "attack_steps", 1)
    step_size = defense.attack_step_size or defense.epsilon * (
        1.25 if isinstance(defense, FGSMTraining) else 2.5 / steps
    )
    start = images
    if defense.random_start:
        noise = torch.rand(images.shape, generator=generator, dtype=images.dtype)
        start = images + defense.epsilon * (2 * noise - 1)
    inputs = plain_ascent(
        lambda each: functional.cross_entropy(model(each), labels, reduction="sum"),
        images, start, defense.epsilon, step_size, steps,
    )  # fmt: skip
    model.train()
    return functional.cross_entropy(model(inputs), labels, label_smoothing=smoothing)


@pytest.mark.parametrize("solo", [False, True])
@pytest.mark.parametrize("model", ["mlp", "batch normalization"])
@pytest.mark.parametrize("name", list(DEFENDED))
def test_a_step_is_the_plain_loops(name, model, solo, make_trial, make_dataset, monkeypatch):
    if solo:
        monkeypatch.setattr(preparation, "pack_program", solo_program)
    dataset = make_dataset()
    defenses = [DEFENDED[name].model_copy(update={"epsilon": epsilon}) for epsilon in (0.1, 0.05)]
    trials = [
        make_trial(defense=defense, model=MODELS[model], seed=seed, optimizer=SGD(learning_rate=0.5))
        for seed in (0, 1)
        for defense in defenses
    ]
    setup, state = prepare(trials, dataset)
    before = {key: value.clone() for key, value in state.parameters.items()}
    batch = torch.stack([torch.arange(16), torch.arange(16, 32)])
    context = Context(training=True, dtype=setup.dtype)
    losses, _ = train_step(setup, state, batch, torch.full((4,), 0.5, dtype=torch.float64), context)
    for row, trial in enumerate(trials):
        plain = setup.models[row]
        chosen = batch[row // 2]
        images = dataset.train.images[chosen].double() / 255
        expected = plain_loss(trial, plain, images, dataset.train.labels[chosen])
        plain.zero_grad()
        expected.backward()
        torch.testing.assert_close(losses[row] / 16, expected.detach())
        for key, parameter in plain.named_parameters():
            moved = (before[key][row] - state.parameters[key][row]) / 0.5
            torch.testing.assert_close(moved, parameter.grad, rtol=1e-6, atol=1e-9)
        for key, statistic in state.statistics.items():
            torch.testing.assert_close(statistic[row], plain.get_buffer(key))


def test_iterates_are_the_plain_loops():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 5, 1, 3, 4, generator=generator, dtype=torch.float64)
    start = images + 0.3 * torch.randn(images.shape, generator=generator, dtype=torch.float64)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 6), torch.nn.Tanh()).double()

    def objective(inputs):
        return module(inputs.flatten(0, 1)).square().sum(1).view(inputs.shape[:2])

    epsilon, step_size = torch.tensor([0.1, 0.3]).double(), torch.tensor([0.04, 0.2]).double()
    for steps in range(5):
        found = ascend(objective, images, start, epsilon=epsilon, step_size=step_size, steps=steps)
        assert not found.requires_grad
        for row in range(2):
            expected = plain_ascent(
                lambda each: module(each).square().sum(),
                images[row], start[row], epsilon[row], step_size[row], steps,
            )  # fmt: skip
            assert torch.equal(found[row], expected)
    assert all(parameter.grad is not None for parameter in module.parameters()), (
        "only the plain loop fills it"
    )


def test_divergence_is_torchs():
    first, second = torch.randn(2, 2, 7, 4, generator=torch.Generator().manual_seed(0)).double()
    expected = functional.kl_div(second.log_softmax(-1), first.softmax(-1), reduction="none").sum(-1)
    torch.testing.assert_close(divergence(first, second), expected)
    assert divergence(first, first).abs().max() < 1e-15


@pytest.mark.parametrize("model", list(MODELS))
@pytest.mark.parametrize("name", ["pgd", "trades"])
def test_packed_agrees_with_solo(name, model, make_trial, make_dataset):
    dataset = make_dataset(train=32, validation=20)
    changes = [{"epsilon": 0.1}, {"epsilon": 0.03, "attack_step_size": 0.02}]
    if name == "trades":
        changes[1]["beta"] = 0.5
    trials = [
        make_trial(
            defense=DEFENDED[name].model_copy(update=change),
            model=MODELS[model],
            seed=seed,
            training=TrainingSettings(batch_size=16, epochs=2),
        )
        for seed in (0, 1)
        for change in changes
    ]
    outcomes = train_pack(trials, dataset)
    for row in (1, 2):  # either seed and either defense
        packed, (alone,) = outcomes[row], train_pack([trials[row]], dataset)
        assert packed.best_epoch == alone.best_epoch
        for one, other in zip(packed.history, alone.history, strict=True):
            assert one.running_loss == pytest.approx(other.running_loss, rel=1e-6)
            assert one.robust_validation_accuracy == other.robust_validation_accuracy
        for key, value in alone.weights.items():
            torch.testing.assert_close(packed.weights[key], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", list(DEFENDED))
def test_without_a_budget_it_is_ordinary_training(name, make_trial, make_dataset):
    dataset = make_dataset()
    for model in (MODELS["mlp"], MODELS["cnn with dropout"]):
        if name == "trades" and "dropout" in type(model).model_fields and model.dropout:
            continue  # it draws a second mask for the adversarial inputs, and so compares two networks
        (ordinary,) = train_pack([make_trial(model=model)], dataset)
        defense = DEFENDED[name].model_copy(update={"epsilon": 0.0})
        (defended,) = train_pack([make_trial(model=model, defense=defense)], dataset)
        for key, value in ordinary.weights.items():
            torch.testing.assert_close(defended.weights[key], value, rtol=1e-5, atol=1e-6)
        for one, other in zip(defended.history, ordinary.history, strict=True):
            assert one.running_accuracy == other.running_accuracy
            assert one.robust_validation_accuracy == pytest.approx(other.validation_accuracy)
            assert other.robust_validation_accuracy is None


def test_the_best_checkpoint_is_the_most_robust(make_trial, make_dataset):
    trial = make_trial(defense=PGDTraining(epsilon=0.15), training=TrainingSettings(batch_size=16, epochs=8))
    (outcome,) = train_pack([trial], make_dataset())
    robust = [record.robust_validation_accuracy for record in outcome.history]
    clean = [record.validation_accuracy for record in outcome.history]
    assert outcome.best_epoch == 1 + robust.index(max(robust))
    assert outcome.metrics["robust_validation_accuracy"] == max(robust)
    assert all(one <= other for one, other in zip(robust, clean, strict=True))
    assert clean.index(max(clean)) != robust.index(max(robust)), "the example can tell the two apart"


def test_no_validation_set(make_trial, make_dataset):
    (outcome,) = train_pack([make_trial(defense=PGDTraining(epsilon=0.1))], make_dataset(validation=None))
    assert outcome.history[-1].robust_validation_accuracy is None
    assert "robust_validation_accuracy" not in outcome.metrics


def test_a_diverging_neighbor_is_left_alone(make_trial, make_dataset):
    trials = [
        make_trial(defense=PGDTraining(epsilon=0.1), optimizer=SGD(learning_rate=rate))
        for rate in (0.1, 1e300)
    ]
    first, second = train_pack(trials, make_dataset())
    (alone,) = train_pack(trials[:1], make_dataset())
    assert (first.status, second.status) == ("finished", "diverged")
    for key, value in alone.weights.items():
        torch.testing.assert_close(first.weights[key], value, rtol=1e-4, atol=1e-6)


def record(epoch, training, robust):
    return EpochRecord(epoch, 0.1, 0.5, 0.0, training, 0.5, 0.9, robust)


def test_collapse_is_told_from_a_constructed_history():
    sound = [record(1, 0.3, 0.25), record(2, 0.6, 0.5)]
    collapsed = [*sound, record(3, 0.9, 0.02)]
    assert doubts_about_defense(FGSMTraining(), sound) == ()
    assert doubts_about_defense(FGSMTraining(), [record(1, 0.1, 0.0)]) == (), "nothing is learned yet"
    assert doubts_about_defense(FGSMTraining(), [record(1, 0.9, None)]) == (), "nothing was measured"
    (doubt,) = doubts_about_defense(FGSMTraining(), collapsed)
    assert doubt.startswith("Catastrophic overfitting in epoch 3")
    assert "90%" in doubt
    assert "2% on validation images under PGD-10" in doubt
    assert len(doubts_about_defense(PGDTraining(attack_steps=1), collapsed)) == 1
    assert doubts_about_defense(PGDTraining(), collapsed) == ()
    assert doubts_about_defense(NoDefense(), [record(1, 0.9, None)]) == ()


def digits(defense, **values):
    return recipe_from(
        {
            "dataset": {"name": "digits"},
            "model": {"name": "mlp", "hidden": [32]},
            "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
            "training": {"epochs": 8, "batch_size": 64},
            "defense": defense,
            **values,
        }
    )


def accuracy_under_pgd(outcome, recipe, dataset, epsilon):
    """Accuracy of the stored weights under PGD-20, written out."""
    (model,) = prepare([recipe], dataset)[0].models
    model.float().load_state_dict(outcome.weights)
    model.eval()
    images, labels = dataset.test.images.float() / 255, dataset.test.labels
    inputs = plain_ascent(
        lambda each: functional.cross_entropy(model(each), labels, reduction="sum"),
        images, images, epsilon, epsilon / 8, 20,
    )  # fmt: skip
    return float((model(inputs).argmax(1) == labels).float().mean())


def test_the_defended_withstand_what_the_undefended_do_not():
    epsilon = 0.15
    names = ("none", "pgd", "trades")
    recipes = [
        digits({"name": name} if name == "none" else {"name": name, "epsilon": epsilon, "attack_steps": 4})
        for name in names
    ]
    dataset = load(recipes[0].dataset)
    robust = {}
    for name, recipe in zip(names, recipes, strict=True):
        (outcome,) = train_pack([recipe], dataset)
        robust[name] = accuracy_under_pgd(outcome, recipe, dataset, epsilon)
        assert outcome.metrics["test_accuracy"] > 0.8
    assert all(robust[name] > robust["none"] + 0.15 for name in names[1:]), robust


def test_fgsm_without_a_random_start_collapses_and_says_so():
    recipe = digits(
        {"name": "fgsm", "epsilon": "0.4", "random_start": False},
        dataset={"name": "digits", "limit": 400},
        model={"name": "mlp", "hidden": [256]},
        optimizer={"name": "adam", "learning_rate": 0.003},
        training={"epochs": 20, "batch_size": 64},
    )
    (outcome,) = train_pack([recipe], load(recipe.dataset))
    assert any(doubt.startswith("Catastrophic overfitting") for doubt in outcome.doubts), outcome.history[-1]
    assert outcome.as_document()["doubts"] == outcome.doubts


def test_no_defense_in_any_words_is_one_identity_and_every_defense_another():
    recipe = recipe_from({"model": {"name": "mlp", "hidden": [50]}, "seed": 3})
    identity = trial_identity(recipe, "fingerprint", "float64")
    for same in (with_values(recipe, {"defense": None}), with_values(recipe, {"defense": "none"})):
        assert trial_identity(same, "fingerprint", "float64") == identity
    defended = {
        trial_identity(with_values(recipe, {"defense": name}), "fingerprint", "float64") for name in DEFENSES
    }
    assert identity in defended
    assert len(defended) == len(DEFENSES)


def test_a_recipe_survives_writing_and_reading():
    for name in DEFENSES:
        recipe = recipe_from({"defense": name})
        assert recipe_from(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {"name": "pgd", "epsilon": 8},
            "must be in .0, 1. .pixels scaled to .0, 1..; got 8. Did you mean 8/255",
        ),
        ({"name": "pgd", "epsilon": "8/0"}, "a fraction such as 8/255; got '8/0'"),
        (
            {"name": "fgsm", "attack_step_size": -0.1},
            "defense.attack_step_size: .* must not be negative; got -0.1",
        ),
        ({"name": "fgsm", "attack_steps": 2}, "unknown field 'defense.attack_steps'"),
        ("pdg", "unknown defense 'pdg'. Did you mean 'pgd'"),
    ],
)
def test_what_makes_no_sense_is_one_line(value, expected):
    with pytest.raises(RecipeError, match=expected) as caught:
        recipe_from({"defense": value})
    assert "\n" not in str(caught.value)


def test_trades_needs_probabilities(make_trial, make_dataset):
    with pytest.raises(RecipeError, match="needs loss cross-entropy; got squared-error"):
        train_pack([make_trial(defense=TRADESTraining(), loss=SquaredError())], make_dataset())
    (outcome,) = train_pack([make_trial(defense=PGDTraining(), loss=SquaredError())], make_dataset())
    assert outcome.status == "finished"


def test_budgets_are_fractions():
    recipe = recipe_from({"defense": {"name": "trades", "epsilon": "8/255", "attack_step_size": "none"}})
    assert recipe.defense.epsilon == 8 / 255
    assert recipe.defense.attack_step_size is None
    assert with_values(recipe, {"attack_step_size": "2/255"}).defense.attack_step_size == 2 / 255


def test_budgets_pack_and_steps_do_not():
    base = recipe_from({"defense": "trades"})

    def packs(*recipes):
        return len(plan_packs([PendingTrial(str(n), each, 100) for n, each in enumerate(recipes)]))

    for field, value in {"epsilon": 0.1, "attack_step_size": 0.01, "beta": 1.0}.items():
        assert field.rpartition(".")[2] in PACKED_FIELDS["defense"]
        assert packs(base, with_values(base, {field: value})) == 1
    assert packs(base, with_values(base, {"attack_steps": 3})) == 2
    assert packs(base, with_values(base, {"defense": "pgd"})) == 2
    assert packs(base, with_values(base, {"defense": "none"})) == 2
