"""What trials predict as a whole: one class only, and what always predicting the largest would reach."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from foolscope.core.settings import Settings
from foolscope.experiments.running.correctness import Split
from foolscope.experiments.running.store import StoredTrial
from foolscope.statistics.classification import largest_class, only_predicted_class

__all__ = ["LargestClass", "largest_test_class", "one_class_doubts", "results_by_image"]

_LISTED = 6


class LargestClass(Settings):
    """The largest class of the test images, where classes are unequal."""

    name: str
    share: float

    @property
    def sentence(self) -> str:
        """What its share means for an accuracy."""
        return f"Predicting {self.name!r} for every test image would reach {100 * self.share:.2f} %."


def largest_test_class(trials: Sequence[StoredTrial]) -> LargestClass | None:
    """Return the largest class of the test images; None where classes are about equal, or all diverged."""
    for trial in trials:
        if trial.status != "diverged":
            found = largest_class(np.array(trial.outcome["confusion"]).sum(axis=1))
            if found is None:
                return None
            return LargestClass(name=trial.provenance["dataset"]["classes"][found[0]], share=found[1])
    return None


def results_by_image(metric: str, trials: Sequence[StoredTrial]) -> Bool[np.ndarray, "trial image"] | None:
    """Return which images every trial classified correctly, of which an accuracy is the mean.

    Args:
        metric: ``test_accuracy`` or ``validation_accuracy``; others are not means over images.
        trials: of one data set; what is said of diverged ones means nothing.

    Returns:
        None for other metrics, where a trial was stored before these results were kept, or where all trials
        diverged.
    """
    splits: dict[str, Split] = {"test_accuracy": "test", "validation_accuracy": "validation"}
    if metric not in splits:
        return None
    found = [trial.correct(splits[metric]) for trial in trials]
    counts = {len(each) for each in found if each is not None}
    lacking = any(
        each is None and trial.status != "diverged" for each, trial in zip(found, trials, strict=True)
    )
    if lacking or len(counts) != 1:
        return None
    nothing = np.zeros(counts.pop(), dtype=bool)
    return np.stack([nothing if each is None else each for each in found])


def one_class_doubts(settings: Sequence[tuple[str, Sequence[StoredTrial]]]) -> list[str]:
    """Say how many runs predict one class for every test image, and of which settings.

    Args:
        settings: each with the trials of its seeds.
    """
    trials = [trial for _, own in settings for trial in own]
    alike = [(label, [each for each in own if _only_class(each) is not None], own) for label, own in settings]
    affected = [(label, len(constant), len(own)) for label, constant, own in alike if constant]
    if not affected:
        return []
    names = dict.fromkeys(name for trial in trials if (name := _only_class(trial)) is not None)
    named = " or ".join(map(repr, names))
    listed = [f"{label} with {constant} of {own} seeds" for label, constant, own in affected[:_LISTED]]
    more = len(affected) - len(listed)
    count = sum(constant for _, constant, _ in affected)
    return [
        f"{count} of {len(trials)} runs predict one class, {named}, for every test image "
        f"({'; '.join([*listed, *([f'and {more} more settings'] if more else [])])}). Their accuracy is the "
        "share of that class, whatever the setting, and more seeds will not change it; compare balanced "
        "accuracy, or train with class weights or balanced sampling"
    ]


def _only_class(trial: StoredTrial) -> str | None:
    if trial.status == "diverged":
        return None
    only = only_predicted_class(np.array(trial.outcome["confusion"]))
    return None if only is None else str(trial.provenance["dataset"]["classes"][only])
