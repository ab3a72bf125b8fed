"""Every form a job's history comes in. The Avro files were written by Hadoop 3.5's own `EventWriter`; made up."""

from __future__ import annotations

import gzip
import random
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from framework.contracts import ImportedRun
from framework.errors import InputError
from framework_hadoop.engines.job_history import read_runs, with_history
from framework_hadoop.engines.run_report import JobReport, RunReport
from framework_hadoop.history_files.job_configuration import backend_settings, cluster_name, read_properties
from tests.support.damaged_files import damaged

FIXTURES = Path(__file__).parents[1] / "fixtures"
FORMS = ("node_lost.jhist", "node_lost_binary.jhist", "terasort_hadoop1.hist", "printed_history.json")


def imported(file: Path) -> ImportedRun:
    (run,) = read_runs(file)
    return run


def values(run: ImportedRun) -> Mapping[str, float | None]:
    return {metric.name: metric.value for metric in run.result.metrics}


@pytest.mark.parametrize("name", ["node_lost.jhist", "node_lost_binary.jhist"])
def test_tasks_attempts_and_events_are_three_counts(name: str) -> None:
    run = imported(FIXTURES / name)
    found = values(run)
    assert (found["map_tasks"], found["reduce_tasks"], found["task_attempts"]) == (2, 1, 4)
    assert (found["killed_task_attempts"], found["failed_task_attempts"]) == (1, 0)
    assert run.result.facts["history_events"] == 12
    (job,) = run.result.tables["jobs"].to_pylist()
    assert (job["maps"], job["reduces"]) == (2, 1)
    attempts = run.result.tables["tasks"].select(["task_id", "attempt"]).to_pylist()
    assert len({tuple(row.values()) for row in attempts}) == len(attempts) == 4
    assert found["exe_time_s"] == 26.0


def test_binary_json_and_compressed_histories_are_the_same_run(tmp_path: Path) -> None:
    packed = tmp_path / "any.name"
    packed.write_bytes(gzip.compress((FIXTURES / "node_lost.jhist").read_bytes()))
    runs = [
        imported(FIXTURES / "node_lost.jhist"),
        imported(FIXTURES / "node_lost_binary.jhist"),
        imported(packed),
    ]
    assert len({(run.origin_id, run.content) for run in runs}) == 1


def test_a_hadoop_1_history_has_its_attempts_phases_and_counters() -> None:
    run = imported(FIXTURES / "terasort_hadoop1.hist")
    found = values(run)
    assert (found["exe_time_s"], found["spilled_records"], found["map_input_records"]) == (100.0, 300, 100)
    assert (found["map_tasks"], found["task_attempts"], found["failed_task_attempts"]) == (2, 4, 1)
    rows = run.result.tables["tasks"].to_pylist()
    assert rows[0]["error"].startswith('java.io.IOException: disk = "full"')
    assert rows[1]["host"] == "node2"
    assert rows[3]["merge_finished_s"] == pytest.approx(29.877)
    assert run.config["workload"] == {"name": "TeraSort", "benchmark": "terasort"}
    assert [check.verdict for check in run.result.checks] == ["pass"]


def test_a_printed_history_says_which_attempt_succeeded() -> None:
    run = imported(FIXTURES / "printed_history.json")
    found = values(run)
    assert (found["map_tasks"], found["task_attempts"], found["killed_task_attempts"]) == (2, 4, 1)
    assert (found["exe_time_s"], found["spilled_records"]) == (26.0, 300)


CONF = """<?xml version="1.0"?><configuration>
<property><name>mapreduce.task.io.sort.mb</name><value>200</value><source>job.xml</source></property>
<property><name>mapreduce.map.output.compress</name><value>true</value><source>mapred-site.xml</source></property>
<property><name>mapreduce.map.output.compress.codec</name>
 <value>org.apache.hadoop.io.compress.SnappyCodec</value><source>mapred-site.xml</source></property>
<property><name>mapreduce.job.reduces</name><value>4</value><source>programatically</source></property>
<property><name>mapreduce.map.java.opts</name><value>-Xmx1g -XX:+UseG1GC</value><source>job.xml</source></property>
<property><name>mapreduce.reduce.merge.inmem.threshold</name><value>500</value><source>mapred-site.xml</source></property>
<property><name>mapreduce.job.counters.max</name><value>120</value><source>mapred-default.xml</source></property>
<property><name>mapreduce.job.user.name</name><value>alice</value><source>job.xml</source></property>
<property><name>fs.defaultFS</name><value>hdfs://nn1.example:8020</value><source>core-site.xml</source></property>
</configuration>"""


def test_the_configuration_beside_a_history_gives_knobs_properties_and_cluster(tmp_path: Path) -> None:
    (tmp_path / "h.jhist").write_bytes((FIXTURES / "node_lost_binary.jhist").read_bytes())
    (tmp_path / "job_1700000000000_0007_conf.xml").write_text(CONF)
    run = imported(tmp_path / "h.jhist")
    backend = run.config["backend"]
    assert {
        "io_sort_mb": 200,
        "codec": "snappy",
        "reduces": 4,
        "heap_mb": 1024,
        "gc": "g1",
    }.items() <= backend.items()
    assert backend["properties"] == {"mapreduce.reduce.merge.inmem.threshold": "500"}
    assert run.config["cluster"] == {"cluster": "nn1.example"}
    (tmp_path / "job_1700000000000_0007_conf.xml").write_text(CONF.replace(">200<", ">300<"))
    assert imported(tmp_path / "h.jhist").content != run.content


def test_the_names_of_hadoop_1_are_the_same_knobs(tmp_path: Path) -> None:
    file = tmp_path / "job_1_0001_conf.xml"
    file.write_text(
        "<configuration><property><name>io.sort.mb</name><value>100</value></property>"
        "<property><name>fs.default.name</name><value>hdfs://m:9000</value></property></configuration>"
    )
    properties = read_properties(file)
    assert backend_settings(properties) == {"io_sort_mb": 100}
    assert cluster_name(properties) == "m"


@pytest.mark.parametrize("name", ["node_lost.jhist", "node_lost_binary.jhist", "terasort_hadoop1.hist"])
def test_a_history_that_breaks_off_is_not_complete(name: str, tmp_path: Path) -> None:
    data = (FIXTURES / name).read_bytes()
    file = tmp_path / "torn"
    file.write_bytes(data[: len(data) - 300])
    run = imported(file)
    assert not run.complete
    assert values(run)["exe_time_s"] is None
    assert run.content != imported(FIXTURES / name).content


def test_an_unreadable_history_costs_a_finished_run_only_its_tasks(tmp_path: Path) -> None:
    job = JobReport("job_1_0001", "x", "run", 0, 1000, True, None, None, {})
    (tmp_path / "job_1_0001-x.jhist").write_bytes(b"\x80\x81 no history")
    report = RunReport([job])
    (trouble,) = with_history(report, tmp_path)
    assert (trouble.verdict, report.tasks) == ("warn", [])
    assert "tasks are unknown" in trouble.detail


def test_two_histories_in_one_file_are_refused(tmp_path: Path) -> None:
    text = (FIXTURES / "node_lost.jhist").read_text()
    file = tmp_path / "both"
    file.write_text(text + "\n".join(text.splitlines()[2:]))
    with pytest.raises(InputError, match="two histories in one file"):
        imported(file)


def test_a_job_whose_tasks_are_not_those_that_its_end_tells_is_flagged(tmp_path: Path) -> None:
    lines = (FIXTURES / "node_lost.jhist").read_text().splitlines()
    file = tmp_path / "h"
    file.write_text("\n".join(line for line in lines if "m_000001" not in line))
    checks = {check.name: check.verdict for check in imported(file).result.checks}
    assert checks["tasks_agree"] == "warn"


def mutations_end_well(name: str, tmp_path: Path, count: int) -> None:
    draw = random.Random(name)
    data = (FIXTURES / name).read_bytes()
    file = tmp_path / "mutated"
    for _ in range(count):
        changed = damaged(data, draw, 200)
        file.write_bytes(changed)
        run = None
        with suppress(InputError):
            run = imported(file)
        assert run is None or run.complete or values(run)["exe_time_s"] is None


@pytest.mark.parametrize("name", FORMS)
def test_a_damaged_history_ends_in_numbers_or_in_one_line(name: str, tmp_path: Path) -> None:
    mutations_end_well(name, tmp_path, 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_two_thousand_damaged_histories_end_in_numbers_or_in_one_line(name: str, tmp_path: Path) -> None:
    mutations_end_well(name, tmp_path, 2000)
