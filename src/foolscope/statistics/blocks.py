"""The block design of an ablation, cells × seeds, and the additive model that compares its cells."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from foolscope.core.errors import did_you_mean
from foolscope.statistics.estimate import Estimate, interval, mean_estimate, standard_deviation
from foolscope.statistics.images import image_part, with_images
from foolscope.statistics.population import population_interval

__all__ = [
    "AdditiveFit",
    "BlockDesign",
    "cell_mean",
    "contrast",
    "contrast_value",
    "difference",
    "fit_additive",
    "mean_interval",
    "trend_weights",
    "weight_row",
]

_ROUNDING = 1e-12  # a weighted mean smaller than this, relative to its terms, is float64 rounding


@dataclass(frozen=True, eq=False)
class BlockDesign:
    """One metric of every trial of an ablation.

    The seeds are blocks: all cells of a seed saw the same batches, so chance partly moves them together, and
    differences between cells vary less than the cells do.

    Args:
        cells: labels of the settings, all different.
        blocks: the seeds, all different.
        values: the metric, NaN (or infinite) where a trial diverged.
        step: by how much the metric changes with one image, ``1 / images`` for an accuracy; 0 if it is
            continuous or the number of images is unknown.
        paired: False where the columns of different cells have nothing in common, as for runs whose seeds are
            unknown.
        absent: the trials that do not exist, where cells have unequal numbers of seeds; their values are NaN.
        correct: which images each trial classified correctly, where that is known.

    Raises:
        ValueError: a shape does not fit, or a label or a seed occurs twice.

    Example:
        >>> design = BlockDesign(("a", "b"), (0, 1, 2), np.array([[0.5, 0.6, 0.7], [0.4, np.nan, 0.6]]))
        >>> design.finite_cells, design.diverged("b")
        (('a',), 1)
    """

    cells: tuple[str, ...]
    blocks: tuple[int, ...]
    values: Float[np.ndarray, "cell block"]
    step: float = 0.0
    paired: bool = True
    absent: Bool[np.ndarray, "cell block"] | None = None
    correct: Bool[np.ndarray, "cell block image"] | None = None

    def __post_init__(self) -> None:
        expected = (len(self.cells), len(self.blocks))
        for name, part in (("absent", self.absent), ("correct", self.correct)):
            if part is not None and part.shape[:2] != expected:
                raise ValueError(f"{name} must begin with the shape {expected} of values; got {part.shape}")
        if self.values.shape != expected or 0 in expected:
            raise ValueError(
                f"values must have one row per cell and one column per seed, at least one of each, "
                f"{expected}; got {self.values.shape}"
            )
        for what, labels in (("cells", self.cells), ("blocks", self.blocks)):
            if len(set(labels)) != len(labels):
                raise ValueError(f"{what} must all be different; got {labels}")

    @property
    def finite_cells(self) -> tuple[str, ...]:
        """The cells of which every trial ended with a finite value; only they are analyzed."""
        return tuple(cell for cell in self.cells if self.diverged(cell) == 0)

    def row(self, cell: str) -> Float[np.ndarray, " block"]:
        """The values of one cell, one per seed that it has."""
        place = self._place(cell)
        row: Float[np.ndarray, " block"] = self.values[place]
        return row if self.absent is None else row[~self.absent[place]]

    def diverged(self, cell: str) -> int:
        """How many trials of the cell diverged."""
        return int(np.count_nonzero(~np.isfinite(self.row(cell))))

    def correct_of(self, cell: str) -> Bool[np.ndarray, "block image"] | None:
        """Which images the trials of a cell classified correctly, one row per seed that it has, if known."""
        if self.correct is None or self.diverged(cell):
            return None
        place = self._place(cell)
        found: Bool[np.ndarray, "block image"] = self.correct[place]
        return found if self.absent is None else found[~self.absent[place]]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {cell: place for place, cell in enumerate(self.cells)}

    def _place(self, cell: str) -> int:
        if cell not in self._places:
            raise ValueError(f"unknown cell {cell!r}. {did_you_mean(cell, self.cells)}")
        return self._places[cell]


@dataclass(frozen=True, eq=False)
class AdditiveFit:
    """``value = cell + block + residual``, fitted to the cells that did not diverge.

    Args:
        cells: the cells in the fit.
        seeds: how many blocks are complete.
        values: one row per cell in the fit, of the complete blocks.
        residual_deviation: standard deviation of the residuals, pooled over the cells; NaN with fewer than
            two cells or seeds.
        degrees_of_freedom: ``(cells - 1)(seeds - 1)``.
        every_value: of all blocks, NaN where a cell lacks one.
        complete: which blocks all cells have.
        step: see :class:`BlockDesign`.
        paired: see :class:`BlockDesign`.
        correct: see :class:`BlockDesign`; of the cells in the fit and all blocks.
    """

    cells: tuple[str, ...]
    seeds: int
    values: Float[np.ndarray, "cell block"]
    residual_deviation: float
    degrees_of_freedom: int
    every_value: Float[np.ndarray, "cell every_block"]
    complete: Int[np.ndarray, " block"]
    step: float = 0.0
    paired: bool = True
    correct: Bool[np.ndarray, "cell every_block image"] | None = None

    @cached_property
    def places(self) -> dict[str, int]:
        """The row of each cell."""
        return {cell: place for place, cell in enumerate(self.cells)}

    def common_blocks(self, row: Float[np.ndarray, " cell"]) -> Int[np.ndarray, " own_block"]:
        """The blocks that all cells of non-zero weight have."""
        if len(self.complete) == self.every_value.shape[1]:
            return self.complete
        return np.flatnonzero(np.isfinite(self.every_value[row != 0]).all(axis=0))


def fit_additive(design: BlockDesign) -> AdditiveFit:
    """Fit cell and block effects by least squares and pool the residual variance.

    ``s² = Σ (y_cs - ȳ_c - ȳ_s + ȳ)² / ((C - 1)(S - 1))``, over the C cells without a diverged trial and the S
    seeds that all of them have.

    Returns:
        The fit. With one seed it has no degrees of freedom, and nothing derived from it decides anything.

    References:
        Montgomery, *Design and Analysis of Experiments*, section 4.1 (the randomized complete block design).
    """
    cells = design.finite_cells
    finite = set(cells)
    kept = [place for place, cell in enumerate(design.cells) if cell in finite]
    every = design.values[kept]
    complete = np.flatnonzero(np.isfinite(every).all(axis=0))
    values = every[:, complete]
    freedom = max(0, len(cells) - 1) * max(0, len(complete) - 1)
    deviation = math.nan
    if freedom:
        residuals = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
        deviation = standard_deviation(residuals, freedom, scale=float(np.abs(values).max()))
    return AdditiveFit(
        cells,
        len(complete),
        values,
        deviation,
        freedom,
        every_value=every,
        complete=complete,
        step=design.step,
        paired=design.paired,
        correct=None if design.correct is None else design.correct[kept],
    )


def contrast(fit: AdditiveFit, weights: Mapping[str, float]) -> Estimate:
    """Estimate a weighted sum of cells whose weights add up to zero, if all cells scatter alike.

    The blocks cancel. Where the cells may scatter unevenly, and for verdicts always,
    :func:`~foolscope.statistics.spread.robust_contrast` takes its place.

    ``Σ w_c ȳ_c`` with standard error ``s √(Σ w_c² / S)``, s pooled over all cells of the fit. Cells left out
    weigh nothing. The estimate has the degrees of freedom of the fit.

    Raises:
        ValueError: the weights do not add up to zero, or name a cell that is not in the fit.

    References:
        Montgomery, *Design and Analysis of Experiments*, sections 3.5.4 and 4.1.
    """
    row = weight_row(fit, weights)
    error = fit.residual_deviation * math.sqrt(float(row @ row) / fit.seeds)
    return Estimate(contrast_value(fit, row), error, fit.degrees_of_freedom, fit.seeds)


def difference(cell: str, against: str) -> dict[str, float]:
    """The weights of the contrast "``cell`` minus ``against``"."""
    return {cell: 1.0, against: -1.0}


def cell_mean(design: BlockDesign, cell: str) -> Estimate:
    """Estimate the expected value of a cell over seeds from its own values alone.

    A mean, unlike a difference, keeps its share of the block effects, so the residual of the additive model
    would be too small for it. Pooling the cells' own deviations would not help: the blocks, being shared,
    make them dependent. Where it is known which images were classified correctly, the chance in which images
    were drawn is covered, too; otherwise the estimate is about new seeds on the *same* test images.

    Returns:
        The mean, with standard error ``sd/√S`` and ``S - 1`` degrees of freedom; NaN if a trial diverged.
    """
    mean = mean_estimate(design.row(cell))
    correct = design.correct_of(cell)
    return mean if correct is None else with_images(mean, image_part(correct.view(np.int8)))


def mean_interval(design: BlockDesign, cell: str) -> tuple[float | None, float | None, float | None]:
    """A cell's mean over seeds and its 95 % interval; None for each that is not finite.

    Where it is known which images were classified correctly, the interval is about new images.
    """
    if design.diverged(cell):
        return None, None, None
    mean = cell_mean(design, cell)
    correct = design.correct_of(cell)
    if correct is not None and len(correct) > 1:
        return mean.value, *population_interval(correct)
    low, high = (end if math.isfinite(end) else None for end in interval(mean))
    return mean.value, low, high


def trend_weights(levels: Sequence[str]) -> dict[str, float]:
    """The weights of the linear trend over ordered cells, scaled to the fitted change from end to end.

    With centred ranks ``r = -(k-1)/2, ..., (k-1)/2`` the weights are ``(k - 1) r / Σ r²``: the least-squares
    line through the cell means against their rank, times the k - 1 steps. Ranks, not the settings themselves:
    "falls with the batch size" is a statement about order, and whoever varies 128, 256, 512, 1024 means equal
    steps. The cells, at least two, are given in their order.

    Returns:
        Cell to weight. A factor "falls" if the estimate is significantly negative.

    References:
        Montgomery, *Design and Analysis of Experiments*, section 3.5 (orthogonal polynomial contrasts).

    Example:
        >>> trend_weights(("a", "b", "c"))
        {'a': -1.0, 'b': 0.0, 'c': 1.0}
    """
    if len(levels) < 2:
        raise ValueError(f"a trend needs at least two levels; got {len(levels)}")
    ranks = np.arange(len(levels)) - (len(levels) - 1) / 2
    weights = (len(levels) - 1) * ranks / float(ranks @ ranks)
    return {level: float(weight) for level, weight in zip(levels, weights, strict=True)}


def weight_row(fit: AdditiveFit, weights: Mapping[str, float]) -> Float[np.ndarray, " cell"]:
    """Write the weights of a contrast as a vector over the cells of a fit.

    Raises:
        ValueError: the weights do not add up to zero, or name a cell that is not in the fit.
    """
    row = np.zeros(len(fit.cells))
    for cell, weight in weights.items():
        if cell not in fit.places:
            raise ValueError(
                f"cell {cell!r} diverged or is unknown, so it cannot be compared. "
                f"{did_you_mean(cell, fit.cells)}"
            )
        row[fit.places[cell]] = weight
    if not math.isclose(row.sum(), 0, abs_tol=1e-9 * float(np.abs(row).max())):
        raise ValueError(f"the weights of a contrast must add up to 0; got {row.sum():g}")
    return row


def contrast_value(fit: AdditiveFit, row: Float[np.ndarray, " cell"]) -> float:
    """The weighted sum of the cells' means, over the seeds that the cells have in common.

    Unpaired cells are averaged over their own seeds; paired ones without a common seed give NaN. It is 0
    where only rounding is left.
    """
    used = np.flatnonzero(row)
    values = fit.every_value[used]
    common = fit.common_blocks(row)
    if fit.paired and len(common) == 0:
        return math.nan
    means = values[:, common].mean(axis=1) if fit.paired else np.nanmean(values, axis=1)
    value = float(row[used] @ means)
    return 0.0 if abs(value) <= _ROUNDING * float(np.abs(row[used]) @ np.abs(means)) else value
