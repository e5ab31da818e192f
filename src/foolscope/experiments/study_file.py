"""Study files: reading them, the built-in ones, and ``like``, by which one recipe starts from another."""

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pydantic

from foolscope.attacks import ATTACKS
from foolscope.core.errors import RecipeError, StoreError, did_you_mean
from foolscope.core.settings import Settings, one_line
from foolscope.experiments.claims.claim import ComparisonClaim, CurveClaim, TrendClaim, ValueClaim
from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS
from foolscope.experiments.recipe import Recipe, recipe_from
from foolscope.experiments.study import (
    AblationPlan,
    AttackPlan,
    FoolingPlan,
    InspectionPlan,
    LookPlan,
    SearchPlan,
    Study,
    TracePlan,
)

__all__ = ["FIRST_STUDY", "built_in_studies", "read_study", "renamed", "study_from"]

FIRST_STUDY = "first-study"


def study_from(values: Mapping[str, Any]) -> Study:
    """Validate a nested mapping, such as a parsed TOML file, into a study.

    Raises:
        RecipeError: one line about the first thing that is wrong.
    """
    table = dict(values)
    recipes = table.get("recipes")
    if isinstance(recipes, Mapping):
        table["recipes"] = {name: _named_recipe(name, recipes, ()) for name in recipes}
    try:
        return Study.model_validate(table)
    except pydantic.ValidationError as error:
        raise one_line(error, _allowed(table)) from error


def _allowed(table: Mapping[str, Any]) -> dict[str, list[str]]:
    """For each dotted prefix of a study's fields, what may stand there."""
    allowed = {"": list(Study.model_fields), "inspection": list(InspectionPlan.model_fields)}
    plans: dict[str, type[Settings]] = {
        "ablations": AblationPlan,
        "searches": SearchPlan,
        "attacks": AttackPlan,
        "attack_traces": TracePlan,
        "galleries": FoolingPlan,
        "inspections": LookPlan,
    }
    for name, plan in plans.items():
        for position, entry in enumerate(_tables(table.get(name))):
            allowed[f"{name}.{position}"] = list(plan.model_fields)
            for place, attack in enumerate(_tables(entry.get("attacks"))):
                allowed[f"{name}.{position}.attacks.{place}"] = _attack_fields(attack)
            allowed[f"{name}.{position}.attack"] = _attack_fields(entry.get("attack"))
    for position, entry in enumerate(_tables(table.get("demonstrations"))):
        found = DEMONSTRATIONS.get(str(entry.get("kind")))
        allowed[f"demonstrations.{position}"] = [] if found is None else list(found.settings.model_fields)
    kinds: dict[str, type[Settings]] = {
        "value": ValueClaim,
        "comparison": ComparisonClaim,
        "trend": TrendClaim,
        "curve": CurveClaim,
    }
    for kind, claim in kinds.items():
        names = [field.alias or name for name, field in claim.model_fields.items()]
        allowed |= {
            f"claims.{position}.{kind}": names for position in range(len(_tables(table.get("claims"))))
        }
    return allowed


def _tables(value: Any) -> list[Mapping[str, Any]]:
    """Return the entries of an array of tables; what is not a table counts as an empty one."""
    return (
        [each if isinstance(each, Mapping) else {} for each in value]
        if isinstance(value, list | tuple)
        else []
    )


def _attack_fields(attack: Any) -> list[str]:
    name = attack.get("name") if isinstance(attack, Mapping) else None
    return list(ATTACKS[name].model_fields) if isinstance(name, str) and name in ATTACKS else []


def _named_recipe(name: str, recipes: Mapping[str, Any], seen: tuple[str, ...]) -> Recipe:
    """Build one named recipe, following ``like``."""
    try:
        return recipe_from(_merged(name, recipes, seen))
    except RecipeError as error:
        raise RecipeError(f"recipes.{name}: {error}") from error


def _merged(name: str, recipes: Mapping[str, Any], seen: tuple[str, ...]) -> dict[str, Any]:
    if name not in recipes:
        raise RecipeError(f"like: unknown recipe {name!r}. {did_you_mean(name, recipes)}")
    if name in seen:
        raise RecipeError(f"like goes in a circle: {' → '.join((*seen, name))}")
    own = recipes[name]
    if isinstance(own, Recipe):
        return own.model_dump()
    if not isinstance(own, Mapping):
        raise RecipeError(f"must be a table; got {own!r}")
    own = dict(own)
    parent = own.pop("like", None)
    if parent is None:
        return own
    merged = _merged(str(parent), recipes, (*seen, name))
    for field, value in own.items():
        inherited = merged.get(field)
        if isinstance(inherited, str):
            inherited = {"name": inherited}
        if (
            isinstance(value, Mapping)
            and isinstance(inherited, Mapping)
            and value.get("name", inherited.get("name")) == inherited.get("name")
        ):
            merged[field] = {**inherited, **value}
        else:
            merged[field] = value
            if field == "model" and "loss" not in own:
                merged.pop("loss", None)
    return merged


def built_in_studies() -> dict[str, str]:
    """Return the studies that come with the package: name to TOML text."""
    folder = resources.files("foolscope.experiments") / "studies"
    files = [entry for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return {
        entry.name.removesuffix(".toml"): entry.read_text(encoding="utf-8")
        for entry in sorted(files, key=lambda each: each.name)
    }


def read_study(name_or_path: str = FIRST_STUDY) -> tuple[Study, str]:
    """Read a built-in study by name, or a study file by path.

    Returns:
        The study, and its text.

    Raises:
        StoreError: there is no such study or file.
        RecipeError: the file is not TOML, or a field is wrong.

    Example:
        >>> study, text = read_study("first-study")
        >>> study.seeds
        5
    """
    built_in = built_in_studies()
    if name_or_path in built_in:
        text = built_in[name_or_path]
    else:
        path = Path(name_or_path)
        if not path.is_file():
            raise StoreError(
                f"no study file {name_or_path!r}, and no built-in study of that name. "
                f"{did_you_mean(name_or_path, built_in)}. Write one to edit: foolscope study --write my.toml"
            )
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"cannot read {path}: {error}") from error
    try:
        return study_from(tomllib.loads(text)), text
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{name_or_path} is not valid TOML: {error}") from error
    except RecipeError as error:
        raise RecipeError(f"{name_or_path}: {error}") from error


def renamed(text: str, name: str, new_name: str) -> str:
    """Give a study file another name, so that a copy does not write over the results of the original.

    Args:
        text: of the study file.
        name: that it has.
        new_name: that it gets, with whatever a name may not have replaced by a hyphen.

    Example:
        >>> renamed('name = "first-study"', "first-study", "My study")
        'name = "my-study"'
    """
    plain = re.sub(r"[^a-z0-9]+", "-", new_name.lower()).strip("-") or f"{name}-copy"
    return text.replace(f'name = "{name}"', f'name = "{plain}"', 1)
