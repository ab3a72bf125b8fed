"""Spark event logs; the fixture is of a real PageRank run on Spark 4.3, cut to the events that are read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from framework.errors import InputError
from framework_hadoop.engines.spark_events import read_application
from framework_hadoop.engines.spark_import import read_runs

LOG = Path(__file__).parents[1] / "fixtures" / "pagerank.spark.jsonl"


def events() -> list[dict[str, object]]:
    return [json.loads(line) for line in LOG.read_text().splitlines()]


def test_every_task_belongs_to_the_job_that_ran_its_stage_first() -> None:
    application = read_application(LOG)
    assert [job.job_id for job in application.jobs] == ["job_0"]
    assert len(application.tasks) == sum(event["Event"] == "SparkListenerTaskEnd" for event in events())
    assert {task.job_id for task in application.tasks} == {"job_0"}


def test_task_metrics_add_up_to_the_jobs_counters() -> None:
    written = sum(
        event["Task Metrics"]["Shuffle Write Metrics"]["Shuffle Bytes Written"]  # type: ignore[index]
        for event in events()
        if event["Event"] == "SparkListenerTaskEnd"
    )
    (run,) = read_runs(LOG)
    values = {metric.name: metric.value for metric in run.result.metrics}
    assert values["shuffle_write_bytes"] == written > 0
    assert run.config["backend"]["master"] == "local[2]"


def test_a_compressed_log_reads_the_same(tmp_path: Path) -> None:
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(LOG.read_bytes()))
    assert read_application(packed) == read_application(LOG)


def test_a_failed_task_and_a_failed_job_say_why(tmp_path: Path) -> None:
    changed = []
    for event in events():
        if event["Event"] == "SparkListenerTaskEnd" and event["Stage ID"] == 0:
            event["Task End Reason"] = {
                "Reason": "ExceptionFailure",
                "Class Name": "java.io.IOException",
                "Description": "no space",
            }
        if event["Event"] == "SparkListenerJobEnd":
            event["Job Result"] = {"Result": "JobFailed", "Exception": {"Message": "stage 0 failed\nmore"}}
        changed.append(json.dumps(event))
    file = tmp_path / "log"
    file.write_text("\n".join(changed))
    (run,) = read_runs(file)
    assert (
        "ExceptionFailure java.io.IOException no space"
        in run.result.tables["tasks"].column("error").to_pylist()
    )
    assert [check.detail for check in run.result.checks] == ["1 of 1 jobs failed: stage 0 failed"]


def test_a_log_that_breaks_off_keeps_what_is_known(tmp_path: Path) -> None:
    lines = LOG.read_text().splitlines()
    cut = next(number for number, line in enumerate(lines) if "SparkListenerJobEnd" in line)
    file = tmp_path / "log.inprogress"
    file.write_text("\n".join(lines[:cut]) + "\n" + lines[cut][:30])
    (run,) = read_runs(file)
    (job,) = run.result.tables["jobs"].to_pylist()
    assert (job["status"], job["duration_s"]) == ("failed", None)
    assert run.result.tables["tasks"].num_rows == 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "contains no SparkListenerApplicationStart"),
        ("a,b\n1,2\n", "line 1: not JSON"),
        ('{"a": 1}\n', "line 1: not a Spark event"),
        ('{"Event":"SparkListenerApplicationStart","App Name":"x"}\n', "line 1: no field 'Timestamp'"),
    ],
)
def test_what_is_no_event_log_is_refused_with_file_and_line(
    tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "log"
    file.write_text(content)
    with pytest.raises(InputError, match=message):
        list(read_runs(file))
