"""The study file: a question, recipes, ablations, attacks and claims, as TOML."""

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field

from foolscope.attacks import ATTACKS, NORMS, Attack, Threat
from foolscope.core.errors import FoolscopeError, RecipeError, StoreError, did_you_mean
from foolscope.core.settings import Settings, one_line
from foolscope.experiments.claims import Claim, ComparisonClaim, TrendClaim, ValueClaim
from foolscope.experiments.recipe import Recipe, recipe_from

__all__ = [
    "FIRST_STUDY",
    "AblationPlan",
    "AttackPlan",
    "FoolingPlan",
    "Study",
    "as_attack",
    "attack_from",
    "built_in_studies",
    "read_study",
    "renamed",
    "study_from",
]

FIRST_STUDY = "first-study"


def _attack(value: Any) -> Any:
    """Let a bare name stand for an attack with its default settings."""
    if isinstance(value, str):
        value = {"name": value}
    if isinstance(value, Mapping):
        name = str(value.get("name"))
        if name not in ATTACKS:
            raise ValueError(f"unknown attack {name!r}. {did_you_mean(name, ATTACKS)}")
        return ATTACKS[name].model_validate(dict(value))
    return value


AnyAttack = Annotated[pydantic.SerializeAsAny[Settings], pydantic.BeforeValidator(_attack)]
_Values = Annotated[tuple[pydantic.JsonValue, ...], Field(min_length=1)]


class AblationPlan(Settings):
    """One-factor ablations around a recipe."""

    recipe: str
    vary: Annotated[dict[str, _Values], Field(min_length=1)]
    published: dict[str, tuple[float | None, ...]] = Field(
        default_factory=dict, description="published figures, field by field, one per value of vary"
    )
    metric: str = "test_accuracy"

    @pydantic.model_validator(mode="after")
    def _published_figures_fit(self) -> "AblationPlan":
        for field, figures in self.published.items():
            if field not in self.vary:
                raise ValueError(f"published: nothing varies {field!r}. {did_you_mean(field, self.vary)}")
            if len(figures) != len(self.vary[field]):
                raise ValueError(
                    f"published: {len(figures)} figures for the {len(self.vary[field])} values of {field}; "
                    "give one per value"
                )
        return self


class _Threatened(Settings):
    """A norm with its budgets checked."""

    norm: str = "linf"

    @pydantic.field_validator("norm")
    @classmethod
    def _known_norm(cls, norm: str) -> str:
        if norm not in NORMS:
            raise ValueError(f"unknown norm {norm!r}. {did_you_mean(norm, NORMS)}")
        return norm


class AttackPlan(_Threatened):
    """Robust accuracy of recipes over a range of budgets, for the models of every seed."""

    name: str = Field(description='how claims call it, as in metric = "robust_accuracy:NAME@8/255"')
    recipes: Annotated[tuple[str, ...], Field(min_length=1)]
    epsilons: Annotated[tuple[str | float, ...], Field(min_length=1)]
    attacks: Annotated[tuple[AnyAttack, ...], Field(min_length=1)]
    images: int = Field(1000, ge=1, description="the first so many test images")

    @pydantic.model_validator(mode="after")
    def _budgets_make_sense(self) -> "AttackPlan":
        self.budgets()
        return self

    def budgets(self) -> tuple[float, ...]:
        """Return the budgets in pixel units, ascending."""
        try:
            return tuple(sorted({Threat(self.norm, epsilon).epsilon for epsilon in self.epsilons}))
        except FoolscopeError as error:
            raise ValueError(str(error)) from error


class FoolingPlan(_Threatened):
    """A gallery of fooling images of one recipe's first model."""

    recipe: str
    epsilon: str | float
    attack: AnyAttack
    target: Literal["none", "second", "least-likely", "random"] = Field(
        "none", description="which class the attack aims at; none takes any misclassification"
    )
    images: int = Field(6, ge=1, le=24)

    @pydantic.model_validator(mode="after")
    def _budget_makes_sense(self) -> "FoolingPlan":
        self.threat()
        return self

    def threat(self) -> Threat:
        """Return what the attacker may do."""
        try:
            return Threat(self.norm, self.epsilon)
        except FoolscopeError as error:
            raise ValueError(str(error)) from error


class InspectionPlan(Settings):
    """What to look at."""

    checks: tuple[str, ...] = Field((), description="recipes whose sanity is checked")
    confusion: tuple[str, ...] = Field((), description="recipes whose confusion matrix is drawn")
    worst: tuple[str, ...] = Field((), description="recipes whose worst-classified images are shown")


class Study(Settings):
    """A whole study.

    Args:
        name: file-system name of its results.
        title: heading of the report.
        question: what it asks, one sentence.
        seeds: trials per cell.
        practical_difference: δ, the smallest difference of an accuracy that matters, as a fraction.
        recipes: named recipes; ``like = "other"`` starts from another one.
        ablations: one-factor ablations.
        attacks: robust accuracy curves.
        galleries: fooling images.
        inspection: checks, confusion, worst-classified images.
        claims: sentences to test.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    question: str
    seeds: int = Field(5, ge=1, le=1000)
    practical_difference: float = Field(0.005, gt=0, lt=1)
    recipes: Annotated[dict[str, Recipe], Field(min_length=1)]
    ablations: tuple[AblationPlan, ...] = ()
    attacks: tuple[AttackPlan, ...] = ()
    galleries: tuple[FoolingPlan, ...] = ()
    inspection: InspectionPlan = InspectionPlan()
    claims: tuple[Claim, ...] = ()

    @pydantic.model_validator(mode="after")
    def _recipes_exist(self) -> "Study":
        mentions = [
            *(plan.recipe for plan in self.ablations),
            *(plan.recipe for plan in self.galleries),
            *(name for plan in self.attacks for name in plan.recipes),
            *self.inspection.checks,
            *self.inspection.confusion,
            *self.inspection.worst,
            *(str(cell.recipe) for claim in self.claims for cell in claim.cells()),
        ]
        for name in mentions:
            if name not in self.recipes:
                raise ValueError(f"unknown recipe {name!r}. {did_you_mean(name, self.recipes)}")
        return self

    @pydantic.model_validator(mode="after")
    def _attacks_have_names_of_their_own(self) -> "Study":
        names = [plan.name for plan in self.attacks]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two attacks are called {twice!r}; give each a name of its own")
        return self


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
    for name, plan in (("ablations", AblationPlan), ("attacks", AttackPlan), ("galleries", FoolingPlan)):
        for position, entry in enumerate(_tables(table.get(name))):
            allowed[f"{name}.{position}"] = list(plan.model_fields)
            for place, attack in enumerate(_tables(entry.get("attacks"))):
                allowed[f"{name}.{position}.attacks.{place}"] = _attack_fields(attack)
            allowed[f"{name}.{position}.attack"] = _attack_fields(entry.get("attack"))
    for kind, claim in (("value", ValueClaim), ("comparison", ComparisonClaim), ("trend", TrendClaim)):
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


def attack_from(values: Mapping[str, Any]) -> Settings:
    """Validate a mapping, such as ``{"name": "pgd", "steps": 20}``, into an attack.

    Raises:
        RecipeError: one line about the first thing that is wrong.
    """
    try:
        return pydantic.TypeAdapter[Settings](AnyAttack).validate_python(dict(values))
    except pydantic.ValidationError as error:
        raise one_line(error) from error


def as_attack(settings: Settings) -> Attack:
    """Return an attack of a plan as the runner wants it."""
    assert settings.__class__ in ATTACKS.values()
    return settings  # type: ignore[return-value]  # every class of the table satisfies the protocol
