"""Looks at an ablation: what is recorded of each, and the ledger in the store that remembers them.

STORE/looks/<baseline and metric>/<seeds and cells>.json   one file for each look, written when it is taken

Whoever adds seeds after having seen a verdict has had more chances to be wrong than one test allows. The
ledger is how a later look knows of the earlier ones, whichever command took them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from foolscope.core.files import read_json, write_json
from foolscope.core.settings import Settings
from foolscope.experiments.running.store import Store

__all__ = [
    "ALPHA",
    "ALPHA_AFTER_FIXED",
    "EarlierLooks",
    "LookRecord",
    "UntilDecidedRecord",
    "earlier_looks",
    "remember_look",
]

ALPHA = 0.05
"""Level of all looks together."""

ALPHA_AFTER_FIXED = 0.01
"""Level of later looks where the first was an ordinary test, which has spent most of what there is."""


class LookRecord(Settings):
    """One look at an ablation, and what it decided."""

    seeds: int = Field(description="of the baseline and of the cells that were open")
    cells: list[str] = Field(description="that were open before this look")
    decided: dict[str, str] = Field(description="cell to outcome, of those that this look closed")


class UntilDecidedRecord(Settings):
    """The looks at an ablation to which seeds were added until everything was decided."""

    most_seeds: int
    looks: list[LookRecord]
    trainings: int = Field(description="trials of all cells, whether trained now or before")
    fixed_trainings: int = Field(description="trials if every cell had as many seeds as the baseline")
    identities: list[str] = Field(description="of the trials")
    needs_images: list[str] = Field(description="cells that more images would decide, but no more seeds")


def remember_look(
    store: Store,
    *,
    baseline: str,
    metric: str,
    seeds: Mapping[str, int],
    outcomes: Mapping[str, str],
    mode: Literal["fixed", "any look"],
) -> None:
    """Write a look into the ledger, unless the same one is in it already.

    Args:
        store: where the ledger is.
        baseline: identity of the baseline's trial with the first seed.
        metric: that was compared.
        seeds: identity of each cell, by its trial with the first seed, to its number of seeds.
        outcomes: label of each cell to what was said of it.
        mode: by which tests: ordinary ones, for a fixed number of seeds, or those that hold at any look.
    """
    name = _digest([sorted(seeds.items()), mode])
    path = _folder(store, baseline, metric) / f"{max(seeds.values())}-{name}.json"
    if path.exists():
        return
    write_json(
        path,
        {
            "baseline": baseline,
            "metric": metric,
            "seeds": dict(seeds),
            "outcomes": dict(outcomes),
            "mode": mode,
            "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


@dataclass(frozen=True)
class EarlierLooks:
    """What the ledger knows of looks at the same settings.

    Args:
        seeds: with how many seeds, fewer than now, they were judged before.
        fixed: those of them at which an ordinary test was made.
        alpha: what is left for the tests that hold at any look.
    """

    seeds: list[int]
    fixed: list[int]
    alpha: float


def earlier_looks(
    store: Store, *, baseline: str, metric: str, cells: Sequence[str], seeds: int
) -> EarlierLooks:
    """Find how any of these cells was compared with this baseline before, with fewer seeds than now.

    Args:
        store: where the ledger is.
        baseline: identity of the baseline's trial with the first seed.
        metric: that is compared.
        cells: identities of the cells, without the baseline.
        seeds: of the present look; if more are added, of the last one that there may be.
    """
    found: dict[str, set[int]] = {"fixed": set(), "any look": set()}
    for path in _folder(store, baseline, metric).glob("*.json"):
        look = read_json(path)
        found[look["mode"]].update(
            count for cell, count in look["seeds"].items() if cell in cells and count < seeds
        )
    fixed = sorted(found["fixed"])
    every = sorted(found["fixed"] | found["any look"])
    return EarlierLooks(every, fixed, ALPHA_AFTER_FIXED if fixed else ALPHA)


def _folder(store: Store, baseline: str, metric: str) -> Path:
    return store.root / "looks" / _digest([baseline, metric])


def _digest(determinants: object) -> str:
    return hashlib.sha256(json.dumps(determinants).encode()).hexdigest()[:20]
