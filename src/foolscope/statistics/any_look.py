"""Verdicts that hold at every look, while seeds are added to the cells that are still open."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import scipy
from jaxtyping import Bool, Float

from foolscope.core.errors import RecipeError
from foolscope.statistics.blocks import BlockDesign
from foolscope.statistics.doubts import Doubt
from foolscope.statistics.estimate import Estimate, holm
from foolscope.statistics.images import difference_parts
from foolscope.statistics.planning import further_seeds
from foolscope.statistics.power import minimum_detectable_effect
from foolscope.statistics.sequential import (
    IMAGE_SHARE,
    Moments,
    confidence_bounds,
    critical_t,
    image_quantile,
    running_moments,
    running_p,
)
from foolscope.statistics.verdicts import Outcome, Verdict

__all__ = ["LookVerdict", "Needs", "judge_at_any_look"]

Needs = Literal["nothing", "more seeds", "more images"]

_PLANNING_SEED = 20221  # the same seeds give the same plan


@dataclass(frozen=True)
class LookVerdict:
    """A verdict at one of several looks.

    Args:
        verdict: it holds at this look and all others.
        needs: what would decide; "more images" where no number of seeds could. "nothing" if decided, or
            where a trial diverged.
        seeds_for_even_chance: how many more seeds decide with a chance of one in two; the verdict's own
            ``seeds_needed`` is for four in five. None if more than 200 or unknown, 0 if decided.
    """

    verdict: Verdict
    needs: Needs
    seeds_for_even_chance: int | None


def judge_at_any_look(
    design: BlockDesign,
    baseline: str,
    *,
    practical_difference: float,
    alpha: float = 0.05,
    higher_is_better: bool = True,
    image_parts: Mapping[str, tuple[float, float]] | None = None,
) -> tuple[LookVerdict, ...]:
    """Compare every cell with the baseline, as often as one likes while seeds are added.

    Each cell is compared by its paired differences from the baseline, in the order of the seeds and with its
    own spread, by the tests of :mod:`foolscope.statistics.sequential`: whether the difference is not 0, with
    twice the smaller of the two one-sided p values, and whether it lies within ±δ, with the larger of two.
    Holm adjusts both sets over all cells. P values are running minima over all numbers of seeds, so they can
    only fall, and it does not matter at which of them someone looked: in all looks together, a wrong "helps"
    or "hurts" has probability α at most, and a wrong "no effect" another.

    Args:
        design: the trials; cells may lack the later seeds (``absent``).
        baseline: the cell with which the others are compared.
        practical_difference: δ > 0, in the metric's own unit.
        alpha: family-wise level.
        higher_is_better: False for a loss.
        image_parts: cell to variance and degrees of freedom of its difference by the choice of test images,
            by default as the design tells which images were classified correctly; with them the verdicts are
            about new images, otherwise about these.

    Returns:
        One verdict per cell other than the baseline. Its interval is that of the test that decided, at the
        level of its step in Holm's procedure: it excludes 0 where the cell helps or hurts, and lies within ±δ
        where it has no effect.

    Raises:
        RecipeError: δ is not positive.
        ValueError: there is no such baseline.

    References:
        Holm 1979; Schuirmann 1987; and those of :mod:`foolscope.statistics.sequential`. That the directions
        are right, too, with probability 1 - α, is proven for Holm's procedure with two comparisons and with
        independent ones (Shaffer 1980), and simulated in ``benchmarks/until_decided.py``.

    Example:
        >>> values = np.array([[0.512, 0.515, 0.513] * 3, [0.470, 0.474, 0.469] * 3])
        >>> design = BlockDesign(("128", "1024"), tuple(range(9)), values)
        >>> (look,) = judge_at_any_look(design, "128", practical_difference=0.005)
        >>> look.verdict.outcome, [round(end, 3) for end in look.verdict.interval], look.needs
        ('hurts', [-0.044, -0.041], 'nothing')
    """
    if not practical_difference > 0:
        raise RecipeError(
            f"practical_difference must be positive, in the unit of the metric (0.005 is half a point of "
            f"accuracy); got {practical_difference:g}"
        )
    design.row(baseline)  # which says what is wrong with an unknown one
    others = [cell for cell in design.cells if cell != baseline]
    finite = [
        cell
        for cell in others
        if not design.diverged(cell) and not _baseline_diverged(design, baseline, cell)
    ]
    if image_parts is None:
        image_parts = _image_parts(design, baseline)
    family = _family(design, baseline, finite, practical_difference, alpha, image_parts)
    common: dict[str, Any] = {
        "baseline": baseline,
        "practical_difference": practical_difference,
        "higher_is_better": higher_is_better,
        "alpha": alpha,
    }
    return tuple(
        family.look(cell, {**common, "baseline_diverged": 0})
        if cell in finite
        else _undecidable(
            design, cell, {**common, "baseline_diverged": _baseline_diverged(design, baseline, cell)}
        )
        for cell in others
    )


@dataclass(frozen=True, eq=False)
class _Family:
    """All comparisons of an ablation at one look; arrays have one entry per cell."""

    cells: list[str]
    margin: float
    alpha: float
    step: float
    differences: list[Float[np.ndarray, "..."]]
    moments: Moments
    image_errors: Float[np.ndarray, " cell"]
    image_freedoms: Float[np.ndarray, " cell"]
    is_above: Bool[np.ndarray, " cell"]
    different: Float[np.ndarray, " cell"]
    equivalent: Float[np.ndarray, " cell"]
    different_levels: Float[np.ndarray, " cell"]
    equivalent_levels: Float[np.ndarray, " cell"]

    def look(self, cell: str, common: Mapping[str, Any]) -> LookVerdict:
        """Return the verdict on one cell."""
        index = self.cells.index(cell)
        own = self.differences[index]
        is_different = bool(self.different[index] < self.alpha)
        is_same = bool(self.equivalent[index] < self.alpha)
        outcome: Outcome = "undecided"
        if is_same:
            outcome = "smaller than matters" if is_different else "no effect"
        elif is_different:
            outcome = "helps" if bool(self.is_above[index]) == common["higher_is_better"] else "hurts"
        level, same_level = float(self.different_levels[index]), float(self.equivalent_levels[index])
        bounds, same_bounds = self._bounds(index, level / 2), self._bounds(index, same_level)
        narrower, wider = sorted([(level, bounds), (2 * same_level, same_bounds)], reverse=True)
        shown = {
            "undecided": wider,
            "smaller than matters": narrower,
            "no effect": (2 * same_level, same_bounds),
        }.get(outcome, (level, bounds))
        needs, chances = self._needs(index, bounds) if outcome == "undecided" else ("nothing", (0, 0))
        verdict = Verdict(
            **common,
            cell=cell,
            outcome=outcome,
            estimate=float(own.mean()) if len(own) else math.nan,
            interval=shown[1],
            confidence=1 - shown[0],
            p_different=float(self.different[index]),
            p_equivalent=float(self.equivalent[index]),
            minimum_detectable_effect=self._detectable(index),
            seeds=len(own),
            seeds_needed=chances[1],
            diverged=0,
            doubts=_doubts(own),
        )
        return LookVerdict(verdict, needs, chances[0])

    def _bounds(self, index: int, alpha: float) -> tuple[float, float]:
        return confidence_bounds(
            self._moments(index),
            alpha,
            image_error=float(self.image_errors[index]),
            image_freedom=float(self.image_freedoms[index]),
        )

    def _moments(self, index: int) -> Moments:
        return Moments(self.moments.means[index], self.moments.errors[index], self.moments.seeds)

    def _needs(self, index: int, bounds: tuple[float, float]) -> tuple[Needs, tuple[int | None, int | None]]:
        """Say what would decide, and how many more seeds with either chance."""
        if self._images_limit(index, bounds):
            return "more images", (None, None)
        levels = float(self.different_levels[index]) / 2, float(self.equivalent_levels[index])
        decides = partial(self._decides, index, *levels)
        return "more seeds", further_seeds(
            self.differences[index], decides, np.random.default_rng(_PLANNING_SEED)
        )

    def _images_limit(self, index: int, bounds: tuple[float, float]) -> bool:
        """Whether no difference on these images that is still possible could decide, however many seeds."""
        error, freedom = float(self.image_errors[index]), float(self.image_freedoms[index])
        if error == 0:
            return False
        to_differ = error * image_quantile(IMAGE_SHARE * float(self.different_levels[index]) / 2, freedom)
        to_equal = error * image_quantile(IMAGE_SHARE * float(self.equivalent_levels[index]), freedom)
        low, high = bounds[0] + to_differ, bounds[1] - to_differ  # on these images
        nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        return max(abs(low), abs(high)) <= to_differ and nearest >= self.margin - to_equal

    def _decides(
        self, index: int, level: float, same_level: float, paths: Float[np.ndarray, "draw seed"]
    ) -> Bool[np.ndarray, "draw seeds_used"]:
        moments = running_moments(paths, step=self.step)
        error, freedom = float(self.image_errors[index]), float(self.image_freedoms[index])
        share = IMAGE_SHARE if error > 0 else 0.0
        images = error * image_quantile(share * level, freedom) if share else 0.0
        images_same = error * image_quantile(share * same_level, freedom) if share else 0.0
        most = paths.shape[1]
        reach = moments.errors * critical_t(most, (1 - share) * level) + images
        reach_same = moments.errors * critical_t(most, (1 - share) * same_level) + images_same
        within = np.logical_and(
            np.logical_or.accumulate(moments.means + reach_same < self.margin, axis=1),
            np.logical_or.accumulate(moments.means - reach_same > -self.margin, axis=1),
        )
        beyond = np.logical_or.accumulate(np.abs(moments.means) > reach, axis=1)
        return np.asarray(np.logical_or(beyond, within))

    def _detectable(self, index: int) -> float:
        """Return the effect that this look alone finds four times in five, at Holm's strictest step."""
        seeds = len(self.differences[index])
        if seeds < 2:
            return math.inf
        critical = float(critical_t(seeds, self.alpha / (2 * len(self.cells)))[-1])
        if math.isinf(critical):
            return math.inf
        level = 2 * float(scipy.special.stdtr(seeds - 1, -critical))  # of the t test with that critical value
        error = float(self.moments.errors[index, seeds - 2])
        return minimum_detectable_effect(Estimate(0.0, error, seeds - 1, seeds), level)


def _image_parts(design: BlockDesign, baseline: str) -> dict[str, tuple[float, float]]:
    if design.correct is None:
        return {}
    present = np.isfinite(design.values)
    parts = difference_parts(design.correct, design.cells.index(baseline), present=present)
    return {
        cell: (part.variance, part.degrees_of_freedom)
        for cell, part in zip(design.cells, parts, strict=True)
        if part is not None
    }


def _family(
    design: BlockDesign,
    baseline: str,
    cells: list[str],
    margin: float,
    alpha: float,
    image_parts: Mapping[str, tuple[float, float]],
) -> _Family:
    """Test all cells that can be compared, and adjust for their number."""
    differences = [_differences(design, cell, baseline) for cell in cells]
    padded = np.full((len(cells), max([1, *map(len, differences)])), np.nan)
    for row, own in zip(padded, differences, strict=True):
        row[: len(own)] = own
    finite = design.values[np.isfinite(design.values)]
    moments = running_moments(padded, step=design.step, magnitude=float(np.abs(finite).max(initial=0.0)))
    parts = [image_parts.get(cell, (0.0, math.inf)) for cell in cells]
    errors = np.sqrt(np.array([variance for variance, _ in parts], dtype=float))
    freedoms = np.array([freedom for _, freedom in parts], dtype=float)
    test = partial(running_p, moments, image_error=errors, image_freedom=freedoms)
    above, below = test(0.0), test(0.0, below=True)
    different = np.minimum(1.0, 2 * np.minimum(above, below))
    equivalent = np.maximum(test(-margin), test(margin, below=True))
    return _Family(
        cells=cells,
        margin=margin,
        alpha=alpha,
        step=design.step,
        differences=differences,
        moments=moments,
        image_errors=errors,
        image_freedoms=freedoms,
        is_above=above < below,
        different=holm(different),
        equivalent=holm(equivalent),
        different_levels=_levels(different, alpha),
        equivalent_levels=_levels(equivalent, alpha),
    )


def _differences(design: BlockDesign, cell: str, baseline: str) -> Float[np.ndarray, " seed"]:
    """Return the paired differences of the seeds that both settings have, in their order."""
    rows = design.values[[design.cells.index(cell), design.cells.index(baseline)]]
    return np.asarray((rows[0] - rows[1])[_common(design, cell, baseline)])


def _common(design: BlockDesign, cell: str, baseline: str) -> Bool[np.ndarray, " block"]:
    """Say of which seeds both settings have a trial."""
    if design.absent is None:
        return np.ones(len(design.blocks), dtype=bool)
    absent = design.absent[[design.cells.index(cell), design.cells.index(baseline)]]
    return np.asarray(~absent.any(axis=0))


def _levels(p_values: Float[np.ndarray, " tests"], alpha: float) -> Float[np.ndarray, " tests"]:
    """Return the level of each test's step in Holm's procedure; from the first that fails on, that step's."""
    order = np.argsort(p_values, kind="stable")
    steps = alpha / np.arange(len(p_values), 0, -1)
    failed = np.flatnonzero(p_values[order] >= steps)
    if len(failed):
        steps[failed[0] :] = steps[failed[0]]
    levels = np.empty(len(p_values))
    levels[order] = steps
    return levels


def _doubts(differences: Float[np.ndarray, " seed"]) -> tuple[Doubt, ...]:
    if len(differences) < 2:
        return (Doubt("one seed"),)
    return () if np.ptp(differences) > 0 else (Doubt("no spread"),)


def _baseline_diverged(design: BlockDesign, baseline: str, cell: str) -> int:
    """Count the diverged trials of the baseline among the seeds that the cell has."""
    lost = ~np.isfinite(design.values[design.cells.index(baseline)])
    return int(np.count_nonzero(lost & _common(design, cell, baseline)))


def _undecidable(design: BlockDesign, cell: str, common: Mapping[str, Any]) -> LookVerdict:
    diverged = design.diverged(cell)
    verdict = Verdict(
        **common,
        cell=cell,
        outcome="diverged" if diverged else "undecided",
        estimate=math.nan,
        interval=(-math.inf, math.inf),
        confidence=1 - common["alpha"],
        p_different=1.0,
        p_equivalent=1.0,
        minimum_detectable_effect=math.inf,
        seeds=len(design.row(cell)),
        seeds_needed=None,
        diverged=diverged,
        doubts=(Doubt("baseline diverged"),) if common["baseline_diverged"] else (),
    )
    return LookVerdict(verdict, "nothing", None)
