"""Check a recipe, or that of a run, before its numbers are believed."""

from collections.abc import Sequence
from dataclasses import dataclass

from foolscope.experiments.parts.checks import check_records, range_test_record
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.run import Observer, StageEvent, ignore_events, watched
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.inspection.check import Check
from foolscope.inspection.checks.learning_rate_range import DEFAULT_RATES, DEFAULT_STEPS, LearningRateRange
from foolscope.reports import Document
from foolscope.reports.parts.checks import check_document
from foolscope.verbs.result import Result
from foolscope.verbs.train import Training

__all__ = ["CheckResult", "check"]

_SANITY_SHARE = 0.25  # of the time; the rest is the range test's


@dataclass(frozen=True)
class CheckResult(Result):
    """What the checks of a recipe said.

    Args:
        recipe: what was checked.
        checks: of gradients, initial loss and fitting a few images.
        range_test: at which learning rates the loss falls.
        classes: how many the data set has.
    """

    recipe: Recipe
    checks: Sequence[Check]
    range_test: LearningRateRange
    classes: int

    @property
    def passed(self) -> bool:
        """Whether every check passed, and the recipe's own learning rate is stable."""
        return self.range_test.passed and all(check.passed for check in self.checks)

    @property
    def sentences(self) -> list[str]:
        """What was found, in words."""
        return [*(check.sentence for check in self.checks), self.range_test.sentence]

    @property
    def document(self) -> Document:
        """The report."""
        return check_document(self.checks, self.range_test, self.classes)


def check(
    subject: Recipe | Training | StoredTrial,
    *,
    rates: Sequence[float] = DEFAULT_RATES,
    steps: int = DEFAULT_STEPS,
    session: Session | None = None,
    observe: Observer = ignore_events,
) -> CheckResult:
    """Check a recipe before its numbers are believed, and find the learning rates that suit it.

    Args:
        subject: a recipe; or a training, whose gradients are then checked at its trained weights.
        rates: learning rates to try beside the recipe's own, at least two.
        steps: training steps at each of them.
        session: store, data and device; the defaults if not given.
        observe: called as the checks go on.

    Raises:
        RecipeError: the rates or the number of steps make no sense.
    """
    trial = subject.trial if isinstance(subject, Training) else subject
    recipe, model = (trial, None) if isinstance(trial, Recipe) else (trial.recipe, trial)
    session = watched(session or Session(), observe)
    session.identify(recipe)  # refuses data and initial weights that cannot be read
    name = recipe.model.name

    def tell(done: float, what: str) -> None:
        observe(StageEvent("checking", done, what))

    return CheckResult(
        recipe,
        check_records(
            name,
            recipe,
            session,
            lambda done, what: tell(_SANITY_SHARE * done, what),
            model=None if model is None or model.status == "diverged" else model.model(session.device),
        ),
        range_test_record(
            name,
            recipe,
            session,
            rates,
            steps,
            tell=lambda done, what: tell(_SANITY_SHARE + (1.0 - _SANITY_SHARE) * done, what),
        ),
        len(session.dataset(recipe.dataset).classes),
    )
