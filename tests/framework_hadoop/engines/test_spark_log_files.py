"""Event logs as Spark leaves them: compressed by its own libraries, rolled, broken off, with lost executors.

`spark_codecs/` was written by the classes of Spark 4.3's jars (lz4-java, snappy-java, compress-lzf, zstd-jni).
"""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path

import pytest

from framework.contracts import ImportedRun
from framework.errors import InputError
from framework_hadoop.engines.spark_events import read_application
from framework_hadoop.engines.spark_import import read_runs
from framework_hadoop.history_files.spark_settings import spark_backend, spark_cluster

FIXTURES = Path(__file__).parents[1] / "fixtures"
LOG = FIXTURES / "pagerank.spark.jsonl"
LOST = FIXTURES / "executor_lost.spark.jsonl"


def imported(path: Path) -> ImportedRun:
    (run,) = read_runs(path)
    return run


def values(run: ImportedRun) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in run.result.metrics}


def rolled(folder: Path, parts: int = 3, log: Path = LOG) -> Path:
    folder.mkdir()
    lines = log.read_text().splitlines(keepends=True)
    size = -(-len(lines) // parts)
    for number in range(parts):
        name = f"events_{number + 1}_local-1"
        (folder / name).write_text("".join(lines[number * size : (number + 1) * size]))
    (folder / "appstatus_local-1").touch()
    (folder / ".appstatus_local-1.crc").write_bytes(b"crc")
    return folder


@pytest.mark.parametrize("codec", ["lz4", "snappy", "lzf", "zstd"])
def test_a_log_in_each_of_sparks_codecs_is_the_same_log(codec: str) -> None:
    assert read_application(FIXTURES / "spark_codecs" / f"log.{codec}") == read_application(LOG)


def test_a_rolled_log_is_the_log_and_the_same_run(tmp_path: Path) -> None:
    folder = rolled(tmp_path / "eventlog_v2_local-1")
    assert read_application(folder) == read_application(LOG)
    assert imported(folder).content == imported(LOG).content


def test_more_than_nine_parts_are_read_by_number(tmp_path: Path) -> None:
    assert read_application(rolled(tmp_path / "e", parts=12)) == read_application(LOG)


def test_a_compacted_part_stands_for_those_before_it(tmp_path: Path) -> None:
    folder = rolled(tmp_path / "e")
    text = (folder / "events_1_local-1").read_text() + (folder / "events_2_local-1").read_text()
    (folder / "events_2_local-1.compact").write_text(text)
    assert read_application(folder) == read_application(LOG)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "events_2_local-1").unlink(), "part 2 of the event log is missing"),
        (lambda folder: (folder / "events_1_local-1").unlink(), "part 1 of the event log is missing"),
        (lambda folder: (folder / "events_1_local-2").touch(), "parts of 2 applications"),
        (lambda folder: [file.unlink() for file in folder.glob("events*")], "no part of a rolling"),
    ],
)
def test_a_folder_that_is_not_one_whole_log_is_refused(tmp_path: Path, change: object, message: str) -> None:
    folder = rolled(tmp_path / "e")
    change(folder)  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        imported(folder)


def test_a_later_part_alone_is_no_log_and_the_first_alone_is_not_complete(tmp_path: Path) -> None:
    folder = rolled(tmp_path / "e")
    assert not imported(folder / "events_1_local-1").complete
    with pytest.raises(InputError, match="import the folder"):
        imported(folder / "events_3_local-1")


def test_lost_executors_attempts_and_core_seconds_are_counted() -> None:
    run = imported(LOST)
    found = values(run)
    assert (found["tasks"], found["task_attempts"], run.result.facts["task_events"]) == (4, 8, 9)
    assert (found["failed_task_attempts"], found["killed_task_attempts"]) == (2, 2)
    assert (found["executors_added"], found["executors_removed"]) == (2, 1)
    end = read_application(LOST).ended_ms or 0
    assert found["core_seconds"] == pytest.approx(2 * (end - 1700000000000) / 1000 + 2 * 4.5)
    rows = run.result.tables["tasks"].select(["task_id", "attempt"]).to_pylist()
    assert len({tuple(row.values()) for row in rows}) == len(rows)
    assert run.result.facts["dynamic_allocation"] is True
    assert run.result.tables["executors"].to_pylist()[1]["reason"].startswith("Container killed")


def test_properties_are_parameters_and_attempts_of_an_application_are_runs_of_their_own(
    tmp_path: Path,
) -> None:
    run = imported(LOST)
    backend = run.config["backend"]
    assert backend["heap_mb"] == 4096
    assert backend["properties"]["spark.sql.shuffle.partitions"] == "200"
    second = tmp_path / "second"
    second.write_text(LOST.read_text().replace('"App Attempt ID": "1"', '"App Attempt ID": "2"'))
    assert (imported(second).origin_id, imported(second).content) != (run.origin_id, run.content)


def test_what_names_one_run_is_no_setting() -> None:
    backend = spark_backend(
        {
            "spark.master": "yarn",
            "spark.app.id": "application_1",
            "spark.driver.host": "h",
            "spark.driver.port": "1",
            "spark.executor.extraJavaOptions": "-XX:+IgnoreUnrecognizedVMOptions --add-opens=a/b=c -Xss4m",
            "spark.executor.memory": "2g",
            "spark.executor.cores": "4",
        }
    )
    assert backend == {
        "name": "spark",
        "master": "yarn",
        "heap_mb": 2048,
        "properties": {"spark.executor.cores": "4", "spark.executor.extraJavaOptions": "-Xss4m"},
    }
    assert spark_cluster({"spark.master": "spark://m1:7077"}, {}) == "m1"
    assert spark_cluster({"spark.master": "yarn"}, {"fs.defaultFS": "hdfs://nn:8020"}) == "nn"


def test_sql_queries_name_their_jobs(tmp_path: Path) -> None:
    start = {"Event": "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionStart", "executionId": 7}
    start |= {"description": "select count(*)", "time": 1795369473000}
    end = {"Event": "org.apache.spark.sql.execution.ui.SparkListenerSQLExecutionEnd", "executionId": 7}
    end |= {"time": 1795369474000}
    lines = []
    for line in LOG.read_text().splitlines():
        event = json.loads(line)
        if event["Event"] == "SparkListenerJobStart":
            event["Properties"] = {"spark.sql.execution.id": "7"}
            lines.append(json.dumps(start))
        if event["Event"] == "SparkListenerApplicationEnd":
            lines.append(json.dumps(end))
        lines.append(json.dumps(event))
    file = tmp_path / "log"
    file.write_text("\n".join(lines))
    tables = imported(file).result.tables
    (query,) = tables["sql_queries"].to_pylist()
    assert (query["description"], query["duration_s"]) == ("select count(*)", 1.0)
    assert tables["jobs"].column("step").to_pylist() == ["select count(*)"]


def test_two_logs_in_one_file_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "both"
    file.write_text(LOG.read_text() + LOG.read_text())
    with pytest.raises(InputError, match="two logs in one"):
        imported(file)


def mutations_end_well(file: Path, tmp_path: Path, count: int) -> None:
    draw = random.Random(file.name)
    data = file.read_bytes()
    target = tmp_path / "mutated"
    for _ in range(count):
        changed = bytearray(data)
        place = draw.randrange(len(data))
        way = draw.randrange(4)
        if way == 0:
            changed[place] = draw.randrange(256)
        elif way == 1:
            del changed[place : place + draw.randrange(1, 200)]
        elif way == 2:
            changed[place:place] = changed[place : place + draw.randrange(1, 200)]
        else:
            del changed[place:]
        target.write_bytes(changed)
        run = None
        with suppress(InputError):
            run = imported(target)
        assert run is None or run.complete or values(run)["core_seconds"] is None


FUZZED = (
    LOG,
    LOST,
    *(FIXTURES / "spark_codecs" / f"log.{codec}" for codec in ("lz4", "snappy", "lzf", "zstd")),
)


@pytest.mark.parametrize("file", FUZZED, ids=lambda file: file.name)
def test_a_damaged_log_ends_in_numbers_or_in_one_line(file: Path, tmp_path: Path) -> None:
    mutations_end_well(file, tmp_path, 25)


@pytest.mark.slow
@pytest.mark.parametrize("file", FUZZED, ids=lambda file: file.name)
def test_two_thousand_damaged_logs_end_in_numbers_or_in_one_line(file: Path, tmp_path: Path) -> None:
    mutations_end_well(file, tmp_path, 2000 if file == LOG else 400)
