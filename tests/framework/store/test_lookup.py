from __future__ import annotations

import pytest

from framework.store.bundles.heartbeat import Heartbeat
from framework.store.database.ingest import ingest
from framework.store.lookup import (
    done_job_keys,
    done_run,
    failed_job_keys,
    finished_runs,
    known_runs,
    new_failures,
)

KEYS = ["job-run-1", "job-run-2", "job-run-3", "unknown"]


@pytest.mark.slow
@pytest.mark.parametrize("ingested", [(), ("run-1",), ("run-1", "run-2", "run-3")])
def test_finished_jobs_are_found_before_during_and_after_ingest(outputs, add_run, ingested):
    for run_id in ("run-1", "run-2", "run-3"):
        add_run(run_id, status="failed" if run_id == "run-3" else "done")
        if run_id in ingested:
            ingest(outputs)
    assert done_job_keys(outputs, KEYS) == {"job-run-1": "run-1", "job-run-2": "run-2"}
    assert failed_job_keys(outputs, KEYS) == {"job-run-3": "run-3"}
    assert done_job_keys(outputs, ["job-run-2"]) == {"job-run-2": "run-2"}
    assert done_run(outputs, "key-run-1") == "run-1"
    assert done_run(outputs, "key-run-3") is None


def test_a_job_that_failed_and_then_was_done_is_done(outputs, add_run):
    add_run("first", job_key="job", status="failed")
    add_run("second", job_key="job", started_at="2026-01-02T00:00:00+00:00")
    assert done_job_keys(outputs, ["job"]) == {"job": "second"}
    assert failed_job_keys(outputs, ["job"]) == {}


@pytest.mark.slow
@pytest.mark.parametrize("ingested", [(), ("old",), ("old", "new")])
def test_a_new_failure_is_told_by_its_id_whatever_the_clock_says(outputs, add_run, ingested):
    add_run("old", job_key="job", status="failed", started_at="2026-01-02T00:00:00+00:00")
    if "old" in ingested:
        ingest(outputs)
    before = known_runs(outputs)
    assert new_failures(outputs, ["job"], before) == {}
    add_run("new", job_key="job", status="failed", started_at="1971-01-01T00:00:00+00:00")
    if "new" in ingested:
        ingest(outputs)
    assert new_failures(outputs, ["job", "other"], before)["job"][0] == "new"


def test_the_newest_of_several_done_runs_answers_for_the_job(outputs, add_run):
    add_run("b-old", job_key="job", run_key="key", started_at="2026-01-01T00:00:00+00:00")
    ingest(outputs)
    add_run("a-new", job_key="job", run_key="key", started_at="2026-01-02T00:00:00+00:00")
    assert done_job_keys(outputs, ["job"]) == {"job": "a-new"}
    assert done_run(outputs, "key") == "a-new"


def test_a_torn_bundle_does_not_count_as_done(outputs, add_run):
    path = add_run("run-1")
    (path / "run.json").write_bytes((path / "run.json").read_bytes()[:-20])
    assert done_job_keys(outputs, KEYS) == {}


def test_a_stale_job_counts_as_failed_and_a_running_one_does_not(outputs, add_run, record):
    add_run("run-1", job_key="job", status="failed")
    with Heartbeat(outputs, record("run-2", job_key="job")):
        assert failed_job_keys(outputs, ["job"]) == {}
    assert failed_job_keys(outputs, ["job"]) == {"job": "run-1"}
    with Heartbeat(outputs, record("run-3", job_key="other")):
        pass
    assert failed_job_keys(outputs, ["other"]) == {"other": "run-3"}


def test_an_outputs_folder_that_does_not_exist_has_nothing_done(outputs):
    assert done_job_keys(outputs, KEYS) == {}
    assert failed_job_keys(outputs, KEYS) == {}
    assert list(finished_runs(outputs)) == []
