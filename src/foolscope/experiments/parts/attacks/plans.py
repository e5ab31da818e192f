"""How a study file states attacks: norm, budgets, attacks by name, and the classes they are about."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import pydantic
from pydantic import Field

from foolscope.attacks import ATTACKS, Attack
from foolscope.attacks.runner.attack import check_norm
from foolscope.core.errors import did_you_mean, require_known
from foolscope.core.settings import Settings, one_line
from foolscope.threats.norms import NORMS
from foolscope.threats.threat import Threat

__all__ = ["AttackPlan", "TargetedPlan", "as_attack", "ascending", "attack_from"]


def _attack(value: Any) -> Any:
    """Let a bare name stand for an attack with its default settings."""
    if isinstance(value, str):
        value = {"name": value}
    if isinstance(value, Mapping):
        name = str(value.get("name"))
        require_known(name, ATTACKS, "attack")
        return ATTACKS[name].model_validate(dict(value))
    return value


AnyAttack = Annotated[pydantic.SerializeAsAny[Settings], pydantic.BeforeValidator(_attack)]


class _Threatened(Settings):
    """A norm with its budgets checked."""

    norm: str = "linf"

    @pydantic.field_validator("norm")
    @classmethod
    def _known_norm(cls, norm: str) -> str:
        require_known(norm, NORMS, "norm")
        return norm


def ascending(norm: str, epsilons: Sequence[str | float]) -> tuple[float, ...]:
    """Return budgets in pixel units, ascending, each once.

    Raises:
        ThreatError: one of them makes no sense in the norm.
    """
    return tuple(sorted({Threat(norm, epsilon).epsilon for epsilon in epsilons}))


class AttackPlan(_Threatened):
    """Robust accuracy of recipes over a range of budgets, for the models of every seed."""

    name: str = Field(description='name in claims, as in metric = "robust_accuracy:NAME@8/255"')
    recipes: Annotated[tuple[str, ...], Field(min_length=1)]
    epsilons: Annotated[tuple[str | float, ...], Field(min_length=1)]
    attacks: tuple[AnyAttack, ...] = Field(
        description='the cheap ones first; or "full" for everything, with checks for masked gradients'
    )
    images: int = Field(1000, ge=1, description="number of test images, from the start of the test set")

    @pydantic.model_validator(mode="after")
    def _budgets_and_norm_make_sense(self) -> "AttackPlan":
        self.budgets()
        for attack in self.attacks:
            check_norm(as_attack(attack), self.norm)
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

    def budgets(self) -> tuple[float, ...]:
        """Return the budgets in pixel units, ascending."""
        return ascending(self.norm, self.epsilons)


class TargetedPlan(_Threatened):
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
        0.0, ge=0, lt=1, description="only images classified correctly with at least this probability"
    )

    @pydantic.model_validator(mode="after")
    def _attack_and_classes_make_sense(self) -> "TargetedPlan":
        check_norm(as_attack(self.attack), self.norm)
        if self.source == self.target:
            raise ValueError(f"source and target are both {self.source!r}; aim at another class")
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
