import tomllib

import pytest
import tomli_w
from claim_checks import refuse_wrong_claims

from foolscope.core.errors import FoolscopeError, RecipeError, StoreError
from foolscope.experiments.parts.attacks.plans import as_attack, attack_from
from foolscope.experiments.recipe import recipe_from
from foolscope.experiments.study_file import as_toml, built_in_studies, read_study, study_from

HEAD = {"name": "tiny", "title": "A title", "question": "Why?", "recipes": {"one": {"model": "softmax"}}}
CLAIM = {"sentence": "It is good", "kind": "value", "recipe": "one", "value": 0.5}
ATTACK = {"name": "linf", "recipes": ["one"], "epsilons": [0.1], "attacks": ["fgsm"]}
TRACE = {"name": "steps", "recipe": "one", "epsilons": [0.1], "attack": "fgsm"}
GALLERY = {"recipe": "one", "epsilon": 0.1, "attack": "fgsm"}
LOOK = {"name": "in", "recipe": "one"}


def complaint(**changes):
    with pytest.raises(RecipeError) as caught:
        study_from({**HEAD, **changes})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_least_study_has_defaults():
    study = study_from(HEAD)
    assert study.seeds == 5
    assert study.practical_difference == 0.005
    assert study.recipes["one"].model.name == "softmax"


@pytest.mark.parametrize("name", built_in_studies())
def test_built_in_studies_parse_and_their_claims_resolve(name):
    study, text = read_study(name)
    assert study.name == name
    assert study == study_from(tomllib.loads(text))
    assert len(study.claims) >= 2
    refuse_wrong_claims(study)


def test_a_study_survives_being_written_as_toml():
    for name in built_in_studies():
        study, _ = read_study(name)
        assert study_from(tomllib.loads(as_toml(study))) == study


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"seedz": 3}, ["unknown field 'seedz'", "Did you mean 'seeds'?"]),
        ({"seeds": 0}, ["seeds", "greater than or equal to 1", "got 0"]),
        ({"seeds": "many"}, ["seeds", "integer", "'many'"]),
        ({"practical_difference": 0}, ["practical_difference", "greater than 0"]),
        ({"name": "No Spaces"}, ["name", "No Spaces"]),
        ({"name": "../escape"}, ["name", "../escape"]),
        ({"recipes": {}}, ["recipes", "at least one recipe", "[[demonstrations]]"]),
        ({"recipes": {"one": 3}}, ["recipes.one", "table", "got 3"]),
        ({"recipes": {"one": {"modle": "mlp"}}}, ["recipes.one", "'modle'", "Did you mean 'model'?"]),
        (
            {"recipes": {"one": {"training": {"epoch": 3}}}},
            ["recipes.one", "'training.epoch'", "Did you mean 'epochs'?"],
        ),
        (
            {"recipes": {"one": {"model": "mpl"}}},
            ["recipes.one", "unknown model 'mpl'", "Did you mean 'mlp'?"],
        ),
        (
            {"ablations": [{"recipe": "one", "vari": {"l2": [0.0]}}]},
            ["'ablations.0.vari'", "Did you mean 'vary'?"],
        ),
        ({"ablations": [{"recipe": "two", "vary": {"l2": [0.0, 1.0]}}]}, ["unknown recipe 'two'", "one"]),
        ({"ablations": [{"recipe": "one", "vary": {"l2": []}}]}, ["ablations.0.vary.l2", "at least 1"]),
        (
            {"ablations": [{"recipe": "one", "vary": {"l2": [0.1, 1.0]}, "published": {"l3": [0.1, 0.2]}}]},
            ["published", "'l3'", "l2"],
        ),
        (
            {"ablations": [{"recipe": "one", "vary": {"l2": [0.1, 1.0]}, "published": {"l2": [0.1]}}]},
            ["published", "1 figures", "2 values", "l2"],
        ),
        ({"attacks": [{**ATTACK, "epsilon": [0.1]}]}, ["'attacks.0.epsilon'", "Did you mean 'epsilons'?"]),
        ({"attacks": [{**ATTACK, "epsilons": [8]}]}, ["epsilon must be in [0, 1]", "got 8", "8/255?"]),
        ({"attacks": [{**ATTACK, "epsilons": ["8/0"]}]}, ["epsilon", "'8/0'"]),
        ({"attacks": [{**ATTACK, "norm": "l3"}]}, ["unknown norm 'l3'", "linf"]),
        ({"attacks": [{**ATTACK, "attacks": ["pdg"]}]}, ["unknown attack 'pdg'", "Did you mean 'pgd'?"]),
        (
            {"attacks": [{**ATTACK, "attacks": ["fgsm", {"name": "pgd", "step": 3}]}]},
            ["'attacks.0.attacks.1.step'", "Did you mean 'steps'?"],
        ),
        ({"attacks": [{**ATTACK, "attacks": [{"name": "pgd", "steps": 0}]}]}, ["steps", "got 0"]),
        ({"attacks": [{**ATTACK, "recipes": ["two"]}]}, ["unknown recipe 'two'"]),
        ({"attacks": [ATTACK, ATTACK]}, ["called 'linf'"]),
        ({"galleries": [{**GALLERY, "epsilon": 8}]}, ["galleries.0", "got 8", "8/255?"]),
        ({"galleries": [{**GALLERY, "source": "cat", "target": "cat"}]}, ["galleries.0", "both 'cat'"]),
        ({"galleries": [{**GALLERY, "confidence": 1}]}, ["galleries.0.confidence", "less than 1", "got 1"]),
        ({"attack_traces": [{**TRACE, "epsilons": [0.0, 0.1]}]}, ["attack_traces.0", "above 0"]),
        ({"attack_traces": [{**TRACE, "epsilon": 0.1}]}, ["'attack_traces.0.epsilon'", "'epsilons'"]),
        ({"attack_traces": [{**TRACE, "recipe": "two"}]}, ["unknown recipe 'two'"]),
        (
            {"attack_traces": [{**TRACE, "attack": {"name": "pgd", "step": 2}}]},
            ["'attack_traces.0.attack.step'", "'steps'"],
        ),
        ({"attack_traces": [{**TRACE, "attack": "square"}]}, ["attack_traces.0", "at most 1000 steps"]),
        ({"attacks": [ATTACK], "attack_traces": [{**TRACE, "name": "linf"}]}, ["called 'linf'"]),
        ({"galleries": [{**GALLERY, "recipe": "two"}]}, ["unknown recipe 'two'"]),
        (
            {"galleries": [{**GALLERY, "attack": {"name": "fgsm", "steps": 3}}]},
            ["'galleries.0.attack.steps'", "Known"],
        ),
        (
            {"inspections": [{**LOOK, "parts": ["edges", "filter"]}]},
            ["inspections.0.parts", "unknown part 'edges'"],
        ),
        ({"inspections": [{**LOOK, "part": ["filters"]}]}, ["'inspections.0.part'", "'parts'"]),
        ({"inspections": [{**LOOK, "recipe": "two"}]}, ["unknown recipe 'two'"]),
        ({"inspections": [{**LOOK, "name": "a.b"}]}, ["inspections.0.name", "a.b"]),
        ({"inspections": [LOOK, LOOK]}, ["called 'in'"]),
        ({"checks": [{"recipes": ["one"]}]}, ["one table [checks]", "got [[checks]]"]),
        ({"attacks": ATTACK}, ["several tables [[attacks]]", "got [attacks]"]),
        ({"checks": {"recipe": ["one"]}}, ["'checks.recipe'", "Did you mean 'recipes'?"]),
        ({"mistakes": {"worst": ["two"]}}, ["unknown recipe 'two'"]),
        ({"inspection": {"checks": ["one"]}}, ["write [checks] with recipes", "[mistakes] with confusion"]),
        ({"claims": [{**CLAIM, "tolerence": 0.1}]}, ["tolerence", "Did you mean 'tolerance'?"]),
        ({"claims": [{**CLAIM, "kind": "vlaue"}]}, ["claims.0", "vlaue", "'value'"]),
        ({"claims": [{**CLAIM, "is": "at leest"}]}, ["claims.0.value.is", "'at least'", "at leest"]),
        ({"claims": [{**CLAIM, "recipe": "two"}]}, ["unknown recipe 'two'"]),
        (
            {"claims": [{"kind": "value", "recipe": "one", "value": 0.5}]},
            ["claims.0", "sentence", "required"],
        ),
    ],
)
def test_mistakes_are_one_line_that_says_what_is_allowed(changes, parts):
    text = complaint(**changes)
    assert not [part for part in parts if part not in text], text


def test_what_is_missing_is_named():
    with pytest.raises(RecipeError, match="question is required"):
        study_from({name: value for name, value in HEAD.items() if name != "question"})


# ------------------------------------------------------------------ like


def recipes_of(tables):
    return study_from({**HEAD, "recipes": tables}).recipes


def test_like_inherits_field_by_field_and_over_several_generations():
    found = recipes_of(
        {
            "child": {"like": "parent", "seed": 7},
            "parent": {"like": "grandparent", "training": {"epochs": 3}},
            "grandparent": {"training": {"batch_size": 16, "epochs": 9}, "regularization": {"l2": 0.5}},
        }
    )
    child = found["child"]
    assert (child.seed, child.training.epochs, child.training.batch_size) == (7, 3, 16)
    assert child.regularization.l2 == 0.5
    assert found["parent"].seed == 0
    assert found["grandparent"].training.epochs == 9


def test_a_component_of_the_same_name_is_merged_and_of_another_name_replaced():
    found = recipes_of(
        {
            "base": {"optimizer": {"name": "sgd", "momentum": 0.9, "learning_rate": 0.5}},
            "same": {"like": "base", "optimizer": {"name": "sgd", "learning_rate": 0.1}},
            "unnamed": {"like": "base", "optimizer": {"learning_rate": 0.2}},
            "other": {"like": "base", "optimizer": {"name": "adam"}},
            "bare": {"like": "base", "optimizer": "sgd"},
        }
    )
    assert (found["same"].optimizer.momentum, found["same"].optimizer.learning_rate) == (0.9, 0.1)
    assert (found["unnamed"].optimizer.momentum, found["unnamed"].optimizer.learning_rate) == (0.9, 0.2)
    assert found["other"].optimizer.name == "adam"
    assert found["bare"].optimizer.momentum == 0.0


def test_a_bare_name_can_be_refined_by_its_heir():
    found = recipes_of({"base": {"model": "mlp"}, "heir": {"like": "base", "model": {"hidden": [3]}}})
    assert found["heir"].model.hidden == (3,)


def test_the_loss_follows_the_model_unless_given():
    found = recipes_of(
        {
            "base": {"model": "softmax"},
            "line": {"like": "base", "model": "linear-regression"},
            "own": {"like": "base", "loss": "cross-entropy", "model": "linear-regression"},
        }
    )
    assert found["base"].loss.name == "cross-entropy"
    assert found["line"].loss.name != "cross-entropy"
    assert found["own"].loss.name == "cross-entropy"


def test_recipes_already_built_can_be_inherited_from():
    base = recipe_from({"model": "softmax", "seed": 4})
    found = recipes_of({"base": base, "line": {"like": "base", "model": "linear-regression"}})
    assert found["base"] == base
    assert found["line"].seed == 4
    assert found["line"].loss == recipe_from({"model": "linear-regression"}).loss


def test_an_heir_can_take_a_value_back_with_none():
    found = recipes_of(
        {
            "base": {"training": {"clipping": 1.0}, "model": {"name": "mlp", "normalization": "none"}},
            "heir": {"like": "base", "training": {"clipping": "none"}},
        }
    )
    assert found["base"].training.clipping == 1.0
    assert found["heir"].training.clipping is None
    assert found["heir"].model.normalization == "none"


@pytest.mark.parametrize(
    ("tables", "parts"),
    [
        ({"a": {"like": "b"}, "b": {"like": "a"}}, ["recipes.a", "circular", "a → b → a"]),
        ({"a": {"like": "a"}}, ["circular", "a → a"]),
        ({"aa": {"like": "bb"}, "cc": {}}, ["recipes.aa", "unknown recipe 'bb'", "cc"]),
    ],
)
def test_circles_and_unknown_parents_are_refused(tables, parts):
    text = complaint(recipes=tables)
    assert not [part for part in parts if part not in text], text


# ------------------------------------------------------------------ attacks and files


def test_budgets_are_sorted_numbers_in_pixel_units():
    plan = {**ATTACK, "epsilons": ["8/255", 0, 0.01, "0.01"]}
    study = study_from({**HEAD, "attacks": [plan]})
    assert study.entries("attacks")[0].budgets() == (0.0, 0.01, 8 / 255)


def test_attacks_are_named_or_tables():
    assert as_attack(attack_from({"name": "pgd", "steps": 7})).steps == 7
    assert study_from({**HEAD, "attacks": [ATTACK]}).entries("attacks")[0].attacks[0].name == "fgsm"
    with pytest.raises(RecipeError, match="unknown attack 'pdg'"):
        attack_from({"name": "pdg"})
    with pytest.raises(FoolscopeError, match="stepz"):
        attack_from({"name": "pgd", "stepz": 7})


def test_files_are_read_by_path_and_mistakes_name_the_file(tmp_path):
    path = tmp_path / "my.toml"
    path.write_text(tomli_w.dumps(HEAD), encoding="utf-8")
    study, text = read_study(str(path))
    assert study == study_from(HEAD)
    assert text == path.read_text(encoding="utf-8")

    path.write_text("name = \n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"my\.toml is not valid TOML: .*line 1"):
        read_study(str(path))
    path.write_text(tomli_w.dumps({**HEAD, "seedz": 1}), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"my\.toml: unknown field 'seedz'"):
        read_study(str(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StoreError, match=r"cannot read .*my\.toml"):
        read_study(str(path))
    with pytest.raises(StoreError, match="Did you mean 'first-study'"):
        read_study("fist-study")
    with pytest.raises(StoreError, match="--write"):
        read_study(str(tmp_path))


@pytest.mark.parametrize(
    "plan",
    [
        {"attacks": [{**ATTACK, "attacks": ["fgsm", "square"], "norm": "l1"}]},
        {"galleries": [{**GALLERY, "attack": "square", "norm": "l1"}]},
    ],
)
def test_an_attack_that_cannot_search_in_the_norm_is_refused_before_training(plan):
    assert "attack square works in linf, l2; got norm 'l1'" in complaint(**plan)
