"""The settings that all data sets share: how the splits are made."""

from typing import Annotated, Literal

from pydantic import Field

from foolscope.core.settings import Settings

__all__ = ["DatasetSettings", "OfficialValidation", "OwnValidation", "UnsplitValidation"]

OfficialValidation = Annotated[
    Literal["stratified", "test-half", "official"],
    Field(
        description="how the validation set is made: 'stratified' takes it from the training set, class by "
        "class; 'test-half' halves the test set at random into validation and test; 'official' keeps the "
        "split as distributed, without a validation set"
    ),
]
OwnValidation = Annotated[
    Literal["auto", "stratified", "test-half", "official"],
    Field(
        description="how the validation set is made: 'auto' takes the one that comes with the data, else "
        "'stratified'; 'stratified' takes it from the training set, class by class; 'test-half' halves the "
        "test set at random into validation and test; 'official' keeps the split as distributed, even "
        "without a validation set"
    ),
]
UnsplitValidation = Annotated[
    Literal["stratified", "none"],
    Field(
        description="how the validation set is made: 'stratified' takes it from the training set, class by "
        "class; 'none' makes none"
    ),
]


class DatasetSettings(Settings):
    """The settings every data set has; each derives from it and narrows ``name`` and ``validation``."""

    name: str = Field(description="the data set")
    validation: str = Field(default="stratified", description="how the validation set is made")
    validation_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="size of a stratified set, as a fraction of the training set"
    )
    split_seed: int = Field(
        default=0,
        ge=0,
        description="seed of the splits; separate from the trial's seed, so that all trials share them",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="train on only this many images, drawn class by class after the split (quick runs, "
        "overfit checks)",
    )
