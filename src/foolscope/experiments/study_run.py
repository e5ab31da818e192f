"""Runs a study: trains what is missing, checks, attacks, looks, tests the claims, and stores it all."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import tomli_w
from torch import Tensor

from foolscope.core.errors import RecipeError
from foolscope.experiments.claims.curves import CURVES, curve_of
from foolscope.experiments.claims.evidence import check_claims, claim_cells, judge_claims
from foolscope.experiments.parts.ablation import (
    AblationCell,
    ablation_cells,
    check_metric,
    mean_interval,
    summarize,
)
from foolscope.experiments.parts.attacks.aims import check_aims
from foolscope.experiments.parts.attacks.robustness import fooling_gallery, robustness_curve, worst_gallery
from foolscope.experiments.parts.check_metrics import check_errors
from foolscope.experiments.parts.checks import check_records, range_test_record
from foolscope.experiments.parts.demonstrations.demonstrating import demonstrate
from foolscope.experiments.parts.graphs import initial_graphs
from foolscope.experiments.parts.inspections.inspected_models import inspect_models
from foolscope.experiments.parts.inspections.metrics import check_layers
from foolscope.experiments.parts.search.plan import check_searches, run_searches, searched_trials
from foolscope.experiments.parts.traces import follow_attacks
from foolscope.experiments.recipe import Recipe, with_values
from foolscope.experiments.records import (
    AblationRecord,
    CheckRecord,
    CurveRecord,
    GalleryRecord,
    RangeTestRecord,
    StudyRecord,
    TrainingRecord,
)
from foolscope.experiments.running.run import (
    Observer,
    Session,
    Stage,
    dataset_facts,
    machine_facts,
    run_trials,
    silent,
)
from foolscope.experiments.running.store import TRAINING_VERSION, StoredTrial
from foolscope.experiments.study import Study
from foolscope.learning.checkpoints import save_tensors
from foolscope.statistics.blocks import BlockDesign

__all__ = ["run_study", "training_record"]

Trials = dict[Recipe, list[StoredTrial]]


def run_study(
    study: Study, session: Session, *, text: str = "", command: str = "", observe: Observer = silent
) -> StudyRecord:
    """Run a study, or what of it the store lacks, and store its record and pictures.

    Args:
        study: what to do.
        session: store, data and device.
        text: the study file, for the colophon.
        command: what the person typed, likewise.
        observe: called as the study goes on.

    Returns:
        The record, also written to ``studies/<name>/study.json`` in the store, from which reports are made.

    Raises:
        FoolscopeError: data, store or study are not in order.
    """
    started = time.perf_counter()
    if study.seeds < 2 and (study.ablations or study.claims):
        raise RecipeError(f"a verdict needs at least 2 seeds; got {study.seeds}")
    ablations = []
    for number, plan in enumerate(study.ablations):
        try:
            check_metric(plan.metric)
            ablations.append((plan, ablation_cells(study.recipes[plan.recipe], plan.vary)))
        except RecipeError as error:
            raise RecipeError(f"ablations.{number}: {error}") from error
    check_claims(study)
    check_searches(study.searches, study.recipes, session)
    check_aims(study, session)
    check_layers(study, session)
    gradient_errors = check_errors(study, session, observe)
    demonstrations = demonstrate(study.demonstrations, range(study.seeds), session.store, observe)
    named_ablations = [(plan.recipe, cells) for plan, cells in ablations]
    trials = _train(study, named_ablations, session, observe)
    searches = run_searches(
        study.searches,
        study.recipes,
        session,
        practical_difference=study.practical_difference,
        observe=observe,
    )
    checks, range_tests = _checks(study, session, observe)
    inspections, inspected = inspect_models(study, trials, session, observe)
    curves = _curves(study, trials, session, observe)
    traces = follow_attacks(study, trials, session, observe)
    observe(Stage("looking at the models", 0.0))
    galleries, arrays = _galleries(study, trials, session)
    ablation_records = [
        _ablation_record(study, position, cells, trials) for position, (_, cells) in enumerate(ablations)
    ]
    datasets = {recipe.dataset for recipe in study.recipes.values()}
    every = [trial for own in trials.values() for trial in own]
    every += searched_trials(searches, {trial.identity for trial in every}, session.store)
    record = StudyRecord(
        name=study.name,
        title=study.title,
        question=study.question,
        seeds=list(range(study.seeds)),
        practical_difference=study.practical_difference,
        classes=_classes(study, session),
        trainings=[training_record(name, trials[recipe]) for name, recipe in study.recipes.items()],
        ablations=ablation_records,
        checks=checks,
        curves=curves,
        galleries=galleries,
        claims=judge_claims(
            study, named_ablations, trials, curves, traces, demonstrations, gradient_errors, inspections
        ),
        recipes={
            name: recipe.model_dump(mode="json", exclude_none=True) for name, recipe in study.recipes.items()
        },
        trial_count=len(every),
        provenance={
            **machine_facts(session.device),
            "training_version": TRAINING_VERSION,
            "precision": sorted({trial.provenance["precision"] for trial in every}),
            "datasets": [dataset_facts(session.dataset(dataset)) for dataset in sorted(datasets, key=str)],
            "training_seconds": sum(trial.outcome["duration_seconds"] for trial in every),
        },
        command=command,
        duration_seconds=time.perf_counter() - started,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        study_file=text or _as_toml(study),
        confusion=list(study.inspection.confusion),
        searches=searches,
        range_tests=range_tests,
        traces=traces,
        demonstrations=demonstrations,
        graphs=initial_graphs(study.recipes, session),
        inspections=inspections,
    )
    folder = session.store.study_folder(study.name)
    save_tensors(folder / "pictures.safetensors", {**inspected, **arrays}, {"study": study.name})
    session.store.write_study(record)
    observe(Stage("looking at the models", 1.0))
    return record


def _classes(study: Study, session: Session) -> list[str]:
    """Name the classes of the first recipe's data; a study that only demonstrates has none."""
    return next((list(session.dataset(each.dataset).classes) for each in study.recipes.values()), [])


def _as_toml(study: Study) -> str:
    return tomli_w.dumps(study.model_dump(mode="json", by_alias=True, exclude_none=True))


def _train(
    study: Study,
    ablations: Sequence[tuple[str, Sequence[AblationCell]]],
    session: Session,
    observe: Observer,
) -> Trials:
    """Train every recipe, every cell of every ablation and every cell of every claim, with every seed."""
    wanted = dict.fromkeys(
        [
            *study.recipes.values(),
            *(cell.recipe for _, cells in ablations for cell in cells),
            *(recipe for claim in study.claims for _, recipe in claim_cells(claim, study)),
        ]
    )
    seeded = [
        with_values(recipe, {"seed": recipe.seed + seed}) for recipe in wanted for seed in range(study.seeds)
    ]
    finished = run_trials(seeded, session, observe)
    return {
        recipe: finished[position * study.seeds : (position + 1) * study.seeds]
        for position, recipe in enumerate(wanted)
    }


def training_record(name: str, trials: Sequence[StoredTrial]) -> TrainingRecord:
    """Sum up the trials of one recipe over its seeds."""
    finished = [trial for trial in trials if trial.status != "diverged"]
    names = sorted({metric for trial in finished for metric in trial.outcome["metrics"]})
    metrics = {metric: [trial.metric(metric) for trial in trials] for metric in names}
    seeds = tuple(trial.recipe.seed for trial in trials)
    designs = {
        metric: BlockDesign((metric,), seeds, np.array([values], dtype=float))
        for metric, values in metrics.items()
    }
    epochs = max(len(trial.outcome["history"]) for trial in trials)
    curves: dict[str, list[list[float | None]]] = {}
    for quantity in _drawn_curves(trials):
        own = [curve_of(trial.outcome["history"], quantity) for trial in trials]
        if any(value is not None for curve in own for value in curve):
            curves[quantity] = [[*curve, *[None] * (epochs - len(curve))] for curve in own]
    confusion = (
        np.sum([np.array(trial.outcome["confusion"]) for trial in finished], axis=0) if finished else []
    )
    return TrainingRecord(
        recipe=name,
        model=trials[0].recipe.model.name,
        identities=[trial.identity for trial in trials],
        seeds=list(seeds),
        parameter_count=trials[0].outcome["parameter_count"],
        metrics={
            metric: [value if np.isfinite(value) else None for value in values]
            for metric, values in metrics.items()
        },
        means={metric: mean_interval(design, metric) for metric, design in designs.items()},
        epochs=list(range(1, epochs + 1)),
        classes=list(trials[0].provenance["dataset"]["classes"]),
        curves=curves,
        confusion=np.asarray(confusion).astype(int).tolist(),
        diverged=len(trials) - len(finished),
        duration_seconds=sum(trial.outcome["duration_seconds"] for trial in trials),
        doubts=[
            f"seed {trial.recipe.seed}: {doubt}" if len(trials) > 1 else doubt
            for trial in trials
            for doubt in trial.outcome.get("doubts", ())
        ],
    )


def _drawn_curves(trials: Sequence[StoredTrial]) -> list[str]:
    """Name the curves worth keeping: costs where weights are penalized, the learning rate if it changes."""
    records = [record for trial in trials for record in trial.outcome["history"]]
    penalized = any(record["penalty"] for record in records)
    scheduled = trials[0].recipe.schedule.name != "constant"
    names = [name for name in CURVES if penalized or not name.endswith("_cost")]
    return [*names, *(["learning_rate"] if scheduled else [])]


def _checks(
    study: Study, session: Session, observe: Observer
) -> tuple[list[CheckRecord], list[RangeTestRecord]]:
    plan = study.inspection
    parts = len(plan.checks) + len(plan.learning_rates)
    checks: list[CheckRecord] = []
    range_tests: list[RangeTestRecord] = []

    def tell(fraction: float, detail: str) -> None:
        done = len({check.recipe for check in checks}) + len(range_tests)
        observe(Stage("checking", (done + fraction) / parts, f"{name}, {detail}"))

    for name in plan.checks:
        checks += check_records(name, study.recipes[name], session, tell)
    for name in plan.learning_rates:
        range_tests.append(range_test_record(name, study.recipes[name], session, tell=tell))
    return checks, range_tests


def _curves(study: Study, trials: Trials, session: Session, observe: Observer) -> list[CurveRecord]:
    records = []
    work = [
        (plan, name)
        for plan in study.attacks
        for name in plan.recipes
        if any(trial.status != "diverged" for trial in trials[study.recipes[name]])
    ]
    for position, (plan, name) in enumerate(work):

        def tell(fraction: float, detail: str, position: int = position, name: str = name) -> None:
            observe(Stage("attacking", (position + fraction) / len(work), f"{name}, {detail}"))

        curve = robustness_curve(plan, name, trials[study.recipes[name]], session, tell)
        settings = [attack.model_dump(mode="json", exclude_none=True) for attack in plan.attacks]
        records.append(curve.model_copy(update={"settings": settings}))
    return records


def _galleries(
    study: Study, trials: Trials, session: Session
) -> tuple[list[GalleryRecord], dict[str, Tensor]]:
    records: list[GalleryRecord] = []
    arrays: dict[str, Tensor] = {}

    def first(name: str) -> StoredTrial | None:
        return next((trial for trial in trials[study.recipes[name]] if trial.status != "diverged"), None)

    for position, plan in enumerate(study.galleries):
        trial = first(plan.recipe)
        if trial is not None:
            record, own = fooling_gallery(plan, trial, session, f"fooling-{position}")
            records.append(record)
            arrays |= own
    for position, name in enumerate(study.inspection.worst):
        trial = first(name)
        if trial is not None:
            record, own = worst_gallery(name, trial, session, f"worst-{position}")
            records.append(record)
            arrays |= own
    return records, arrays


def _ablation_record(
    study: Study, position: int, cells: Sequence[AblationCell], trials: Trials
) -> AblationRecord:
    plan = study.ablations[position]
    values = np.array([[trial.metric(plan.metric) for trial in trials[cell.recipe]] for cell in cells])
    design = BlockDesign(tuple(cell.label for cell in cells), tuple(range(study.seeds)), values)
    return summarize(
        plan.recipe,
        cells,
        design,
        plan.vary,
        metric=plan.metric,
        practical_difference=study.practical_difference,
        published=plan.published,
    )
