"""The verbs as functions, for scripts and notebooks."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from foolscope.core.errors import RecipeError
from foolscope.experiments.engines.comparison import reference_run
from foolscope.experiments.parts import ablations
from foolscope.experiments.parts.attacks.plans import attack_from
from foolscope.experiments.parts.attacks.stored import attack_subject
from foolscope.experiments.parts.checks import check_records, range_test_record
from foolscope.experiments.parts.inspections.model import inspect_subject
from foolscope.experiments.parts.searches import Over, search_settings
from foolscope.experiments.parts.searches import search as run_search
from foolscope.experiments.parts.training import training_record
from foolscope.experiments.recipe import Recipe, recipe_from, with_values
from foolscope.experiments.reproduction import reproductions
from foolscope.experiments.running.run import Session, run_trials
from foolscope.experiments.running.store import Store
from foolscope.experiments.study_file import read_study
from foolscope.experiments.study_run import run_study
from foolscope.experiments.subjects.subject import Subject, dataset_settings, module_subject, run_subject
from foolscope.inspection.checks.learning_rate_range import DEFAULT_RATES, DEFAULT_STEPS
from foolscope.reports.pages import read_pictures, write_study_report
from foolscope.results import Ablation, CheckResult, Inspection, Robustness, Search, StudyResult, Training
from foolscope.threats import Threat

__all__ = ["ablate", "attack", "check", "inspect", "recipe", "reproduce", "search", "study", "train"]

_DEFAULT_STORE = Path("foolscope-runs")


def _session(
    store: str | Path,
    data_dir: str | Path | None,
    device: str,
    executor: str = "auto",
    workers: int | None = None,
) -> Session:
    data_folder = None if data_dir is None else Path(data_dir)
    return Session(Store(Path(store)), data_folder, device, executor, workers)


def recipe(values: Mapping[str, Any] | None = None) -> Recipe:
    """Validate a nested mapping into a recipe.

    Raises:
        RecipeError: an unknown field or a value out of range.

    Example:
        >>> recipe({"model": {"name": "mlp", "hidden": [50]}}).model.hidden
        (50,)
    """
    return recipe_from(values or {})


def train(
    recipe: Recipe,
    *,
    store: str | Path = _DEFAULT_STORE,
    data_dir: str | Path | None = None,
    device: str = "auto",
    executor: str = "auto",
    workers: int | None = None,
    engine: str = "torch",
) -> Training:
    """Train one model, or read it from the store.

    With the engine "reference" it is trained in NumPy, with gradients derived by hand, and by torch in the
    same data type, float64 unless the recipe asks for float32. What comes back is torch's run; its
    ``engines`` tell of the one in NumPy, and how far apart they are.

    Args:
        recipe: what to train.
        store: folder in which runs are kept.
        data_dir: where the data sets are.
        device: "auto", "cpu", "cuda" and so on.
        executor: who trains: "auto", "in-process", "processes" or "ray".
        workers: at most so many packs at a time; as many as there are cores if not given.
        engine: "torch" or "reference".

    Raises:
        RecipeError: there is no such engine, or the recipe asks for what has not been derived by hand.
    """
    session = _session(store, data_dir, device, executor, workers)
    if engine == "reference":
        run = reference_run(recipe, session)
        return Training(run.torch, run.record.in_torch, data_dir, run.record)
    if engine != "torch":
        raise RecipeError(f"engine must be 'torch' or 'reference'; got {engine!r}")
    (trial,) = run_trials([recipe], session)
    return Training(trial, training_record(recipe.model.name, [trial]), data_dir)


def ablate(
    recipe: Recipe,
    vary: Mapping[str, Sequence[Any]],
    *,
    seeds: int = 5,
    practical_difference: float = 0.005,
    metric: str = "test_accuracy",
    store: str | Path = _DEFAULT_STORE,
    data_dir: str | Path | None = None,
    device: str = "auto",
    executor: str = "auto",
    workers: int | None = None,
) -> Ablation:
    """Vary one field at a time around a recipe and judge every value against the baseline.

    Args:
        recipe: the baseline.
        vary: field to values.
        seeds: trials per cell, at least 2.
        practical_difference: the smallest difference that matters, in the metric's own unit.
        metric: which result decides.
        store: folder in which runs are kept.
        data_dir: where the data sets are.
        device: "auto", "cpu", "cuda" and so on.
        executor: who trains: "auto", "in-process", "processes" or "ray".
        workers: at most so many packs at a time; as many as there are cores if not given.

    Raises:
        RecipeError: fewer than 2 seeds, an unknown field, or a value out of range.
    """
    session = _session(store, data_dir, device, executor, workers)
    return Ablation(
        ablations.ablate(
            recipe,
            vary,
            seeds=seeds,
            session=session,
            metric=metric,
            practical_difference=practical_difference,
        )
    )


def search(
    recipe: Recipe,
    over: Mapping[str, Over],
    *,
    sampler: str = "coarse-to-fine",
    rounds: int = 2,
    trials: int = 16,
    seeds: int = 1,
    fresh_seeds: int = 5,
    practical_difference: float = 0.005,
    narrowing: float = 0.25,
    sampler_seed: int = 0,
    store: str | Path = _DEFAULT_STORE,
    data_dir: str | Path | None = None,
    device: str = "auto",
    executor: str = "auto",
    workers: int | None = None,
) -> Search:
    """Search for better settings of a recipe, and compare the winner with it on fresh seeds.

    Args:
        recipe: the baseline.
        over: field to range, as in ``"1e-4:1:log"`` or ``"0:0.9:linear"``, or to a list of values.
        sampler: "coarse-to-fine", "random" or "tpe" (Optuna's).
        rounds: how often to look at the results and propose again.
        trials: settings per round, trained side by side.
        seeds: on which every setting is tried.
        fresh_seeds: further ones, on which winner and baseline are compared; at least 2.
        practical_difference: the smallest difference of test accuracy that matters, as a fraction.
        narrowing: length of the next round's ranges as a fraction of this round's.
        sampler_seed: root of the draws.
        store: folder in which runs are kept.
        data_dir: where the data sets are.
        device: "auto", "cpu", "cuda" and so on.
        executor: who trains: "auto", "in-process", "processes" or "ray".
        workers: at most so many packs at a time; as many as there are cores if not given.

    Raises:
        RecipeError: an unknown field, a range that makes no sense, no validation set, or a missing package.
    """
    settings = search_settings(
        {
            "sampler": sampler,
            "rounds": rounds,
            "trials": trials,
            "seeds": seeds,
            "fresh_seeds": fresh_seeds,
            "narrowing": narrowing,
            "sampler_seed": sampler_seed,
        }
    )
    record = run_search(
        recipe,
        over,
        session=_session(store, data_dir, device, executor, workers),
        settings=settings,
        practical_difference=practical_difference,
    )
    return Search(record, with_values(recipe, record.winner.values if record.winner else {}))


def check(
    recipe: Recipe,
    *,
    rates: Sequence[float] = DEFAULT_RATES,
    steps: int = DEFAULT_STEPS,
    store: str | Path = _DEFAULT_STORE,
    data_dir: str | Path | None = None,
    device: str = "auto",
) -> CheckResult:
    """Check a recipe before its numbers are believed, and find the learning rates that suit it.

    Args:
        recipe: what to check.
        rates: learning rates to try beside the recipe's own, at least two.
        steps: training steps at each of them.
        store: folder in which results are kept.
        data_dir: where the data sets are.
        device: "auto", "cpu", "cuda" and so on.

    Raises:
        RecipeError: the rates or the number of steps make no sense.
    """
    session, name = _session(store, data_dir, device), recipe.model.name
    return CheckResult(
        check_records(name, recipe, session),
        range_test_record(name, recipe, session, rates, steps),
        len(session.dataset(recipe.dataset).classes),
    )


def attack(
    trained: Training | nn.Module,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    epsilons: Sequence[str | float],
    dataset: str | Path | None = None,
    split: str = "test",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    norm: str = "linf",
    attacks: Sequence[str | Mapping[str, Any]] | None = None,
    surrogate: Training | nn.Module | None = None,
    levels: int | None = None,
    time_budget_seconds: float | None = None,
    limit: int = 1000,
    seed: int | None = None,
    store: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
) -> Robustness:
    """Measure the robust accuracy of a trained model, or of any module, or read it from the store.

    Args:
        trained: from :func:`train`, attacked on its test images; or any module from images in [0, 1] to
            logits, attacked on ``images`` or on ``dataset``.
        images: shape (batch, channel, height, width), floats in [0, 1], on the module's device.
        labels: their classes.
        epsilons: budgets in pixel units, images in [0, 1], such as ``"8/255"``.
        dataset: where the images are from: the name of a data set, an ``.npz``, a folder of class folders.
        split: of the data set: "train", "validation" or "test".
        mean: per channel, in pixel units, if the module takes ``(images - mean) / std``.
        std: per channel, beside ``mean``.
        norm: "linf", "l2" or "l1".
        attacks: names, or tables such as ``{"name": "pgd", "steps": 20}``, in the order tried; by default
            the full evaluation (:func:`foolscope.attacks.evaluate_robustness`).
        surrogate: another model, whose fooling images the full evaluation tries as well.
        levels: number of gray levels above 0 to which the full evaluation rounds fooling images, such as 255.
        time_budget_seconds: when the full evaluation stops; the same call goes on where it stopped.
        limit: number of images, from the start of the split.
        seed: root of the attacks' randomness; by default the training's own, 0 for a module.
        store: folder in which results are kept; by default the training's.
        data_dir: where the data sets are; by default where training found them.
        device: "auto", "cpu", "cuda" and so on.

    Raises:
        ThreatError: a budget makes no sense, such as 8 instead of 8/255.
        RecipeError: it is not clear which images are meant, or the module does not fit them.

    Example:
        >>> from tempfile import mkdtemp
        >>> linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> budgets = {"epsilons": [0, "8/255"], "attacks": ["fgsm"]}
        >>> found = attack(linear, dataset="digits", limit=20, store=mkdtemp(), **budgets)
        >>> len(found.robust_accuracies)
        2
    """
    known, root = None, _DEFAULT_STORE
    if isinstance(trained, Training):
        known, root = trained.data_dir, trained.trial.folder.parents[1]
    session = _session(store or root, data_dir or known, device)
    settings = [attack_from({"name": each} if isinstance(each, str) else each) for each in attacks or ()]
    if attacks is not None and not settings:
        raise RecipeError("attacks is empty; name at least one, or leave it out for the full evaluation")
    subject = _subject(trained, (images, labels), dataset, split, limit, (mean, std), session)
    other = None
    if isinstance(surrogate, Training):
        other = run_subject(surrogate.trial, None, split, limit, session)
    elif surrogate is not None:
        pair = (subject.images, subject.labels)
        other = _subject(surrogate, pair, None, split, limit, (None, None), session)
    return Robustness(
        attack_subject(
            subject,
            norm,
            epsilons,
            settings,
            store=session.store,
            seed=seed,
            surrogate=other,
            levels=levels,
            time_budget_seconds=time_budget_seconds,
        )
    )


def inspect(
    trained: Training | nn.Module,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    parts: Sequence[str] | None = None,
    compress: Sequence[float] = (),
    dataset: str | Path | None = None,
    split: str = "test",
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    norm: str = "linf",
    epsilon: str | float = "2/255",
    limit: int = 1000,
    seed: int = 0,
    data_dir: str | Path | None = None,
    device: str = "auto",
) -> Inspection:
    """Inspect a trained model, or any module: its answers, its weights, its gradients.

    Args:
        trained: from :func:`train`; or any module from images in [0, 1] to logits.
        images: shape (batch, channel, height, width), floats in [0, 1], on the module's device.
        labels: their classes.
        parts: "confusion", "calibration", "input-gradients", "filters", "histograms", "gradient-flow",
            "spectrum"; all if it is None.
        compress: fractions of each layer's full rank to which the model is compressed.
        dataset: where the images are from: the name of a data set, an ``.npz``, a folder of class folders.
        split: of the data set: "train", "validation" or "test".
        mean: per channel, in pixel units, where the module wants ``(images - mean) / std``.
        std: likewise.
        norm: of the attack on compressed models.
        epsilon: its budget.
        limit: the first so many images.
        seed: root of all randomness.
        data_dir: where the data sets are; by default where training found them.
        device: "auto", "cpu", "cuda" and so on.

    Raises:
        RecipeError: a part is unknown, it is not clear which images are meant, or the module does not fit.

    Example:
        >>> linear = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> inspection = inspect(linear, dataset="digits", parts=["spectrum"], limit=20)
        >>> len(inspection.record.spectra[0].singular_values)
        10
    """
    known = trained.data_dir if isinstance(trained, Training) else None
    session = _session(_DEFAULT_STORE, data_dir or known, device)
    subject = _subject(trained, (images, labels), dataset, split, limit, (mean, std), session)
    found = inspect_subject(subject, parts, compress, Threat(norm, epsilon), seed=seed, tell=_tell_nobody)
    return Inspection(*found)


def _subject(
    trained: Training | nn.Module,
    given: tuple[Tensor | None, Tensor | None],
    dataset: str | Path | None,
    split: str,
    limit: int,
    scaling: tuple[Sequence[float] | None, Sequence[float] | None],
    session: Session,
) -> Subject:
    """Put a model and its images together, whichever way they are named."""
    chosen = None if dataset is None else dataset_settings(str(dataset))
    if not isinstance(trained, Training):
        return module_subject(trained, *given, chosen, split, limit, scaling, session)
    if any(each is not None for each in (*given, *scaling)):
        raise RecipeError("a training has its own normalization and data; name others with dataset")
    return run_subject(trained.trial, chosen, split, limit, session)


def _tell_nobody(done: float, detail: str) -> None:
    """Take no notice of progress."""


def study(
    name_or_path: str | Path = "first-study",
    *,
    store: str | Path = _DEFAULT_STORE,
    data_dir: str | Path | None = None,
    device: str = "auto",
    executor: str = "auto",
    workers: int | None = None,
) -> StudyResult:
    """Run a built-in study or a study file, or what of it the store lacks, and write its report.

    Args:
        name_or_path: a built-in name, or the path of a TOML file.
        store: folder in which runs are kept.
        data_dir: where the data sets are.
        device: "auto", "cpu", "cuda" and so on.
        executor: who trains: "auto", "in-process", "processes" or "ray".
        workers: at most so many packs at a time; as many as there are cores if not given.
    """
    plan, text = read_study(str(name_or_path))
    session = _session(store, data_dir, device, executor, workers)
    record = run_study(plan, session, text=text, command=f"foolscope study {name_or_path}")
    folder = session.store.study_folder(record.name)
    pictures = read_pictures(folder / "pictures.safetensors")
    files = write_study_report(record, pictures, folder)
    return StudyResult(record, pictures, files["html"])


def reproduce(
    name: str,
    *,
    store: str | Path = _DEFAULT_STORE,
    data_dir: str | Path | None = None,
    device: str = "auto",
    executor: str = "auto",
    workers: int | None = None,
) -> tuple[StudyResult, ...]:
    """Run a published experiment, or what of it the store lacks; the claims carry the published figures.

    Args:
        name: one experiment such as "A3", a letter for all that begin with it, or "all".
        store: folder in which runs are kept.
        data_dir: where the data sets are.
        device: "auto", "cpu", "cuda" and so on.
        executor: who trains: "auto", "in-process", "processes" or "ray".
        workers: at most so many packs at a time; as many as there are cores if not given.

    Returns:
        One result for each study that the experiment needs.

    Raises:
        RecipeError: there is no such experiment.
    """
    return tuple(
        study(each.study, store=store, data_dir=data_dir, device=device, executor=executor, workers=workers)
        for each in reproductions(name)
    )
