from __future__ import annotations

from pathlib import Path

import pytest

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
        ({"Exe.Time": ""}, "row 2: column 'Exe.Time' contains no time"),
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
