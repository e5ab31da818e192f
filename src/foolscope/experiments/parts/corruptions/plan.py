"""Which corruptions a study measures on which recipes."""

from collections.abc import Sequence

import pydantic
from pydantic import Field

from foolscope.core.errors import RecipeError, require_known
from foolscope.core.settings import Settings
from foolscope.corruptions import CORRUPTIONS, KINDS, SEVERITIES, Corruption, Kind, lack_of
from foolscope.experiments.parts.part import Context

__all__ = ["CorruptionPlan", "check_plan"]


class CorruptionPlan(Settings):
    """Accuracy of the models of every seed on corrupted test images."""

    name: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]*$",
        description='name in claims, as in metric = "corruption:NAME.mean_error"',
    )
    recipes: tuple[str, ...] = Field(min_length=1, description="whose models are tested")
    baseline: str | None = Field(
        None, description="recipe whose errors are the unit of mce and relative_mce; it is tested, too"
    )
    kinds: tuple[Kind, ...] = Field(KINDS, min_length=1, description="of corruptions")
    corruptions: tuple[str, ...] = Field(
        tuple(CORRUPTIONS), min_length=1, description="names; of these, those of the kinds are used"
    )
    severities: tuple[int, ...] = Field(SEVERITIES, min_length=1, description="1 to 5")
    images: int = Field(1000, ge=1, description="number of test images, drawn by class")

    @pydantic.field_validator("corruptions")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            require_known(name, CORRUPTIONS, "corruption")
        return names

    @pydantic.field_validator("severities")
    @classmethod
    def _in_range(cls, severities: tuple[int, ...]) -> tuple[int, ...]:
        for severity in severities:
            if severity not in SEVERITIES:
                raise ValueError(f"a severity must be 1, 2, 3, 4 or 5; got {severity}")
        return tuple(sorted(set(severities)))

    @pydantic.model_validator(mode="after")
    def _has_some(self) -> "CorruptionPlan":
        if not self.chosen():
            raise ValueError(
                f"no corruption is left: none of {', '.join(self.corruptions)} is of the kind "
                f"{' or '.join(self.kinds)}"
            )
        return self

    def every_recipe(self) -> list[str]:
        """List the recipes that are tested, the baseline last unless it is among them."""
        baseline = () if self.baseline is None else (self.baseline,)
        return list(dict.fromkeys([*self.recipes, *baseline]))

    def chosen(self) -> list[Corruption]:
        """List the corruptions in the order of the table."""
        return [
            each for each in CORRUPTIONS.values() if each.kind in self.kinds and each.name in self.corruptions
        ]

    def usable(self, channels: int) -> tuple[list[Corruption], list[str]]:
        """Return the corruptions that can change images with so many channels, and why others cannot."""
        lacks = {each.name: lack_of(each, channels) for each in self.chosen()}
        return [each for each in self.chosen() if not lacks[each.name]], [
            each for each in lacks.values() if each
        ]


def check_plan(plan: CorruptionPlan, context: Context) -> None:
    """Refuse images that no chosen corruption can change, and a baseline on other data.

    Raises:
        RecipeError: with the reason.
    """
    settings = {name: context.study.recipes[name].dataset for name in plan.every_recipe()}
    for dataset in settings.values():
        usable, lacks = plan.usable(context.session.dataset(dataset).image_shape[0])
        if not usable:
            raise RecipeError(f"corruptions {plan.name}: {lacks[0]}; choose others")
    if plan.baseline is not None:
        _check_same_images(plan, plan.baseline, context)


def _check_same_images(plan: CorruptionPlan, baseline: str, context: Context) -> None:
    names: Sequence[str] = plan.every_recipe()
    tests = {name: context.session.dataset(context.study.recipes[name].dataset).test for name in names}
    own = tests[baseline]
    for name, test in tests.items():
        if test.images.shape != own.images.shape or not bool((test.labels == own.labels).all()):
            raise RecipeError(
                f"corruptions {plan.name}: {name} and the baseline {baseline} have other test images; "
                "compare recipes on the same data set"
            )
