import pytest
import torch

import foolscope
from foolscope.core.errors import FoolscopeError, RecipeError, StoreError, ThreatError
from foolscope.data import load
from foolscope.experiments.parts.attacks import stored
from foolscope.inspection.checks import overfitting

SMALL = {
    "dataset": {"name": "digits", "limit": 150},
    "model": {"name": "mlp", "hidden": [8]},
    "training": {"epochs": 2, "batch_size": 32},
    "precision": "float32",
}
STUDY = """
name = "tiny"
title = "A tiny study"
question = "Does it run?"
seeds = 2

[recipes.mlp]
dataset = { name = "digits", limit = 150 }
model = { name = "mlp", hidden = [8] }
training = { epochs = 2, batch_size = 32 }
precision = "float32"

[mistakes]
worst = ["mlp"]

[[claims]]
sentence = "It is good"
kind = "value"
recipe = "mlp"
is = "at least"
value = 0.05
"""


@pytest.fixture
def recipe():
    return foolscope.recipe(SMALL)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return foolscope.Session(tmp_path_factory.mktemp("store"), device="cpu")


def test_train_reads_what_it_has_trained(recipe, session):
    training = foolscope.train(recipe, session=session)
    again = foolscope.train(recipe, session=session)
    assert again.record == training.record


def test_ablate_gives_verdicts_in_sentences(recipe, session):
    ablation = foolscope.ablate(recipe, {"learning_rate": [0.001, 0.1]}, seeds=2, session=session)
    assert len(ablation.sentences) == 1
    assert "0.001" in ablation.sentences[0]
    with pytest.raises(RecipeError, match="at least 2 seeds; got 1"):
        foolscope.ablate(recipe, {"learning_rate": [0.001]}, seeds=1, session=session)


def test_check_says_what_it_found_in_sentences(recipe, session, monkeypatch):
    result = foolscope.check(recipe, rates=(0.001, 0.3, 1e30), steps=20, session=session)
    assert result.passed
    assert len(result.sentences) == len(result.checks) + 1
    assert result.range_test.rates == [0.001, 0.1, 0.3, 1e30]
    assert result.range_test.losses[3] is None
    monkeypatch.setattr(overfitting, "_BATCH_STEPS", 40)
    monkeypatch.setattr(overfitting, "_SUBSET_EPOCHS", 10)
    assert not foolscope.check(
        foolscope.recipe({**SMALL, "model": {"name": "mlp", "hidden": [1]}}),
        rates=(0.1, 0.2),
        steps=5,
        session=session,
    ).passed
    with pytest.raises(RecipeError, match="positive rates"):
        foolscope.check(recipe, rates=(0.0, 1.0), session=session)


def test_search_gives_a_recipe_and_says_what_it_is_worth(recipe, session):
    over = {"learning_rate": "0.001:1:log", "batch_size": [16, 32]}
    found = foolscope.search(recipe, over, rounds=1, trials=3, fresh_seeds=3, session=session)
    assert found.recipe.optimizer.learning_rate == found.record.winner.values["learning_rate"]
    assert found.recipe.training.batch_size == found.record.winner.values["batch_size"]
    assert found.recipe.seed == recipe.seed
    with pytest.raises(RecipeError, match=r"fresh_seeds: .*; got 1"):
        foolscope.search(recipe, over, fresh_seeds=1, session=session)


def test_attack_measures_the_trained_model(recipe, session):
    training = foolscope.train(recipe, session=session)
    curve = foolscope.attack(
        training, epsilons=[0, "51/255"], attacks=["fgsm", {"name": "pgd", "steps": 3}], limit=50
    )
    assert curve.epsilons == (0.0, 0.2)
    assert len(curve.attack.curve.labels) == 50
    assert curve.robust_accuracies[0] == curve.clean_accuracy
    whole = foolscope.attack(training, epsilons=[0], attacks=["fgsm"])
    assert whole.clean_accuracy == pytest.approx(training.test_accuracy)
    with pytest.raises(ThreatError, match="8/255"):
        foolscope.attack(training, epsilons=[8])
    with pytest.raises(RecipeError, match="unknown attack 'pdg'"):
        foolscope.attack(training, epsilons=[0.1], attacks=["pdg"])

    with pytest.raises(RecipeError, match="attacks is empty"):
        foolscope.attack(training, epsilons=[0.1], attacks=[])


ATTACKED = """
[[attacks]]
name = "linf"
recipes = ["mlp"]
epsilons = [0, "8/255"]
attacks = ["fgsm", "pgd"]
images = 30
"""


@pytest.mark.parametrize("study_first", [True, False])
def test_an_attack_of_a_study_and_of_a_script_is_one(recipe, tmp_path, monkeypatch, study_first):
    path, quick = tmp_path / "tiny.toml", {"epsilons": ["8/255", 0], "attacks": ["fgsm", {"name": "pgd"}]}
    path.write_text(STUDY.replace("[mistakes]", f"{ATTACKED}\n[mistakes]"), encoding="utf-8")
    trainings = [
        foolscope.train(
            recipe.model_copy(update={"seed": seed}), session=foolscope.Session(tmp_path / "runs")
        )
        for seed in (0, 1)
    ]

    def by_study():
        return (
            foolscope.study(path, session=foolscope.Session(tmp_path / "runs"))
            .record.of("attacks")[0]
            .accuracies
        )

    def by_script():
        found = [foolscope.attack(each, limit=30, **quick) for each in trainings]
        return [list(each.robust_accuracies) for each in found]

    first, second = (by_study, by_script) if study_first else (by_script, by_study)
    accuracies = first()

    def refuse(*_, **__):
        raise AssertionError("attacked again")

    monkeypatch.setattr(stored, "curve_evaluation", refuse)
    assert second() == accuracies
    with pytest.raises(AssertionError, match="attacked again"):
        foolscope.attack(trainings[1], limit=30, **quick, seed=0)


class Scaled(torch.nn.Module):
    """The same outputs for any scale, and other gradients."""

    def __init__(self, model, scale):
        super().__init__()
        self.model, self.scale = model, scale

    def forward(self, images):
        logits = self.model(images)
        return logits.detach() + self.scale * (logits - logits.detach())


def test_a_module_is_known_by_what_it_computes(recipe, session, tmp_path):
    training = foolscope.train(recipe, session=session)
    images = load(recipe.dataset).test.images[:20] / 255.0
    model, quick = (
        training.trial.model(),
        {"epsilons": [0.1], "attacks": ["pgd"], "session": foolscope.Session(tmp_path)},
    )
    labels = model(images).argmax(1)

    def was_stored(module, count=20):
        return foolscope.attack(module, images[:count], labels[:count], **quick).attack.was_stored

    assert not was_stored(Scaled(model, 1.0))
    assert was_stored(Scaled(training.trial.model(), 1.0))
    assert not was_stored(Scaled(model, 2.0))
    assert not was_stored(Scaled(model, 1.0).train())  # of which the result says so
    assert not was_stored(Scaled(model, 1.0), 19)
    assert not was_stored(model)
    noisy = torch.nn.Sequential(model, torch.nn.Flatten())
    noisy.register_forward_hook(lambda module, given, logits: logits + 1e-3 * torch.rand(1))
    assert [was_stored(noisy) for _ in range(2)] == [False, False]


def test_attack_takes_any_module(recipe, session):
    training = foolscope.train(recipe, session=session)
    model = training.trial.model()
    quick = {"epsilons": [0, 0.1], "attacks": ["fgsm"], "session": session}
    named = foolscope.attack(model, dataset="digits", limit=50, **quick)
    own = foolscope.attack(training, limit=50, **quick)
    assert named.robust_accuracies == own.robust_accuracies
    test = load(recipe.dataset).test
    images, labels = test.images[:50] / 255.0, test.labels[:50]
    assert foolscope.attack(model, images, labels, **quick).robust_accuracies == own.robust_accuracies
    inner = torch.nn.Sequential(torch.nn.Upsample(size=8), model)  # any module, its own code or not
    scaled = foolscope.attack(inner, images, labels, mean=[0.0], std=[0.5], **quick)
    with torch.no_grad():
        assert scaled.clean_accuracy == (model(2 * images).argmax(1) == labels).double().mean().item()
    constant = torch.nn.Linear(10, 10)
    constant.weight.data.zero_()
    broken = foolscope.attack(torch.nn.Sequential(model, constant), dataset="digits", **quick)
    assert "near guessing" in broken.doubts[0]
    for given, options, said in (
        ((), {}, "needs either images and labels, or the name"),
        ((images,), {}, "needs either images and labels"),
        ((images, labels), {"dataset": "digits"}, "needs either images"),
        ((images, labels), {"mean": [0.5]}, "mean and std belong together"),
    ):
        with pytest.raises(RecipeError, match=said):
            foolscope.attack(model, *given, **options, **quick)
    with pytest.raises(RecipeError, match="own normalization"):
        foolscope.attack(training, mean=[0.5], std=[0.5], **quick)


def test_study_runs_a_file_and_writes_its_report(session, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY, encoding="utf-8")
    result = foolscope.study(str(path), session=session)
    assert result.record.claims[0].outcome in ("upheld", "undecided", "contradicted")
    assert result.report == session.store.root / "studies" / "tiny" / "report.html"
    assert "A tiny study" in result.report.read_text(encoding="utf-8")
    assert foolscope.study(str(path), session=session).record.claims == result.record.claims


def test_a_path_may_be_a_path(session, tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(STUDY, encoding="utf-8")
    assert foolscope.study(path, session=foolscope.Session(str(session.store.root))).record.name == "tiny"


def test_mistakes_are_foolscope_errors(tmp_path):
    with pytest.raises(RecipeError, match="Did you mean 'model'"):
        foolscope.recipe({"modle": "mlp"})
    with pytest.raises(StoreError, match="no study file"):
        foolscope.study("nope.toml", session=foolscope.Session(tmp_path))
    assert issubclass(RecipeError, foolscope.FoolscopeError)
    assert foolscope.FoolscopeError is FoolscopeError


def test_nothing_is_printed(recipe, session, capfd):
    foolscope.train(recipe, session=session)
    assert capfd.readouterr() == ("", "")
