"""The verbs, a file each: a Python function, and the result that it returns.

The table here is all that ``import foolscope`` and ``foolscope --help`` read, so it imports nothing.
"""

from typing import NamedTuple

__all__ = ["VERBS", "Verb"]


class Verb(NamedTuple):
    """One verb.

    Args:
        help: what it does, one line.
        exports: the public names in ``foolscope.verbs.<verb>``; none for a verb of the command line alone.
    """

    help: str
    exports: tuple[str, ...] = ()


VERBS: dict[str, Verb] = {
    "study": Verb(
        "Run a study, built-in or in a TOML file, and write its report.",
        ("study", "StudyResult"),
    ),
    "train": Verb("Train one model, with live progress; keep the best checkpoint.", ("train", "Training")),
    "ablate": Verb(
        "Vary one setting at a time around a baseline, with enough seeds for a verdict.",
        ("ablate", "Ablation"),
    ),
    "search": Verb(
        "Search for better settings; train the winner again on fresh seeds before it is reported.",
        ("search", "Search"),
    ),
    "check": Verb(
        "Check a recipe or a run: gradients, initial loss, fitting a few images perfectly, learning rates.",
        ("check", "CheckResult"),
    ),
    "inspect": Verb(
        "Inspect a run or any PyTorch model: mistakes, calibration, attributions, weights, gradients, "
        "spectra.",
        ("inspect", "Inspection"),
    ),
    "attack": Verb(
        "Measure the robust accuracy of a run or any PyTorch model over a range of budgets.",
        ("attack", "Robustness"),
    ),
    "reproduce": Verb(
        "Reproduce published experiments: their figures beside ours, and a verdict on each claim.",
        ("reproduce",),
    ),
    "judge": Verb(
        "Judge anyone's results: verdicts on a table of settings and seeds, nothing trained.",
        ("judge", "Judgement"),
    ),
    "report": Verb("Rebuild the report of a stored study, without training."),
    "data": Verb("List, fetch, verify and show data sets."),
    "completion": Verb("Print the shell completion script."),
}
"""Name to verb; the command of a verb is in the module of its name in ``foolscope.cli``."""
