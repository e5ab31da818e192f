"""What a study leaves behind for reports: one record that turns into JSON and back."""

from typing import Annotated, Any

import pydantic
from pydantic import Field

from foolscope.core.errors import StoreError, did_you_mean
from foolscope.core.files import read_json, write_json
from foolscope.core.settings import Settings
from foolscope.experiments.claims.records import ClaimRecord
from foolscope.experiments.running.store import Store

__all__ = ["StudyRecord", "read_study_record", "write_study_record"]


def _by_part(value: Any) -> Any:
    """Validate the records of every part by the type that the part says."""
    from foolscope.experiments.parts.table import PARTS  # all of the code: only where a study is read

    if not isinstance(value, dict) or not set(value) <= set(PARTS):
        raise ValueError(f"parts must be a table of {', '.join(PARTS)}")
    return {
        name: [PARTS[name].record.model_validate(record) for record in records]
        for name, records in value.items()
    }


class StudyRecord(Settings):
    """Everything that the report of a study is made from, beside the pixels."""

    name: str
    title: str
    question: str
    seeds: list[int]
    practical_difference: float
    classes: list[str]
    parts: Annotated[dict[str, list[pydantic.SerializeAsAny[Any]]], pydantic.BeforeValidator(_by_part)] = (
        Field(description="part to its records; those that left none are not there")
    )
    claims: list[ClaimRecord]
    recipes: dict[str, Any]
    trial_count: int
    provenance: dict[str, Any]
    command: str
    duration_seconds: float
    finished: str = Field(description="date and time, ISO 8601, UTC")
    study_file: str = Field(description="the study as TOML")

    def of(self, part: str) -> list[Any]:
        """Return the records of a part; none where the study has no such part."""
        return self.parts.get(part, [])


def write_study_record(record: StudyRecord, store: Store) -> None:
    """Write a study's record into its folder of the store."""
    write_json(store.study_folder(record.name) / "study.json", record.model_dump(mode="json"))


def read_study_record(name: str, store: Store) -> StudyRecord:
    """Read a study's record.

    Raises:
        StoreError: there is none, or its file is damaged or from another version.
    """
    path = store.study_folder(name) / "study.json"
    if not path.exists():
        known = sorted(each.parent.name for each in store.root.glob("studies/*/study.json"))
        raise StoreError(
            f"no study {name!r} in {store.root}. "
            + (did_you_mean(name, known) if known else "Run one with: foolscope study")
        )
    try:
        return StudyRecord.model_validate(read_json(path))
    except pydantic.ValidationError as error:
        raise StoreError(
            f"{path} is damaged or from another version; run the study again (nothing is trained twice)"
        ) from error
