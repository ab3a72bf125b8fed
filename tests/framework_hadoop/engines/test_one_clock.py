"""All tables of a run that an engine logged count from one zero: each moment plus that zero is a time of the log."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from framework.contracts import ImportedRun
from framework_hadoop.engines.job_history import read_runs as read_history
from framework_hadoop.engines.spark_import import read_runs as read_spark
from tests.support.table_times import stated_times

FIXTURES = Path(__file__).parents[1] / "fixtures"
Reader = Callable[[Path], Iterator[ImportedRun]]


def _with_query(log: str) -> str:
    """Return a log of Spark in which a query begins 1 ms after the application, long before the first job."""
    first, *others = log.splitlines(keepends=True)
    lines = [first]
    for line in others:
        lines.append(line)
        event = json.loads(line)
        if event["Event"] == "SparkListenerApplicationStart":
            kind = "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart"
            query = {"Event": kind, "executionId": 1, "description": "", "time": event["Timestamp"] + 1}
            lines.append(json.dumps(query) + "\n")
    return "".join(lines)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("pagerank.spark.jsonl", read_spark),
        ("executor_lost.spark.jsonl", read_spark),
        ("succeeded.jhist", read_history),
        ("node_lost.jhist", read_history),
        ("failed.jhist", read_history),
        ("terasort_hadoop1.hist", read_history),
        ("printed_history.json", read_history),
    ],
)
def test_every_moment_of_every_table_is_a_time_of_the_log(name: str, read: Reader, tmp_path: Path) -> None:
    text = (FIXTURES / name).read_text()
    file = tmp_path / name
    file.write_text(_with_query(text) if read is read_spark else text)
    (run,) = read(file)
    in_log = {int(number) for number in re.findall(r"(?<!\d)\d{13}(?!\d)", file.read_text())}
    moments = {
        round(1000 * value)
        for table, (columns, _) in stated_times().items()
        if table in run.result.tables
        for column in columns
        for value in run.result.tables[table][column].to_pylist()
        if value is not None
    }
    assert len(moments) >= 2
    zeros = [zero for zero in in_log if {zero + moment for moment in moments} <= in_log]
    submitted = run.result.tables["jobs"]["submitted_s"].to_pylist()
    assert zeros != []
    assert min(submitted) == 0.0
