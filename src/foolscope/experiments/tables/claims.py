"""Claims about the settings of a table: the comparisons, trends and values of study files."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydantic

from foolscope.core.errors import FoolscopeError, RecipeError
from foolscope.core.settings import one_line
from foolscope.experiments.claims.claim import Claim, ComparisonClaim, Selector, TrendClaim, ValueClaim
from foolscope.experiments.claims.judgement import ClaimResult, adjust_claims, judge_claim
from foolscope.experiments.claims.records import ClaimRecord
from foolscope.experiments.parts.ablation_record import BASELINE, ShownMetric
from foolscope.experiments.tables.columns import plain_name
from foolscope.experiments.tables.designs import Cells
from foolscope.experiments.tables.naming import find_setting
from foolscope.experiments.wording.sentences import SCALES
from foolscope.statistics.blocks import BlockDesign

__all__ = ["TableClaim", "judge_table_claims", "read_claims"]

TableClaim = ValueClaim | ComparisonClaim | TrendClaim

_TABLE = "the table"
_KINDS = pydantic.TypeAdapter[Any](Claim)


@dataclass(frozen=True)
class _Named:
    """A setting that a claim names, and how its sentences call it."""

    setting: tuple[str, ...]
    words: str


def read_claims(path: Path) -> list[TableClaim]:
    """Read the ``[[claims]]`` of a TOML file; without a recipe, settings differ from the baseline's.

    Raises:
        RecipeError: the file or an entry is wrong, or a claim is about curves.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from error
    entries = values.get("claims")
    if not isinstance(entries, list) or not entries:
        raise RecipeError(f"{path} has no [[claims]]; each needs a sentence, a kind and what is claimed")
    return [_claim(path, entry) for entry in entries]


def _claim(path: Path, entry: Any) -> TableClaim:
    try:
        claim = _KINDS.validate_python({"recipe": _TABLE, **entry} if isinstance(entry, dict) else entry)
    except pydantic.ValidationError as error:
        raise RecipeError(f"{path}: claims: {one_line(error)}") from error
    if not isinstance(claim, TableClaim):
        raise RecipeError(
            f"{path}: claim {claim.sentence!r} is about curves, which a table of runs does not have"
        )
    return claim


def judge_table_claims(
    claims: Sequence[TableClaim],
    cells: Cells,
    design: BlockDesign,
    *,
    metric: str,
    shown: ShownMetric,
    factor: float,
    practical_difference: float,
) -> list[ClaimRecord]:
    """Test claims on the settings of a table, adjusted for their number.

    Args:
        claims: from :func:`read_claims`.
        cells: of the table.
        design: theirs, in the unit of ``practical_difference``.
        metric: name of its metric.
        shown: how it is read and written.
        factor: from the table's unit, in which claims have their values, to the design's.
        practical_difference: δ.

    Raises:
        RecipeError: a claim names a setting or a metric that is not there.
    """
    results: list[ClaimResult] = []
    for claim in claims:
        try:
            results.append(_judged(claim, cells, design, metric, shown, factor, practical_difference))
        except FoolscopeError as error:
            raise RecipeError(f"claim {claim.sentence!r}: {error}") from error
    return [
        ClaimRecord(
            sentence=claim.sentence,
            outcome=result.outcome,
            reason=result.reason,
            p_upheld=result.p_upheld,
            p_contradicted=result.p_contradicted,
            seeds_needed=result.seeds_needed,
            doubts=list(result.doubts),
            published=claim.published,
            source=claim.source,
        )
        for claim, result in zip(claims, adjust_claims(results), strict=True)
    ]


def _judged(
    claim: TableClaim,
    cells: Cells,
    design: BlockDesign,
    metric: str,
    shown: ShownMetric,
    factor: float,
    practical_difference: float,
) -> ClaimResult:
    if "metric" in claim.model_fields_set and plain_name(claim.metric) != plain_name(metric):
        raise RecipeError(
            f"it is about {claim.metric}, and {metric} is judged; omit metric, or judge that one"
        )
    if isinstance(claim, ValueClaim):
        tolerance = None if claim.tolerance is None else claim.tolerance * factor
        claim = claim.model_copy(update={"value": claim.value * factor, "tolerance": tolerance})
    named = _named(claim, cells)
    words = [each.words for each in named]
    if len(set(words)) < len(words):
        raise RecipeError(f"it names the same setting twice: {', '.join(words)}")
    at = None
    if isinstance(claim, TrendClaim) and claim.at is not None:
        at = _level(claim, claim.at, cells).words
    calls = {each.setting: each.words for each in named}
    labels = tuple(calls.get(setting, f"({label})") for label, setting in cells.settings.items())
    return judge_claim(
        claim,
        replace(design, cells=labels),
        words,
        practical_difference=practical_difference,
        at=at,
        higher_is_better=shown.higher_is_better,
        scale=SCALES[shown.scale],
    )


def _named(claim: TableClaim, cells: Cells) -> list[_Named]:
    if isinstance(claim, TrendClaim):
        levels = claim.levels if claim.levels is not None else _levels(claim, cells)
        return [_level(claim, level, cells) for level in levels]
    return [_selected(selector, cells) for selector in claim.cells()]


def _selected(selector: Selector, cells: Cells) -> _Named:
    setting = _find(selector.recipe, selector.settings, cells)
    if len(cells.columns) > 1:
        pairs = zip(cells.columns, setting, strict=True)
        return _Named(setting, ", ".join(f"{plain_name(column)} {value}" for column, value in pairs))
    (value,) = setting
    is_number = value.replace(".", "").replace("-", "").isdigit()
    return _Named(setting, f"{plain_name(cells.columns[0])} {value}" if is_number else value)


def _level(claim: TrendClaim, level: Any, cells: Cells) -> _Named:
    setting = _find(claim.recipe, {**claim.settings, claim.factor: level}, cells)
    return _Named(setting, setting[_column(claim.factor, cells)])


def _levels(claim: TrendClaim, cells: Cells) -> list[str]:
    """The values of a factor in settings that are otherwise as the claim has them, in ascending order."""
    column = _column(claim.factor, cells)
    base = cells.settings[BASELINE]
    if claim.recipe != _TABLE:
        base = _find(claim.recipe, {}, cells)
    fixed = {_column(name, cells): value for name, value in claim.settings.items()}
    like = tuple(str(fixed.get(index, value)) for index, value in enumerate(base))
    values = [
        setting[column]
        for setting in cells.settings.values()
        if all(value == like[index] for index, value in enumerate(setting) if index != column)
    ]
    try:
        ordered = sorted(values, key=float)
    except ValueError as error:
        raise RecipeError(
            f"levels that are not numbers have no order: {values}; give levels = [...]"
        ) from error
    if len(ordered) < 2:
        raise RecipeError(f"only {claim.factor} differs nowhere from the baseline; give levels = [...]")
    return ordered


def _find(recipe: str | None, settings: Mapping[str, Any], cells: Cells) -> tuple[str, ...]:
    """Find a setting by its value or by what differs from it."""
    known = list(cells.settings.values())
    base = cells.settings[BASELINE]
    if recipe not in (None, _TABLE):
        base = find_setting(str(recipe), cells.columns, known, option="setting")
    if not settings:
        return base
    others = dict(zip(cells.columns, base, strict=True))
    return find_setting(dict(settings), cells.columns, known, option="setting", others=others)


def _column(name: str, cells: Cells) -> int:
    plain = [plain_name(column) for column in cells.columns]
    if name not in (*plain, *cells.columns):
        raise RecipeError(f"{name!r} is no setting column; those are {', '.join(plain)}")
    return plain.index(plain_name(name))
