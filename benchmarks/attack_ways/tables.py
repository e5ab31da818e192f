"""What was measured, as plain text: a table of ways for each case, and the goals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attack_ways import full, pgd
from attack_ways.case import Case
from attack_ways.referee import Result, Way, version

__all__ = ["Goal", "Price", "budget_goals", "budget_report", "goals_of", "report"]


@dataclass(frozen=True)
class Goal:
    """Something that was to be reached.

    Args:
        sentence: what.
        reached: how far it came.
        goal: how far it was to come.
        at_most: whether less is better.
    """

    sentence: str
    reached: float
    goal: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Whether it came that far."""
        return self.reached <= self.goal if self.at_most else self.reached >= self.goal

    def __str__(self) -> str:
        """Return a line for a person."""
        bound = "at most" if self.at_most else "at least"
        verdict = "met" if self.met else "not met"
        return f"goal: {self.sentence} {bound} {self.goal:g}: {self.reached:.4g}, {verdict}"


@dataclass(frozen=True)
class Price:
    """What an evaluation over some budgets costs.

    Args:
        budgets: how many.
        seconds: median over the rounds.
        passes: through the model, in images; of the last round.
        robust_accuracies: by budget.
    """

    budgets: int
    seconds: float
    passes: int
    robust_accuracies: tuple[float, ...]


def report(case: Case, results: Sequence[Result], absent: Mapping[Way, str]) -> str:
    """Return the table of one case, ours first, with remarks and goals under it."""
    ours = results[0]
    lines = [
        f"{case.title}: {len(case.labels)} images, "
        f"{len(ours.seconds)} {'round' if len(ours.seconds) == 1 else 'rounds'}",
        f"{'':28}{'batch':>6}{'seconds':>10}{'x ours':>8}{'forwards':>12}{'backwards':>11}{'x ours':>8}"
        f"{'robust':>9}{'only they':>11}{'only we':>9}",
    ]
    for each in results:
        passes = each.passes.total / ours.passes.total
        slower = each.median / ours.median
        lines.append(
            f"{each.way.row:28}{each.batch_size or 'own':>6}{each.median:10.2f}{slower:8.1f}"
            f"{each.passes.forwards:12,}{each.passes.backwards:11,}{passes:8.1f}{each.robust_accuracy:9.2%}"
            f"{int((ours.robust & ~each.robust).sum()):11}{int((each.robust & ~ours.robust).sum()):9}"
        )
    lines += [f"{way.row:28}  {reason}" for way, reason in absent.items()]
    lines += [
        f"  {each.way.row} {version(each.way)}: {each.way.remark}" for each in results if each.way.remark
    ]
    lines += [
        f"  {each.way.row}: {each.outside} images outside of the ball or of [0, 1], which do not count"
        for each in results
        if each.outside
    ]
    return "\n".join([*lines, *map(str, goals_of(case, results))])


def goals_of(case: Case, results: Sequence[Result]) -> list[Goal]:
    """Return what was to be reached on a case against each way that was there."""
    by_row = {each.way.row: each for each in results}
    ours, goals = results[0], []
    for row in (pgd.FOOLBOX, pgd.TORCHATTACKS):
        if row in by_row:
            faster = by_row[row].median / ours.median
            goals.append(Goal(f"seconds of {row} over ours", faster, 1.0 if case.defended else 5.0))
    if full.AUTOATTACK in by_row:
        theirs = by_row[full.AUTOATTACK]
        faster = theirs.median / ours.median
        fewer = theirs.passes.total / ours.passes.total
        worse = round(100 * (ours.robust_accuracy - theirs.robust_accuracy), 6)
        goals.append(Goal("seconds of AutoAttack over ours", faster, 8.0 if case.defended else 25.0))
        goals.append(Goal("passes of AutoAttack over ours", fewer, 10.0 if case.defended else 25.0))
        goals.append(Goal("points of robust accuracy above AutoAttack", worse, 0.1, at_most=True))
    return goals


def budget_report(case: Case, one: Price, eight: Price) -> str:
    """Return what eight budgets cost beside one, and whether they say the same about that one."""
    lines = [
        f"{case.title}: {len(case.labels)} images, from a quarter of the budget to twice the budget",
        f"{'':28}{'seconds':>10}{'passes':>14}  robust accuracies",
    ]
    for price in (one, eight):
        accuracies = " ".join(f"{accuracy:.1%}" for accuracy in price.robust_accuracies)
        name = "one budget" if price.budgets == 1 else f"{price.budgets} budgets"
        lines.append(f"{name:28}{price.seconds:10.2f}{price.passes:14,}  {accuracies}")
    return "\n".join([*lines, *map(str, budget_goals(one, eight))])


def budget_goals(one: Price, eight: Price) -> list[Goal]:
    """Return what was to be reached with several budgets."""
    return [
        Goal("seconds of eight budgets over one", eight.seconds / one.seconds, 2.0, at_most=True),
        Goal(
            "passes of eight budgets over one",
            eight.passes / one.passes,
            2.0,
            at_most=True,
        ),
    ]
