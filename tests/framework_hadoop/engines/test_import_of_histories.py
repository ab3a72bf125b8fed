"""`import FILE` of histories and event logs, into a store."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from framework.run.importing import import_files
from framework.store.database.reader import Store

FIXTURES = Path(__file__).parents[1] / "fixtures"


def runs(outputs: Path) -> list[tuple[object, ...]]:
    with closing(Store(outputs)) as store:
        statement = (
            "SELECT f.value, r.status, m.value FROM runs r "
            "JOIN facts f ON f.run_id = r.run_id AND f.name = 'origin_id' "
            "LEFT JOIN metrics m ON m.run_id = r.run_id AND m.name = 'exe_time_s' ORDER BY ALL"
        )
        return list(store.rows(statement)[1])


@pytest.mark.slow
def test_forms_of_one_history_are_one_run_in_any_order_and_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        str(FIXTURES / name)
        for name in ("node_lost.jhist", "node_lost_binary.jhist", "terasort_hadoop1.hist")
    ]
    for outputs, order in (("a", files), ("b", [*reversed(files), *files])):
        assert import_files(order, str(tmp_path / outputs)) == 0
    assert runs(tmp_path / "a") == runs(tmp_path / "b")
    assert sorted(str(row[2]) for row in runs(tmp_path / "a")) == ["100.0", "26.0"]
    assert "MapReduce job history" in capsys.readouterr().err


@pytest.mark.slow
def test_a_history_that_breaks_off_is_failed_until_the_whole_one_comes(tmp_path: Path) -> None:
    whole = FIXTURES / "node_lost.jhist"
    torn = tmp_path / "torn.jhist"
    torn.write_bytes(whole.read_bytes()[:-400])
    outputs = tmp_path / "o"
    for _ in range(2):
        import_files([str(torn)], str(outputs))
    assert [row[1] for row in runs(outputs)] == ["failed"]
    import_files([str(whole)], str(outputs))
    assert [row[1] for row in runs(outputs)] == ["done"]  # in the place of its beginning
    with closing(Store(outputs)) as store:
        assert [row[0] for row in store.rows("SELECT exe_time_s FROM executions")[1]] == [26.0]


def test_a_folder_is_a_rolled_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (FIXTURES / "pagerank.spark.jsonl").read_text().splitlines(keepends=True)
    folder = tmp_path / "eventlog_v2_local-1"
    folder.mkdir()
    (folder / "appstatus_local-1").touch()
    for number, part in enumerate((lines[:5], lines[5:]), 1):
        (folder / f"events_{number}_local-1").write_text("".join(part))
    assert import_files([str(folder)], str(tmp_path / "o")) == 0
    assert import_files(["spark", str(FIXTURES / "spark_codecs" / "log.lz4")], str(tmp_path / "o")) == 0
    assert len(runs(tmp_path / "o")) == 1
    assert "Spark event log" in capsys.readouterr().err
