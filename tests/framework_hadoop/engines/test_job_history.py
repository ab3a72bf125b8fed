"""Job history files; the fixtures were written by Hadoop 3.5's own `EventWriter` from made-up events."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.errors import InputError
from framework_hadoop.engines.job_history import read_history, read_runs

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_attempts_come_with_their_phases_their_hosts_and_how_they_ended() -> None:
    history = read_history(FIXTURES / "succeeded.jhist")
    assert [(task.kind, task.attempt, task.status, task.host) for task in history.attempts] == [
        ("map", 0, "failed", "node1"),
        ("map", 1, "succeeded", "node2"),
        ("map", 2, "killed", "node3"),
        ("reduce", 0, "succeeded", "node1"),
    ]
    assert history.attempts[0].error == "Error: java.io.IOException: disk full"
    reduce = history.attempts[3]
    submitted = history.submitted_ms
    assert [
        moment - submitted for moment in (reduce.shuffle_finished_ms or 0, reduce.function_started_ms or 0)
    ] == [
        5000,
        5200,
    ]


def test_an_imported_job_has_time_counters_and_tables() -> None:
    (run,) = read_runs(FIXTURES / "succeeded.jhist")
    values = {metric.name: metric.value for metric in run.result.metrics}
    assert run.origin_id == "job_1700000000000_0001"
    assert values["exe_time_s"] == 6.5
    assert values["spilled_records"] == 80
    assert (values["map_tasks"], values["reduce_tasks"], values["failed_task_attempts"]) == (1, 1, 1)
    assert run.result.tables["tasks"].num_rows == 4
    (job,) = run.result.tables["jobs"].to_pylist()
    assert (job["status"], job["duration_s"], job["failed_tasks"]) == ("succeeded", 6.5, 1)
    assert [check.verdict for check in run.result.checks] == ["pass"]


def test_a_failed_job_fails_its_sanity_with_its_diagnostics() -> None:
    (run,) = read_runs(FIXTURES / "failed.jhist")
    (check,) = run.result.checks
    assert check.verdict == "fail"
    assert "Task failed task_1700000000000_0002_m_000000" in check.detail


def test_a_history_that_breaks_off_has_no_duration_instead_of_zero(tmp_path: Path) -> None:
    lines = (FIXTURES / "succeeded.jhist").read_text().splitlines()
    events = [line for line in lines if line.strip()]
    torn = tmp_path / "torn.jhist"
    torn.write_text("\n".join(events[:-1]) + "\n" + events[-1][:40])
    (run,) = read_runs(torn)
    (time,) = [metric for metric in run.result.metrics if metric.name == "exe_time_s"]
    assert time.value is None
    assert time.reason
    assert run.result.tables["jobs"].column("duration_s").to_pylist() == [None]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: not a job history"),
        ("a,b\n1,2\n", "line 1: not a job history"),
        ("Avro-Json\n{}\nnonsense\n{}\n", "line 3: not a history event"),
        ('Avro-Json\n{}\n{"type":"JOB_SUBMITTED","event":{"x":{"jobid":"j"}}}\n', r"line 3: .*'submitTime'"),
        ("Avro-Json\n{}\n", "contains no JOB_SUBMITTED"),
    ],
)
def test_what_is_no_history_is_refused_with_file_and_line(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "x.jhist"
    file.write_text(content)
    with pytest.raises(InputError, match=message) as refused:
        list(read_runs(file))
    assert str(file) in str(refused.value)
