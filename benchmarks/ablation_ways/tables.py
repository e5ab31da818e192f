"""The results as plain text: a table of all ways, the best of each, its time, the goals."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from ablation_ways import graphs, notebook, packs, tuned, tuner
from ablation_ways.roofline import Account, Limits, Peaks, account_for
from ablation_ways.way import Way
from ablation_ways.work import Work

__all__ = ["Result", "accounts", "fastest", "ratios", "report"]


@dataclass(frozen=True)
class Result:
    """The measurements of one way.

    Args:
        way: which.
        first_seconds: from its start to the end of its first step, with whatever it compiles or builds.
        milliseconds: per gradient step of one trial, by round.
    """

    way: Way
    first_seconds: float
    milliseconds: list[float]

    @cached_property
    def median(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.milliseconds)


def fastest(results: Sequence[Result], *rows: str, gpu: bool = False) -> Result | None:
    """Return the fastest result whose row begins with one of the names, on the CPU or on the GPU."""
    found = [
        result
        for result in results
        if result.way.row.startswith(rows) and (result.way.arrangement == "cuda") == gpu
    ]
    return min(found, key=lambda result: result.median, default=None)


CONTENDERS: dict[str, Callable[[Sequence[Result]], Result | None]] = {
    "(a)": lambda results: fastest(results, notebook.ROW),
    "(b)": lambda results: fastest(results, tuned.EAGER, tuned.COMPILED),
    "(c)": lambda results: fastest(results, f"{packs.STEPS} "),
    "(c) whole train_pack": lambda results: fastest(results, packs.WHOLE),
    "(d)": lambda results: fastest(results, tuner.ROW),
    "(b) eager on the GPU": lambda results: fastest(results, graphs.EAGER, gpu=True),
    "(b) CUDA graph": lambda results: fastest(results, graphs.CAPTURED, gpu=True),
    "(c) on the GPU": lambda results: fastest(results, packs.STEPS, gpu=True),
}
"""The contest: of each way, the fastest of its variants counts."""


def best_of_each(results: Sequence[Result]) -> dict[str, Result]:
    """Return the fastest result of each measured way."""
    found = {name: choose(results) for name, choose in CONTENDERS.items()}
    return {name: result for name, result in found.items() if result is not None}


def ratios(work: Work, results: Sequence[Result]) -> dict[str, tuple[float, float]]:
    """Return, for each way that packs should beat, the measured and the required speed-up."""
    best = best_of_each(results)
    ours = {name: best.get("(c) on the GPU" if "GPU" in name else "(c)") for name in work.goals}
    return {
        name: (best[name].median / pack.median, goal)
        for name, goal in work.goals.items()
        if name in best and (pack := ours[name]) is not None
    }


def accounts(results: Sequence[Result], limits: Limits, peaks: Peaks) -> dict[str, Account]:
    """Return where the time of each contender goes, but for those whose steps are another's."""
    return {
        name: account_for(result.way, result.median, limits, peaks)
        for name, result in best_of_each(results).items()
        if name not in ("(c) whole train_pack", "(d)")
    }


def report(work: Work, results: Sequence[Result], limits: Limits, peaks: Peaks) -> str:
    """Return the report of one work."""
    parts = (
        [work.title, f"one trial = {work.trial_steps:,} gradient steps; milliseconds per step of one trial:"],
        _all_ways(results),
        _best(work, results),
        _accounts(results, limits, peaks),
        _goals(work, results, limits, peaks),
    )
    return "\n\n".join("\n".join(lines) for lines in parts)


def _all_ways(results: Sequence[Result]) -> list[str]:
    columns = list(dict.fromkeys((each.way.precision, each.way.arrangement) for each in results))
    columns.sort(key=lambda column: (column[1] == "cuda", column[0] != "float32"))
    precisions = "".join(f"{precision:>13}" for precision, _ in columns)
    lines = [f"{'':32}{precisions}", f"{'':32}" + "".join(f"{arrangement:>13}" for _, arrangement in columns)]
    for row in dict.fromkeys(each.way.row for each in results):
        cells = []
        for column in columns:
            here = [
                each.median
                for each in results
                if (each.way.row, each.way.precision, each.way.arrangement) == (row, *column)
            ]
            cells.append(f"{min(here):13.4f}" if here else f"{'-':>13}")
        lines.append(f"{row:32}" + "".join(cells))
    compiling = [each.first_seconds for each in results if each.way.row == tuned.COMPILED]
    if compiling:
        lines.append(f"not counted: torch.compile's first step, up to {max(compiling):.1f} s")
    return lines


def _best(work: Work, results: Sequence[Result]) -> list[str]:
    best = best_of_each(results)
    lines = [f"{'best of each':24}{'ms':>9}{'trials/hour':>13}{'x (a)':>8}{'x (b)':>8}  which"]
    for name, result in best.items():
        others = [best[than].median if than in best else math.nan for than in ("(a)", "(b)")]
        speedups = "".join(f"{other / result.median:8.2f}" for other in others)
        hourly = 3.6e6 / (result.median * work.trial_steps)
        lines.append(f"{name:24}{result.median:9.4f}{hourly:13,.0f}{speedups}  {result.way}")
    return lines


def _accounts(results: Sequence[Result], limits: Limits, peaks: Peaks) -> list[str]:
    lines = [f"{'where the time goes':24}{'ms':>9} = products + traffic +    rest    of the machine's limit"]
    for name, account in accounts(results, limits, peaks).items():
        parts = f"{account.products:8.4f} {account.traffic:9.4f} {account.rest:9.4f}"
        lines.append(f"{name:24}{account.total:9.4f}  {parts}    {account.limit / account.total:6.1%}")
    return lines


def _goals(work: Work, results: Sequence[Result], limits: Limits, peaks: Peaks) -> list[str]:
    lines = []
    for name, (reached, goal) in ratios(work, results).items():
        other = accounts(results, limits, peaks)[name]
        verdict = "met" if reached >= goal else "not met"
        lines.append(f"goal: packs at least {goal:g} x {name}: {reached:.2f} x, {verdict}")
        lines.append(
            f"  products alone, as the library has them, leave room for {other.total / other.kernels:.2f} x; "
            f"at the machine's peak, for {other.total / other.limit:.2f} x"
        )
    return lines
