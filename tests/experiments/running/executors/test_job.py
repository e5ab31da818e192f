import json

import torch

from foolscope.core.threads import thread_count
from foolscope.experiments.recipe import with_values
from foolscope.experiments.running import run as execution
from foolscope.experiments.running.executors.job import job_from, report_from, run_pack, train_job
from foolscope.experiments.running.run import plan_trials


def jobs_of(recipes, place):
    return [execution._job(pack, place) for pack in plan_trials(recipes, place)]


def test_a_job_survives_json(recipes, session):
    for job in jobs_of(recipes, session("in-process")):
        assert job_from(json.loads(json.dumps(job.as_document()))) == job


def test_reports_survive_json_and_training_takes_the_threads_that_pay(recipes, session):
    place, reports, threads = session("in-process"), [], []

    def report(epoch):
        reports.append(epoch)
        threads.append(torch.get_num_threads())

    short, long = jobs_of([with_values(recipes[0], {"epochs": 1, "batch_size": 16})], place) + jobs_of(
        [with_values(recipes[0], {"epochs": 1, "hidden": [20000], "batch_size": 100})], place
    )
    for job in (short, long):
        dataset = place.dataset(job.recipes[0].dataset)
        with thread_count(3):
            _, provenance = train_job(job, dataset, threads=2, checkpoint=None, report=report)
            assert torch.get_num_threads() == 3
        assert provenance["threads"] == threads[-1]
    assert threads == [1, 2]
    for epoch in reports:
        assert report_from(json.loads(json.dumps(vars(epoch)))) == epoch


def test_the_precision_is_the_plans_wherever_the_job_is_done(recipes, session):
    place = session("in-process")
    recipe = with_values(recipes[0], {"precision": "auto", "epochs": 1})
    (job,) = jobs_of([recipe], place)
    double = job_from({**job.as_document(), "precision": "float64"})
    dataset = place.dataset(recipe.dataset)
    ((outcome,), provenance) = train_job(
        double, dataset, threads=1, checkpoint=None, report=lambda epoch: None
    )
    ((named,), _) = train_job(
        jobs_of([with_values(recipe, {"precision": "float64"})], place)[0],
        dataset,
        threads=1,
        checkpoint=None,
        report=lambda epoch: None,
    )
    assert provenance["precision"] == "float64"
    assert outcome.metrics == named.metrics


def test_a_pack_that_a_lost_worker_had_finished_is_not_trained_again(recipes, session):
    place, reports = session("in-process"), []
    job = jobs_of(recipes, place)[0]
    dataset = place.dataset(job.recipes[0].dataset)
    run_pack(job, place.store, dataset, threads=1, report=reports.append)
    files = {path: path.stat().st_mtime_ns for path in place.store.root.rglob("*")}
    assert reports
    reports.clear()
    run_pack(job, place.store, dataset, threads=1, report=reports.append)
    assert reports == []
    assert {path: path.stat().st_mtime_ns for path in place.store.root.rglob("*")} == files
