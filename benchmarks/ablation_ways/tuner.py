"""Way (d), Optuna over way (b): a study whose trials train one after another."""

import functools
from collections.abc import Iterator

from ablation_ways import tuned
from ablation_ways.tuned import Tuning
from ablation_ways.way import Training, Way
from ablation_ways.work import Work
from foolscope.experiments.recipe import with_values

__all__ = ["ROW", "search", "way_over"]

ROW = "(d) Optuna over (b)"


def way_over(work: Work, loop: Way, steps: int) -> Way:
    """Return a study whose trials each take a number of steps of a tuned loop."""
    assert isinstance(loop.detail, Tuning)
    start = functools.partial(_start, work, loop.detail, steps)
    return Way(ROW, loop.precision, loop.arrangement, start, loop.detail, trial_steps=steps, warm_up=0)


def _start(work: Work, tuning: Tuning, steps: int, process: int) -> list[Training]:
    return [search(work, tuning, steps, seed=process)]


def search(work: Work, tuning: Tuning, steps: int, seed: int) -> Iterator[float]:
    """Search at random; yield the last loss of every trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))

    def objective(trial: optuna.Trial) -> float:
        recipe = with_values(work.base, work.suggest(trial))
        training = tuned.train(work, recipe, tuning)
        for _ in range(steps):
            loss = next(training)
        return loss.item()

    while True:
        study.optimize(objective, n_trials=1, n_jobs=1)
        value = study.trials[-1].value
        assert value is not None
        yield value
