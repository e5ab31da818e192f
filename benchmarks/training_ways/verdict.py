"""Whether our recipe is behind: the verdict that an ablation of two cells would get."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from foolscope.statistics.blocks import BlockDesign, contrast, difference, fit_additive
from foolscope.statistics.estimate import interval, p_above, p_below

__all__ = ["behind"]

_ALPHA = 0.05


def behind(theirs: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]], margin: float) -> dict[str, Any]:
    """Say whether our accuracy is less than ``margin`` below theirs, by a t test on the difference."""
    accuracies = np.array([[run["accuracy"] for run in own] for own in (theirs, ours)])
    design = BlockDesign(("theirs", "ours"), tuple(range(accuracies.shape[1])), accuracies)
    estimate = contrast(fit_additive(design), difference("ours", "theirs"))
    low, high = interval(estimate)
    if p_above(estimate, -margin) <= _ALPHA:
        word = "not behind"
    else:
        word = "behind" if p_below(estimate, -margin) <= _ALPHA else "undecided"
    words = f"{100 * estimate.value:+.2f} ({100 * low:.2f} to {100 * high:.2f}): {word}"
    return {"difference": estimate.value, "low": low, "high": high, "verdict": word, "words": words}
