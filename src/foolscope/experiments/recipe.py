"""The recipe: everything that determines one training run, validated once and frozen."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

import pydantic
from pydantic import Field

from foolscope.augmentation import AUGMENTATIONS, AugmentationSettings
from foolscope.core.errors import RecipeError, did_you_mean
from foolscope.core.precision import Precision
from foolscope.core.settings import Settings, one_line
from foolscope.data import DATASETS, DatasetSettings
from foolscope.experiments.component_lists import ComponentList
from foolscope.experiments.wording.fields import field_words, value_words
from foolscope.learning import AVERAGING, DEFENSES, LOSSES, OPTIMIZERS, SCHEDULES, TrainingSettings
from foolscope.learning.adversarial import DefenseSettings
from foolscope.learning.losses import LossSettings
from foolscope.learning.optimizers import OptimizerSettings
from foolscope.learning.parameters.averaging import AveragingSettings
from foolscope.learning.parameters.groups import ParameterGroupSettings
from foolscope.learning.parameters.regularizers import RegularizationSettings
from foolscope.learning.schedules import ScheduleSettings
from foolscope.models import MODELS, ModelSettings

__all__ = [
    "COMPONENTS",
    "GROUPS",
    "LISTS",
    "PLAIN_FIELDS",
    "Recipe",
    "fields_of",
    "recipe_from",
    "setting_words",
    "short_name",
    "value_of",
    "with_values",
]

COMPONENTS: dict[str, dict[str, type[Settings]]] = {
    "dataset": {name: source.settings for name, source in DATASETS.items()},
    "model": {name: entry.settings for name, entry in MODELS.items()},
    "loss": {name: entry.settings for name, entry in LOSSES.items()},
    "optimizer": {name: entry.settings for name, entry in OPTIMIZERS.items()},
    "schedule": {name: settings for name, (settings, _) in SCHEDULES.items()},
    "defense": {name: entry.settings for name, entry in DEFENSES.items()},
    "averaging": {name: entry.settings for name, entry in AVERAGING.items()},
}
"""For each component of a recipe: its registered names with their settings classes."""

LISTS: dict[str, ComponentList] = {
    "augmentation": ComponentList(
        "augmentation", "name", {name: entry.settings for name, entry in AUGMENTATIONS.items()}
    ),
    "parameter_groups": ComponentList("parameter_groups", "names", ParameterGroupSettings),
}
"""The fields of a recipe that hold a list of components."""

GROUPS: dict[str, type[Settings]] = {"regularization": RegularizationSettings, "training": TrainingSettings}
"""The groups of a recipe that have no name to choose."""


def _component(kind: str) -> Callable[[Any], Any]:
    """Return a validator that picks the settings class by name; a bare string means default settings."""

    def choose(value: Any) -> Any:
        if isinstance(value, Settings):
            return value
        if value is None and "none" in COMPONENTS[kind]:  # "none" in TOML and flags is parsed as None
            value = "none"
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
            raise ValueError(f'give it a name, as in {kind} = {{name = "{next(iter(COMPONENTS[kind]))}"}}')
        name = value["name"]
        if name not in COMPONENTS[kind]:
            raise RecipeError(f"unknown {kind} {name!r}. {did_you_mean(name, COMPONENTS[kind])}")
        return COMPONENTS[kind][name].model_validate(dict(value))

    return choose


def _patterns(value: Any) -> Any:
    """Read one pattern, several joined by +, or none, as a list of patterns."""
    if value is None or value == "none":
        return ()
    return tuple(value.split("+")) if isinstance(value, str) else value


Patterns = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], pydantic.BeforeValidator(_patterns)]
"""Names of parameters as in a shell: * is any text."""


class Recipe(Settings):
    """All settings of one training run; the component packages define those of each component.

    Example:
        >>> recipe = recipe_from({"model": {"name": "mlp", "hidden": [50]}, "seed": 3})
        >>> recipe.model.hidden, recipe.dataset.name, recipe.loss.name
        ((50,), 'digits', 'cross-entropy')
    """

    dataset: Annotated[
        pydantic.SerializeAsAny[DatasetSettings], pydantic.BeforeValidator(_component("dataset"))
    ] = Field(default="digits", description="the data set", validate_default=True)
    model: Annotated[
        pydantic.SerializeAsAny[ModelSettings], pydantic.BeforeValidator(_component("model"))
    ] = Field(default="softmax", description="the classifier", validate_default=True)
    loss: Annotated[pydantic.SerializeAsAny[LossSettings], pydantic.BeforeValidator(_component("loss"))] = (
        Field(
            default="cross-entropy",
            description="the training loss; by default that of the model",
            validate_default=True,
        )
    )
    optimizer: Annotated[
        pydantic.SerializeAsAny[OptimizerSettings], pydantic.BeforeValidator(_component("optimizer"))
    ] = Field(default="sgd", description="the optimizer", validate_default=True)
    schedule: Annotated[
        pydantic.SerializeAsAny[ScheduleSettings], pydantic.BeforeValidator(_component("schedule"))
    ] = Field(default="constant", description="the learning-rate schedule", validate_default=True)
    defense: Annotated[
        pydantic.SerializeAsAny[DefenseSettings], pydantic.BeforeValidator(_component("defense"))
    ] = Field(default="none", description="the adversarial training", validate_default=True)
    averaging: Annotated[
        pydantic.SerializeAsAny[AveragingSettings], pydantic.BeforeValidator(_component("averaging"))
    ] = Field(
        default="none", description="the average of the weights that is evaluated", validate_default=True
    )
    parameter_groups: Annotated[
        tuple[ParameterGroupSettings, ...], pydantic.BeforeValidator(LISTS["parameter_groups"].read)
    ] = Field(
        (),
        description="parameters with a learning rate, decay or penalty of their own, as in "
        "*.bias,*bn*:weight_decay=0",
    )
    regularization: RegularizationSettings = Field(
        RegularizationSettings(), description="L1 and L2 penalties on the weights"
    )
    augmentation: Annotated[
        tuple[pydantic.SerializeAsAny[AugmentationSettings], ...],
        pydantic.BeforeValidator(LISTS["augmentation"].read),
    ] = Field(
        (),
        description="random changes of every training image, in their order, as in "
        "horizontal-flip+random-crop:padding=4",
    )
    training: TrainingSettings = Field(
        TrainingSettings(), description="epochs, batch size and which checkpoint is kept"
    )
    precision: Precision = Field(
        "auto",
        description="data type of matrix products; auto is bfloat16 where the device multiplies it faster, "
        "else float32",
    )
    initial_weights: str | None = Field(
        None,
        min_length=1,
        description="file of weights to start from, safetensors or a state dict; the default draws them from "
        "the seed",
    )
    fresh: Patterns = Field(
        (), description="parameters that initial_weights does not set, as in fc.*; drawn from the seed"
    )
    frozen: Patterns = Field((), description="parameters that training leaves as they are, as in layer1.*")
    seed: int = Field(0, ge=0, description="seed of all randomness of the run")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _loss_of_model(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or "loss" in values:
            return values
        model = values.get("model")
        name = model.get("name") if isinstance(model, Mapping) else getattr(model, "name", model)
        entry = MODELS.get(str(name))
        return {**values, "loss": entry.loss} if entry is not None else values


PLAIN_FIELDS = tuple(name for name in Recipe.model_fields if name not in {*COMPONENTS, *LISTS, *GROUPS})
"""The fields of a recipe that are values themselves."""

_CHOSEN = (*COMPONENTS, *LISTS)


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """Validate a nested mapping, such as a TOML table, into a recipe.

    Raises:
        RecipeError: one line about the first thing that is wrong.
    """
    try:
        return Recipe.model_validate(dict(values))
    except pydantic.ValidationError as error:
        raise one_line(error, _allowed(values)) from error


def _allowed(values: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the known field names under each dotted prefix of a recipe."""
    allowed = {"": list(Recipe.model_fields)}
    allowed |= {name: list(settings.model_fields) for name, settings in GROUPS.items()}
    for kind, registered in COMPONENTS.items():
        part = values.get(kind, {})
        name = part.get("name") if isinstance(part, Mapping) else part
        if isinstance(name, str) and name in registered:
            allowed[kind] = list(registered[name].model_fields)
    return allowed


def fields_of(recipe: Recipe) -> dict[str, Any]:
    """Return every field of a recipe by its dotted path, without the component names.

    Example:
        >>> fields_of(Recipe())["training.batch_size"]
        128
    """
    leaves: dict[str, Any] = {}
    for name in Recipe.model_fields:
        value = getattr(recipe, name)
        if name in LISTS:
            leaves |= dict(LISTS[name].leaves(value))
        elif isinstance(value, Settings):
            leaves |= {
                f"{name}.{leaf}": getattr(value, leaf) for leaf in type(value).model_fields if leaf != "name"
            }
        else:
            leaves[name] = value
    return leaves


def _resolve(recipe: Recipe, name: str) -> str:
    """Return the dotted path of a short or dotted field name."""
    leaves = fields_of(recipe)
    if name in leaves or name in _CHOSEN:
        return name
    found = [path for path in leaves if path.rpartition(".")[2] == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise RecipeError(f"{name!r} is ambiguous; write one of {', '.join(found)}")
    owners = [
        f"{kind} {component}"
        for kind, component, settings in _all_settings()
        if name in settings.model_fields
    ]
    if owners:
        raise RecipeError(f"{name!r} is a field of {' and '.join(owners)}, which this recipe does not have")
    known = [*_CHOSEN, *(path.rpartition(".")[2] for path in leaves)]
    parts = ", ".join(f"{kind} {getattr(recipe, kind).name}" for kind in ("model", "optimizer", "schedule"))
    raise RecipeError(f"unknown field {name!r} for {parts}. {did_you_mean(name, dict.fromkeys(known))}")


def _all_settings() -> Iterator[tuple[str, str, type[Settings]]]:
    """Yield every registered component: its kind, its name and its settings."""
    for kind, registered in COMPONENTS.items():
        for component, settings in registered.items():
            yield kind, component, settings
    for kind, entries in LISTS.items():
        for component, settings in entries.settings.items():
            yield kind, component, settings


def value_of(recipe: Recipe, name: str) -> Any:
    """Return the value of a field by its short or dotted name; a component gives its name, a list its text.

    Raises:
        RecipeError: the recipe has no such field, or the short name is ambiguous.
    """
    path = _resolve(recipe, name)
    if path in LISTS:
        return LISTS[path].write(getattr(recipe, path))
    return getattr(recipe, path).name if path in COMPONENTS else fields_of(recipe)[path]


def short_name(recipe: Recipe, name: str) -> str:
    """Return the shortest unambiguous name of a field: ``training.batch_size`` is ``batch_size``."""
    path = _resolve(recipe, name)
    leaf = path.rpartition(".")[2]
    return leaf if sum(each.rpartition(".")[2] == leaf for each in fields_of(recipe)) == 1 else path


def setting_words(recipe: Recipe, field: str) -> str:
    """Write the value of a field; of a component its name, and what of its settings is not the default.

    Example:
        >>> recipe = with_values(Recipe(), {"schedule": {"name": "exponential", "decay": 0.8}})
        >>> setting_words(recipe, "schedule"), setting_words(recipe, "batch_size")
        ('exponential (learning-rate decay 0.8)', '128')
    """
    if field in LISTS:
        return LISTS[field].words(getattr(recipe, field))
    value = value_words(value_of(recipe, field))
    if field not in COMPONENTS:
        return value
    settings = getattr(recipe, field)
    own = [
        f"{field_words(name)} {value_words(getattr(settings, name))}"
        for name, info in type(settings).model_fields.items()
        if name != "name" and getattr(settings, name) != info.get_default(call_default_factory=True)
    ]
    return f"{value} ({', '.join(own)})" if own else value


def with_values(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """Return a copy with some fields changed, by short or dotted name.

    Naming a component, as in ``{"schedule": "cosine"}``, replaces it by that one with its default settings;
    components are replaced first, so that their fields can be given in the same call. A loss that is the
    model's own follows the model, unless the call names one.

    Raises:
        RecipeError: an unknown or ambiguous name, or a value out of range.

    Example:
        >>> changed = with_values(Recipe(), {"schedule": "exponential", "decay": 0.8, "batch_size": 64})
        >>> changed.schedule.decay, changed.training.batch_size
        (0.8, 64)
    """
    replaced = {name: value for name, value in values.items() if name in _CHOSEN}
    for name, value in replaced.items():
        before, recipe = recipe, recipe_from({**recipe.model_dump(), name: value})
        if name == "model" and "loss" not in replaced:
            recipe = _with_own_loss(recipe, before)
    table = recipe.model_dump()
    for name, value in values.items():
        if name in replaced:
            continue
        *parents, leaf = _resolve(recipe, name).split(".")
        owner: Any = table[parents[0]] if parents else table
        if parents and parents[0] in LISTS:
            entries = LISTS[parents[0]]
            owner = owner[entries.keys(getattr(recipe, parents[0])).index(parents[1])]
        owner[leaf] = value
    return recipe_from(table)


def _with_own_loss(recipe: Recipe, before: Recipe) -> Recipe:
    """Change the loss to the new model's default if it was the old model's default."""
    own = MODELS[recipe.model.name].loss
    if before.loss.name != MODELS[before.model.name].loss or before.loss.name == own:
        return recipe
    return recipe_from({**recipe.model_dump(), "loss": own})
