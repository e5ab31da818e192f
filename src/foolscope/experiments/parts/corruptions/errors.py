"""Corruption errors of a recipe: by corruption, by kind, their mean, and in units of a baseline's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from foolscope.corruptions import Corruption
from foolscope.experiments.parts.corruptions.measuring import Accuracies
from foolscope.experiments.wording.fields import corruption_words

__all__ = ["Errors", "Words", "corruption_error", "errors_of", "measures_of", "relative_error", "weak_ratios"]

Errors = Float[np.ndarray, "corruption severity"]
"""Errors of one model, as fractions of the images."""

Words = dict[str, tuple[str, list[float | None]]]
"""Name of a measure in claims to its words and its values, one per seed."""

_ROUNDING = 1e-9  # of sums of errors: less is the rounding of float64
_WEAK = 0.01  # a baseline that loses less than a point makes a ratio of losses unstable


def errors_of(accuracies: Accuracies, corruptions: Sequence[Corruption], seed: int) -> Errors:
    """Return the errors of the model of one seed."""
    return 1.0 - np.array([accuracies[each.name][seed] for each in corruptions])


def measures_of(
    accuracies: Accuracies, corruptions: Sequence[Corruption], baseline: Accuracies | None
) -> Words:
    """Compute everything that claims can be about, for each seed.

    The baseline's model is that of the same seed; where that diverged, there is no value.
    """
    seeds = list(accuracies[""])
    errors = {seed: errors_of(accuracies, corruptions, seed) for seed in seeds}
    clean = {seed: 1.0 - accuracies[""][seed][0] for seed in seeds}
    groups: dict[str, list[int]] = {}
    for place, each in enumerate(corruptions):
        groups.setdefault(each.kind, []).append(place)
    groups |= {each.name: [place] for place, each in enumerate(corruptions)}
    means = {seed: float(own.mean(axis=1).mean()) for seed, own in errors.items()}
    measures: Words = {
        "mean_error": ("mean error over all corruptions and severities", list(means.values())),
        "clean_error": ("error without corruption", list(clean.values())),
        "added_error": ("mean error minus clean error", [means[seed] - clean[seed] for seed in seeds]),
    }
    for name, places in groups.items():
        values: list[float | None] = [float(errors[seed][places].mean()) for seed in seeds]
        measures[f"error@{name}"] = (f"error under {corruption_words(name)}, mean over severities", values)
    return measures if baseline is None else measures | _normalized(errors, clean, corruptions, baseline)


def _normalized(
    errors: Mapping[int, Errors],
    clean: Mapping[int, float],
    corruptions: Sequence[Corruption],
    baseline: Accuracies,
) -> Words:
    def over_seeds(ratio: Callable[[int, Errors], float | None]) -> list[float | None]:
        return [
            ratio(seed, errors_of(baseline, corruptions, seed)) if seed in baseline[""] else None
            for seed in errors
        ]

    return {
        "mce": (
            "mean corruption error in units of the baseline's",
            over_seeds(lambda seed, own: corruption_error(errors[seed], own)),
        ),
        "relative_mce": (
            "the same for what a corruption adds to the clean error",
            over_seeds(
                lambda seed, own: relative_error(errors[seed], clean[seed], own, 1.0 - baseline[""][seed][0])
            ),
        ),
    }


def corruption_error(errors: Errors, baseline: Errors) -> float | None:
    r"""Return the mean corruption error; None where the baseline makes no error under a corruption.

    .. math:: \mathrm{mCE} = \operatorname{mean}_c \frac{\sum_s E_{s,c}}{\sum_s E^{baseline}_{s,c}}

    Example:
        >>> corruption_error(np.array([[0.1, 0.3], [0.2, 0.2]]), np.array([[0.2, 0.6], [0.2, 0.2]]))
        0.75

    References:
        Hendrycks and Dietterich (2019), arXiv:1903.12261, section 4.1.
    """
    return _mean_ratio(errors, baseline)


def relative_error(errors: Errors, clean: float, baseline: Errors, baseline_clean: float) -> float | None:
    r"""Return the relative mean corruption error; None where a corruption costs the baseline nothing.

    .. math:: \operatorname{mean}_c \frac{\sum_s (E_{s,c} - E_{clean})}
       {\sum_s (E^{baseline}_{s,c} - E^{baseline}_{clean})}

    Example:
        >>> round(relative_error(np.array([[0.3]]), 0.1, np.array([[0.5]]), 0.1), 3)
        0.5
    """
    return _mean_ratio(errors - clean, baseline - baseline_clean)


def weak_ratios(baseline: Accuracies, corruptions: Sequence[Corruption], seeds: Sequence[int]) -> list[str]:
    """Name the corruptions that add less than one point to the baseline's error: their ratios say little."""
    known = [seed for seed in seeds if seed in baseline[""]]
    if not known:
        return []
    added: NDArray[Any] = np.mean(
        [errors_of(baseline, corruptions, seed).mean(axis=1) - 1.0 + baseline[""][seed][0] for seed in known],
        axis=0,
    )
    return [each.name for each, own in zip(corruptions, added, strict=True) if own < _WEAK]


def _mean_ratio(above: Errors, below: Errors) -> float | None:
    sums = below.sum(axis=1)
    return float((above.sum(axis=1) / sums).mean()) if (sums > _ROUNDING).all() else None
