"""Train one model."""

from dataclasses import dataclass

from foolscope.core.errors import RecipeError
from foolscope.experiments.engines.records import ReferenceRun
from foolscope.experiments.parts.training import TrainingRecord, training_record
from foolscope.experiments.recipe import Recipe
from foolscope.experiments.running.run import Observer, ignore_events, run_trials
from foolscope.experiments.running.session import Session
from foolscope.experiments.running.store import StoredTrial
from foolscope.reports import Document
from foolscope.reports.engines import engines_document
from foolscope.reports.parts.training import training_document
from foolscope.verbs.result import Result

__all__ = ["Training", "train"]


@dataclass(frozen=True, eq=False)
class Training(Result):
    """A trained model with its history.

    Args:
        trial: as the store has it.
        record: its results, for reports.
        session: where it was trained.
        reference: the run in NumPy and its comparison with this one, if it was asked for.
    """

    trial: StoredTrial
    record: TrainingRecord
    session: Session
    reference: ReferenceRun | None = None

    @property
    def test_accuracy(self) -> float:
        """Accuracy of the kept checkpoint on the test images, in [0, 1]; NaN if the trial diverged."""
        return self.trial.metric("test_accuracy")

    @property
    def document(self) -> Document:
        """The report."""
        if self.reference is None:
            return training_document(self.record)
        return engines_document(self.reference.record)


def train(
    recipe: Recipe,
    *,
    engine: str = "torch",
    session: Session | None = None,
    observe: Observer = ignore_events,
) -> Training:
    """Train one model, or read it from the store.

    With the engine "reference" it is trained twice in the same data type, float64 unless the recipe asks for
    float32: in NumPy, with gradients derived by hand, and by torch. What is returned is torch's run; its
    ``reference`` holds the run in NumPy and how far the two are apart.

    Args:
        recipe: what to train.
        engine: "torch" or "reference".
        session: store, data, device and executor; the defaults if not given.
        observe: called after every epoch.

    Raises:
        RecipeError: there is no such engine, or the recipe asks for what has not been derived by hand.
    """
    session = session or Session()
    if engine == "reference":
        from foolscope.experiments.engines.comparison import reference_run  # with all layers in NumPy

        run = reference_run(recipe, session, observe)
        return Training(run.torch, run.record.in_torch, session, run)
    if engine != "torch":
        raise RecipeError(f"engine must be 'torch' or 'reference'; got {engine!r}")
    (trial,) = run_trials([recipe], session, observe)
    return Training(trial, training_record(recipe.model.name, [trial]), session)
