"""Runs a study: checks it, trains what is missing, runs its parts, tests the claims, and stores it all."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from foolscope.core.errors import RecipeError
from foolscope.experiments.claims.evidence import check_claims, check_measurable, claim_cells, judge_claims
from foolscope.experiments.parts.part import Context, Entry, Part, Trials
from foolscope.experiments.parts.sources import PartSources
from foolscope.experiments.parts.table import PARTS
from foolscope.experiments.recipe import with_values
from foolscope.experiments.running.provenance import dataset_facts, machine_facts
from foolscope.experiments.running.run import Observer, Session, StageEvent, ignore_events, run_trials
from foolscope.experiments.running.store import TRAINING_VERSION, StoredTrial
from foolscope.experiments.study import Study
from foolscope.experiments.study_file import as_toml
from foolscope.experiments.study_record import StudyRecord, write_study_record
from foolscope.learning.checkpoints import save_tensors

__all__ = ["check_study", "run_study"]


def run_study(
    study: Study, session: Session, *, text: str = "", command: str = "", observe: Observer = ignore_events
) -> StudyRecord:
    """Run a study, or what of it the store lacks, and store its record and pictures.

    The text of the study file, and the command that the person typed, are for the report's colophon.

    Returns:
        The record, also written to ``studies/<name>/study.json`` in the store, from which reports are made.

    Raises:
        FoolscopeError: data, store or study are not in order.
    """
    started = time.perf_counter()
    context = Context(study, session, observe=observe)
    sources = PartSources(context)
    check_study(context, sources)
    context.trials.update(_train(context, sources))
    for name, part in PARTS.items():
        entries = _entries_of(part, name, study)
        for place, entry in enumerate(entries):
            tell = context.teller(part.activity, place, len(entries))
            context.records.setdefault(name, []).extend(part.run(entry, context, Entry(place, tell)))
    every = _every_trial(context)
    record = StudyRecord(
        name=study.name,
        title=study.title,
        question=study.question,
        seeds=list(range(study.seeds)),
        practical_difference=study.practical_difference,
        classes=_classes(study, session),
        parts={name: records for name, records in context.records.items() if records},
        claims=judge_claims(study, sources),
        recipes={
            name: recipe.model_dump(mode="json", exclude_none=True) for name, recipe in study.recipes.items()
        },
        trial_count=len(every),
        provenance=_provenance(study, session, every),
        command=command,
        duration_seconds=time.perf_counter() - started,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        study_file=text or as_toml(study),
    )
    folder = session.store.study_folder(study.name)
    save_tensors(folder / "pictures.safetensors", context.arrays, {"study": study.name})
    write_study_record(record, session.store)
    observe(StageEvent("writing the record", 1.0))
    return record


def check_study(context: Context, sources: PartSources) -> None:
    """Refuse a study that could not run to its end, before anything is trained for it.

    Raises:
        RecipeError: what is wrong with which part or claim.
    """
    study = context.study
    for name, part in PARTS.items():
        for place, entry in enumerate(_entries_of(part, name, study)):
            try:
                part.check(entry, context)
            except RecipeError as error:
                where = name if part.is_single else f"{name}.{place}"
                raise RecipeError(f"{where}: {error}") from error
    if study.seeds < 2 and study.claims:
        raise RecipeError(f"a verdict needs at least 2 seeds; got {study.seeds}")
    check_claims(study, sources)
    check_measurable(study, sources)


def _entries_of(part: Part[Any, Any], name: str, study: Study) -> Sequence[Any]:
    """Return what a part runs on: the entries of its table, or what follows from the recipes."""
    return study.entries(name) if part.plans is None else part.plans(study)


def _train(context: Context, sources: PartSources) -> Trials:
    """Train every recipe, every cell of every design and every cell of every claim, with every seed."""
    study, designs = context.study, sources.designs()
    wanted = dict.fromkeys(
        [
            *study.recipes.values(),
            *(recipe for design in designs for recipe in design.cells.values()),
            *(cell.recipe for claim in study.claims for cell in claim_cells(claim, study, designs)),
        ]
    )
    seeded = [
        with_values(recipe, {"seed": recipe.seed + seed}) for recipe in wanted for seed in range(study.seeds)
    ]
    trained = run_trials(seeded, context.session, context.observe)
    return {
        recipe: trained[position * study.seeds : (position + 1) * study.seeds]
        for position, recipe in enumerate(wanted)
    }


def _every_trial(context: Context) -> list[StoredTrial]:
    """Return the trials of the study and those that parts trained by themselves, each once."""
    trials = {trial.identity: trial for own in context.trials.values() for trial in own}
    every = [trial for own in context.trials.values() for trial in own]
    own = {
        identity: None
        for name, records in context.records.items()
        for record in records
        for identity in PARTS[name].identities(record)
    }
    return every + [context.session.store.load(each) for each in own if each not in trials]


def _classes(study: Study, session: Session) -> list[str]:
    """Name the classes of the first recipe's data; a study that trains nothing has none."""
    return next((list(session.dataset(each.dataset).classes) for each in study.recipes.values()), [])


def _provenance(study: Study, session: Session, trials: Sequence[StoredTrial]) -> dict[str, Any]:
    datasets = {recipe.dataset for recipe in study.recipes.values()}
    return {
        **machine_facts(session.device),
        "training_version": TRAINING_VERSION,
        "precision": sorted({trial.provenance["precision"] for trial in trials}),
        "datasets": [dataset_facts(session.dataset(dataset)) for dataset in sorted(datasets, key=str)],
        "training_seconds": sum(trial.outcome["duration_seconds"] for trial in trials),
    }
