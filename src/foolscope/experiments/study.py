"""A study: a question, recipes, ablations, searches, attacks and claims."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import pydantic
from pydantic import Field

from foolscope.attacks import ATTACKS, NORMS, Attack, Threat
from foolscope.attacks.attack import check_norm
from foolscope.core.errors import FoolscopeError, did_you_mean
from foolscope.core.settings import Settings, one_line
from foolscope.experiments.claims.claim import Claim
from foolscope.experiments.parts.demonstrations import DEMONSTRATIONS, DemonstrationSettings
from foolscope.experiments.parts.inspections.inspecting import PARTS
from foolscope.experiments.parts.search.plan import SearchPlan
from foolscope.experiments.recipe import Recipe

__all__ = [
    "AblationPlan",
    "AimedPlan",
    "AttackPlan",
    "FoolingPlan",
    "LookPlan",
    "SearchPlan",
    "Study",
    "TracePlan",
    "as_attack",
    "attack_from",
]


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


def _demonstration(value: Any) -> Any:
    """Validate a table by the settings of its kind."""
    if isinstance(value, Mapping):
        kind = str(value.get("kind"))
        if kind not in DEMONSTRATIONS:
            raise ValueError(f"unknown kind of demonstration {kind!r}. {did_you_mean(kind, DEMONSTRATIONS)}")
        return DEMONSTRATIONS[kind].settings.model_validate(dict(value))
    return value


AnyAttack = Annotated[pydantic.SerializeAsAny[Settings], pydantic.BeforeValidator(_attack)]
AnyDemonstration = Annotated[
    pydantic.SerializeAsAny[DemonstrationSettings], pydantic.BeforeValidator(_demonstration)
]
_Values = Annotated[tuple[pydantic.JsonValue, ...], Field(min_length=1)]

_MOST_STEPS = 1000  # of an attack that is followed: every step is a number in the record


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


def _check_norm(attack: Settings, norm: str) -> None:
    """Refuse an attack that cannot search in the norm, before anything is trained."""
    try:
        check_norm(as_attack(attack), norm)
    except FoolscopeError as error:
        raise ValueError(str(error)) from error


class _Threatened(Settings):
    """A norm with its budgets checked."""

    norm: str = "linf"

    @pydantic.field_validator("norm")
    @classmethod
    def _known_norm(cls, norm: str) -> str:
        if norm not in NORMS:
            raise ValueError(f"unknown norm {norm!r}. {did_you_mean(norm, NORMS)}")
        return norm


def _ascending(norm: str, epsilons: Sequence[str | float]) -> tuple[float, ...]:
    try:
        return tuple(sorted({Threat(norm, epsilon).epsilon for epsilon in epsilons}))
    except FoolscopeError as error:
        raise ValueError(str(error)) from error


class AttackPlan(_Threatened):
    """Robust accuracy of recipes over a range of budgets, for the models of every seed."""

    name: str = Field(description='how claims call it, as in metric = "robust_accuracy:NAME@8/255"')
    recipes: Annotated[tuple[str, ...], Field(min_length=1)]
    epsilons: Annotated[tuple[str | float, ...], Field(min_length=1)]
    attacks: tuple[AnyAttack, ...] = Field(
        description='the cheap ones first; or "full" for everything, with a search for hidden gradients'
    )
    images: int = Field(1000, ge=1, description="the first so many test images")

    @pydantic.model_validator(mode="after")
    def _budgets_and_norm_make_sense(self) -> "AttackPlan":
        self.budgets()
        for attack in self.attacks:
            _check_norm(attack, self.norm)
        return self

    @pydantic.field_validator("attacks", mode="before")
    @classmethod
    def _list_or_full(cls, value: Any) -> Any:
        if value == "full":
            return ()
        if isinstance(value, str) or not value:
            known = did_you_mean(value, ["full", *ATTACKS]) if isinstance(value, str) else ""
            raise ValueError(
                f'attacks must be "full" or a list such as ["fgsm", "pgd"]; got {value!r}. {known}'
            )
        return value

    @pydantic.field_serializer("attacks", mode="wrap")
    def _full_in_words(self, value: Any, written: Callable[[Any], Any]) -> Any:
        return written(value) or "full"

    @property
    def is_full(self) -> bool:
        """Whether everything is tried, instead of attacks by name."""
        return not self.attacks

    def budgets(self) -> tuple[float, ...]:
        """Return the budgets in pixel units, ascending."""
        return _ascending(self.norm, self.epsilons)


class AimedPlan(_Threatened):
    """One attack on one recipe, with the classes that it is about."""

    recipe: str
    attack: AnyAttack
    source: str | None = Field(None, description="only images of this class, by name; any class without it")
    target: str = Field(
        "none",
        description="what the attack aims at: the name of a class, second, least-likely, random or every "
        "(other class in turn); none takes any misclassification",
    )
    confidence: float = Field(
        0.0, ge=0, lt=1, description="only images that the model gets right with at least this probability"
    )

    @pydantic.model_validator(mode="after")
    def _attack_and_classes_make_sense(self) -> "AimedPlan":
        _check_norm(self.attack, self.norm)
        if self.source == self.target:
            raise ValueError(f"source and target are both {self.source!r}; aim at another class")
        return self


class FoolingPlan(AimedPlan):
    """A gallery of fooling images of one recipe's first model."""

    epsilon: str | float
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


class TracePlan(AimedPlan):
    """One attack on the models of every seed, followed step by step, and what it does to the images."""

    name: str = Field(description='how claims call it, as in metric = "success_rate:NAME@8/255"')
    epsilons: Annotated[tuple[str | float, ...], Field(min_length=1)]
    images: int = Field(
        1000, ge=1, description="the first so many test images, of the source if there is one"
    )

    @pydantic.model_validator(mode="after")
    def _budgets_and_steps_make_sense(self) -> "TracePlan":
        if self.budgets()[0] == 0:
            raise ValueError("epsilons must be above 0; what was before the attack is told beside it anyway")
        steps = as_attack(self.attack).steps
        if steps > _MOST_STEPS:
            raise ValueError(f"an attack that is followed takes at most {_MOST_STEPS} steps; got {steps}")
        return self

    def budgets(self) -> tuple[float, ...]:
        """Return the budgets in pixel units, ascending."""
        return _ascending(self.norm, self.epsilons)


class LookPlan(Settings):
    """A look into the models of every seed, as ``foolscope inspect`` takes it into one."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description='how claims call it, as in metric = "inspection:NAME.edge_difference"',
    )
    recipe: str
    parts: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        tuple(PARTS),
        description="what is looked at",
    )
    images: int = Field(1000, ge=1, description="the first so many test images")

    @pydantic.field_validator("parts")
    @classmethod
    def _known_parts(cls, parts: tuple[str, ...]) -> tuple[str, ...]:
        for part in parts:
            if part not in PARTS:
                raise ValueError(f"unknown part {part!r}. {did_you_mean(part, PARTS)}")
        return parts


class InspectionPlan(Settings):
    """What to look at."""

    checks: tuple[str, ...] = Field((), description="recipes whose sanity is checked")
    learning_rates: tuple[str, ...] = Field((), description="recipes whose range of learning rates is tested")
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
        recipes: named recipes; ``like = "other"`` starts from another one. None if it only demonstrates.
        demonstrations: numerical experiments that train no classifier.
        ablations: one-factor ablations.
        searches: for better settings of a recipe.
        attacks: robust accuracy curves.
        attack_traces: attacks followed step by step.
        galleries: fooling images.
        inspections: looks into the models of every seed.
        inspection: checks, learning rates, confusion, worst-classified images.
        claims: sentences to test.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    question: str
    seeds: int = Field(5, ge=1, le=1000)
    practical_difference: float = Field(0.005, gt=0, lt=1)
    recipes: dict[str, Recipe] = Field(default_factory=dict)
    demonstrations: tuple[AnyDemonstration, ...] = ()
    ablations: tuple[AblationPlan, ...] = ()
    searches: tuple[SearchPlan, ...] = ()
    attacks: tuple[AttackPlan, ...] = ()
    attack_traces: tuple[TracePlan, ...] = ()
    galleries: tuple[FoolingPlan, ...] = ()
    inspections: tuple[LookPlan, ...] = ()
    inspection: InspectionPlan = InspectionPlan()
    claims: tuple[Claim, ...] = ()

    @pydantic.model_validator(mode="after")
    def _recipes_exist(self) -> "Study":
        mentions = [
            *(plan.recipe for plan in self.ablations),
            *(plan.recipe for plan in self.searches),
            *(plan.recipe for plan in (*self.attack_traces, *self.galleries)),
            *(plan.recipe for plan in self.inspections),
            *(name for plan in self.attacks for name in plan.recipes),
            *self.inspection.checks,
            *self.inspection.learning_rates,
            *self.inspection.confusion,
            *self.inspection.worst,
            *(str(cell.recipe) for claim in self.claims for cell in claim.cells()),
        ]
        for name in mentions:
            if name not in self.recipes:
                raise ValueError(f"unknown recipe {name!r}. {did_you_mean(name, self.recipes)}")
        return self

    @pydantic.model_validator(mode="after")
    def _there_is_something_to_do(self) -> "Study":
        if not (self.recipes or self.demonstrations):
            raise ValueError("recipes: a study needs at least one recipe, or one of [[demonstrations]]")
        return self

    @pydantic.model_validator(mode="after")
    def _names_are_their_own(self) -> "Study":
        named = {
            "demonstrations": [plan.name for plan in self.demonstrations],
            "attacks": [each.name for each in self.attacks] + [each.name for each in self.attack_traces],
            "inspections": [plan.name for plan in self.inspections],
        }
        for kind, names in named.items():
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"two {kind} are called {twice!r}; give each a name of its own")
        return self


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
