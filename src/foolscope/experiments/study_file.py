"""Study files: reading them, the built-in ones, and ``like``, by which one recipe starts from another."""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pydantic
import tomli_w

from foolscope.core.errors import RecipeError, StoreError, did_you_mean, require_known
from foolscope.core.settings import Settings, one_line
from foolscope.experiments.claims.claim import ComparisonClaim, CurveClaim, TrendClaim, ValueClaim
from foolscope.experiments.parts.table import PARTS
from foolscope.experiments.recipe import Recipe, recipe_from
from foolscope.experiments.study import Study, StudyHead

__all__ = ["FIRST_STUDY", "as_toml", "built_in_studies", "read_study", "renamed", "study_from"]

FIRST_STUDY = "first-study"


def study_from(values: Mapping[str, Any]) -> Study:
    """Validate a nested mapping, such as a parsed TOML file, into a study.

    Raises:
        RecipeError: one line about the first thing that is wrong.
    """
    table = dict(values)
    if "inspection" in table:
        raise RecipeError(_RENAMED)
    for name, part in _TABLES.items():
        if part.is_single and isinstance(table.get(name), list | tuple):
            raise RecipeError(f"a study has one table [{name}]; got [[{name}]]")
        if not part.is_single and isinstance(table.get(name), Mapping):
            raise RecipeError(f"a study may have several tables [[{name}]]; got [{name}]")
    recipes = table.get("recipes")
    if isinstance(recipes, Mapping):
        table["recipes"] = {name: _named_recipe(name, recipes, ()) for name in recipes}
    try:
        read = _StudyFile.model_validate(table)
    except pydantic.ValidationError as error:
        raise one_line(error, _allowed(table)) from error
    head = {name: getattr(read, name) for name in StudyHead.model_fields}
    study = Study(**head, parts={name: _entries(getattr(read, name)) for name in _TABLES})
    _check_recipes(study)
    _check_names(study)
    return study


_RENAMED = (
    "[inspection] has become two tables: write [checks] with recipes = [...] (before: checks) and "
    "learning_rates = [...], and [mistakes] with confusion = [...] and worst = [...]"
)

_TABLES = {name: part for name, part in PARTS.items() if part.plans is None}


def _table_type(plan: Any, *, is_single: bool) -> tuple[Any, Any]:
    """Return the type of a part's table, and its default."""
    return (plan | None, None) if is_single else (tuple[plan, ...], ())


_FIELDS: dict[str, Any] = {
    name: _table_type(part.plan, is_single=part.is_single) for name, part in _TABLES.items()
}
_StudyFile = pydantic.create_model("_StudyFile", __base__=StudyHead, **_FIELDS)
"""A study file as it is written: the head, and a table for each part."""


def _entries(read: Any) -> tuple[Any, ...]:
    """Return the entries of a table: several, one, or none."""
    return read if isinstance(read, tuple) else () if read is None else (read,)


def as_toml(study: Study) -> str:
    """Write a study as a study file."""
    head = study.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"parts"})
    dumped = study.model_dump(mode="json", by_alias=True, exclude_none=True, include={"parts"})["parts"]
    tables = {
        name: entries[0] if PARTS[name].is_single else entries for name, entries in dumped.items() if entries
    }
    return tomli_w.dumps({**head, **tables})


def _check_recipes(study: Study) -> None:
    """Refuse names of recipes that the study does not have, and a study without anything to do."""
    mentions = [
        name for part, own in _TABLES.items() for entry in study.entries(part) for name in own.recipes(entry)
    ]
    mentions += [str(cell.recipe) for claim in study.claims for cell in claim.cells()]
    for name in mentions:
        require_known(name, study.recipes, "recipe")
    if not study.recipes and not any(study.parts.values()):
        raise RecipeError("recipes: a study needs at least one recipe, or one of [[demonstrations]]")


def _check_names(study: Study) -> None:
    """Refuse two parts that measure the same metric, so that a claim always knows whose it is."""
    for axis in (None, "epoch", "step"):
        own = [each for part in PARTS.values() for each in part.metrics(study) if each.axis == axis]
        counts = Counter((each.kind, each.quantity, each.part, each.at) for each in own)
        twice = next((each for each in own if counts[each.kind, each.quantity, each.part, each.at] > 1), None)
        if twice is not None:
            raise RecipeError(
                f"two parts of the study are called {twice.part!r} and measure {twice.quantity}; give each a "
                "name of its own"
            )


def _allowed(table: Mapping[str, Any]) -> dict[str, list[str]]:
    """For each dotted prefix of a study's fields, what may stand there."""
    allowed = {"": list(_StudyFile.model_fields)}
    for name, part in _TABLES.items():
        entries = [table.get(name)] if part.is_single else _tables(table.get(name))
        for position, entry in enumerate(entries):
            prefix = name if part.is_single else f"{name}.{position}"
            if isinstance(part.plan, type) and issubclass(part.plan, Settings):
                allowed[prefix] = list(part.plan.model_fields)
            if isinstance(entry, Mapping):
                nested = part.fields(entry)
                allowed |= {f"{prefix}.{place}".rstrip("."): list(own) for place, own in nested.items()}
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
        raise RecipeError(f"like is circular: {' → '.join((*seen, name))}")
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
