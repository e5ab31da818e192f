"""Layer 1: statistics of anyone's numbers, cells × seeds: verdicts, statements, seeds needed.

It imports NumPy and SciPy only. A cell is one setting, such as a learning rate; its values are one metric,
one per seed, and all cells share the seeds. :func:`judge` compares every cell with a baseline:

    >>> import numpy as np
    >>> accuracies = np.array([[0.512, 0.515, 0.513], [0.470, 0.474, 0.469], [0.513, 0.515, 0.513]])
    >>> design = BlockDesign(cells=("128", "1024", "127"), blocks=(0, 1, 2), values=accuracies)
    >>> for verdict in judge(design, baseline="128", practical_difference=0.005):
    ...     print(verdict.cell, verdict.outcome, f"{verdict.estimate:+.3f}", f"p = {verdict.p_different:.2g}")
    1024 hurts -0.042 p = 3.8e-05
    127 no effect +0.000 p = 0.67

:func:`decide` tests conjunctions of statements, here "128 beats both others" and "128 beats 1024":

    >>> fit = fit_additive(design)
    >>> gaps = [contrast(fit, difference("128", other)) for other in ("1024", "127")]
    >>> statements = [Statement("more", gap, margin=0.005) for gap in gaps]
    >>> [decision.outcome for decision in decide([statements, statements[:1]])]
    ['contradicted', 'upheld']
"""

from foolscope.statistics.blocks import (
    AdditiveFit,
    BlockDesign,
    cell_mean,
    contrast,
    difference,
    fit_additive,
    mean_interval,
    trend_weights,
)
from foolscope.statistics.conjunctions import Decision, decide
from foolscope.statistics.doubts import Doubt
from foolscope.statistics.estimate import Estimate, holm, interval, mean_estimate
from foolscope.statistics.relations import Statement
from foolscope.statistics.verdicts import Verdict, judge

__all__ = [
    "AdditiveFit",
    "BlockDesign",
    "Decision",
    "Doubt",
    "Estimate",
    "Statement",
    "Verdict",
    "cell_mean",
    "contrast",
    "decide",
    "difference",
    "fit_additive",
    "holm",
    "interval",
    "judge",
    "mean_estimate",
    "mean_interval",
    "trend_weights",
]
