from __future__ import annotations

from pathlib import Path

import pytest

from framework.cli.verbs import run_verb
from framework.errors import InputError
from framework.run.importing import import_file
from framework.store.database.ingest import ingest
from framework.store.database.reader import Store
from framework_hadoop.executions.recorded import read_aloja
from tests.framework_hadoop.aloja_files import execution, executions, write


def test_executions_are_results_in_the_store_and_stay_so_when_it_is_rebuilt(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    rows = [*executions(30), execution(1_000, **{"Blk.size": "0"})]
    file = write(tmp_path / "runs.csv", rows)
    (tmp_path / "aloja_clusters.csv").write_text("cluster,cost_per_hour\nc-1,6.0\n")

    import_file("aloja", file, str(outputs))
    query = "SELECT count(*), count(cost_usd), max(exe_time_s) FROM results WHERE cluster = 'c-1'"
    _, before = Store(outputs).rows(query)
    ingest(outputs, rebuild=True)
    _, after = Store(outputs).rows(query)

    assert before == after
    assert before[0][0] == before[0][1] > 0
    _, missing = Store(outputs).rows("SELECT count(*) FROM results WHERE block_size_mb IS NULL")
    assert missing == [(1,)]
    _, unpriced = Store(outputs).rows(
        "SELECT count(*) FROM results WHERE cluster <> 'c-1' AND cost_usd IS NOT NULL"
    )
    assert unpriced == [(0,)]


def test_the_best_recorded_setting_is_pasted_as_properties_of_a_job_and_not_as_a_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = str(tmp_path / "outputs")
    import_file("aloja", write(tmp_path / "runs.csv", executions(20)), outputs)
    capsys.readouterr()

    assert run_verb(["advise", "--minimise", "exe_time_s", "--by", "cluster", "--outputs", outputs]) == 0

    said = capsys.readouterr().out
    assert "run it  not from here" in said
    assert "hadoop jar YOUR_JOB.jar -D" in said
    assert "python -m framework backend." not in said


def test_importing_twice_or_a_longer_file_adds_only_what_is_new(tmp_path: Path) -> None:
    outputs = str(tmp_path / "outputs")
    rows = executions(20)
    file = write(tmp_path / "runs.csv", rows[:15])

    import_file("aloja", file, outputs)
    import_file("aloja", file, outputs)
    import_file("aloja", write(file, rows), outputs)

    assert Store(outputs).rows("SELECT count(*), count(DISTINCT run_id) FROM runs")[1] == [(20, 20)]


def test_exact_duplicates_are_counted_with_the_run_they_repeat(tmp_path: Path) -> None:
    outputs = str(tmp_path / "outputs")
    rows = [execution(1), execution(2), execution(3, **{"Exe.Time": "601"})]

    import_file("aloja", write(tmp_path / "runs.csv", rows), outputs)

    _, copies = Store(outputs).rows("SELECT value FROM facts WHERE name = 'copies' ORDER BY value DESC")
    assert copies == [("2",), ("1",)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Exe.Time": "fast"}, "row 2: column 'Exe.Time' holds 'fast', not a positive number"),
        ({"Benchmark": ""}, "row 2: column 'Benchmark' holds '', not a name"),
        ({"ID": "1", "Maps": "4"}, "ID 1 is used for two different executions"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_imported(
    tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    file = write(tmp_path / "runs.csv", [execution(1), execution(2, **changes)])

    with pytest.raises(InputError, match=reason):
        import_file("aloja", file, str(tmp_path / "outputs"))

    assert not (tmp_path / "outputs").exists()


def test_a_file_without_the_column_of_times_is_named_and_so_is_a_row_of_another_length(
    tmp_path: Path,
) -> None:
    file = write(tmp_path / "runs.csv", executions(5))
    header, *rows = file.read_text().splitlines()

    (tmp_path / "timeless.csv").write_text("\n".join([header.replace("Exe.Time", "Time"), *rows]))
    with pytest.raises(InputError, match=r"timeless.csv: no column 'Exe.Time'"):
        list(read_aloja(tmp_path / "timeless.csv"))

    (tmp_path / "shifted.csv").write_text("\n".join([header, *rows[:2], f"{rows[2]},more", *rows[3:]]))
    with pytest.raises(InputError, match=r"shifted.csv: .*row 3 has 23 cells instead of 22"):
        list(read_aloja(tmp_path / "shifted.csv"))


def imported(file: Path, outputs: Path) -> list[tuple[object, ...]]:
    import_file(None, file, str(outputs))
    return stored(outputs)


def stored(outputs: Path) -> list[tuple[object, ...]]:
    statement = (
        "SELECT f.value, p.value, m.value FROM runs r JOIN facts f ON f.run_id = r.run_id AND f.name = 'origin_id' "
        "JOIN params p ON p.run_id = r.run_id AND p.name = 'workload.benchmark' "
        "LEFT JOIN metrics m ON m.run_id = r.run_id AND m.name = 'exe_time_s' ORDER BY ALL"
    )
    return list(Store(outputs).rows(statement)[1])


A = "ID,Benchmark,Exe.Time,Maps,Cluster,End.time\n101,kmeans,2800,8,Azure L,20140725063440\n102,sort,90,8,Azure L,2\n"
B = "ID,Benchmark,Exe.Time,Maps,Cluster,End.time\n101,terasort,430,10,al-14,20150105171811\n103,sort,610,10,al-14,3\n"


@pytest.mark.slow
def test_one_id_of_two_files_is_two_executions_and_the_order_of_imports_does_not_matter(
    tmp_path: Path,
) -> None:
    for name, text in (("A.csv", A), ("B.csv", B)):
        (tmp_path / name).write_text(text)
    import_file("aloja", tmp_path / "A.csv", str(tmp_path / "o"))
    found = imported(tmp_path / "B.csv", tmp_path / "o")
    import_file("aloja", tmp_path / "B.csv", str(tmp_path / "p"))
    assert found == imported(tmp_path / "A.csv", tmp_path / "p")
    assert ("101", "terasort", 430.0) in found
    assert len(found) == 4


def test_an_execution_without_a_time_is_kept_without_one(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("ID,Benchmark,Exe.Time,Cl.Name,Datanodes\n1,terasort,120.5,c1,3\n2,terasort,,c1,3\n")
    assert imported(file, tmp_path / "o") == [("1", "terasort", 120.5), ("2", "terasort", None)]
    assert Store(tmp_path / "o").rows("SELECT count(*) FROM executions")[1] == [(1,)]


def test_sizes_versions_and_columns_of_the_users_own_make_other_configurations(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text(
        "ID,Benchmark,Exe.Time,Cl.Name,Datasize,Hadoop.Version,Executor.Memory.GB\n"
        "1,terasort,100,c1,1000000000,V1,4\n2,terasort,1000,c1,10000000000,V1,4\n"
        "3,terasort,100,c1,1000000000,V2,4\n4,terasort,100,c1,1000000000,V1,8\n5,terasort,100,c1,1000000000,V1,4\n"
    )
    assert len(imported(file, tmp_path / "o")) == 4  # the fifth is the first
    _, times = Store(tmp_path / "o").rows("SELECT time_s, repeats FROM configuration_times ORDER BY 1")
    assert times == [(100.0, 1), (100.0, 1), (100.0, 1), (1000.0, 1)]
    _, settings = Store(tmp_path / "o").rows(
        "SELECT DISTINCT name FROM params WHERE name IN ('workload.data_size_bytes', 'backend.hadoop_version', "
        "'backend.executor_memory_gb') ORDER BY 1"
    )
    assert [row[0] for row in settings] == [
        "backend.executor_memory_gb",
        "backend.hadoop_version",
        "workload.data_size_bytes",
    ]


REPORT = """Type Date Time Input_data_size Duration(s) Throughput(bytes/s) Throughput/node
HadoopWordcount 2023-05-01 10:11:12 35706                33.204               1075                 358
ScalaSparkWordcount 2023-05-01 10:15:12 35706            23.204               1538                 512
HadoopTerasort  2023-05-01 10:21:12 3200000000           133.2                24024024             8008008
"""


def test_a_report_of_hibench_is_imported_with_engine_size_and_nodes(tmp_path: Path) -> None:
    file = tmp_path / "any.name"
    file.write_text(REPORT)
    found = imported(file, tmp_path / "o")
    assert sorted((row[1], row[2]) for row in found) == [
        ("terasort", 133.2),
        ("wordcount", 23.204),
        ("wordcount", 33.204),
    ]
    _, nodes = Store(tmp_path / "o").rows("SELECT DISTINCT value FROM params WHERE name = 'cluster.nodes'")
    assert nodes == [("3",)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("33.204", "66.204"), r"line 2: Throughput\(bytes/s\): 1075 is not size / duration"),
        (("10:11:12 35706", "10:11:12"), "line 2: 6 words instead of 7"),
        (("133.2  ", "133,2  "), r"line 4: Duration\(s\): '133,2' is not a number"),
        (("Type ", "Kind "), "line 1: not the head of a HiBench report"),
        (("8008008\n", ""), "line 4: 6 words instead of 7"),
    ],
)
def test_a_damaged_report_of_hibench_is_refused_with_its_line(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    file = tmp_path / "hibench.report"
    file.write_text(REPORT.replace(*change))
    with pytest.raises(InputError, match=message):
        import_file("hibench", file, str(tmp_path / "o"))
