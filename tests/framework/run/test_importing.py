from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from framework.contracts import ImportedRun, Metric, Result
from framework.errors import ConfigError, InputError
from framework.run.importing import import_file, import_files, keep_runs
from framework.store.database.reader import Store


@pytest.fixture
def recorded(toy: Path, tmp_path: Path) -> Path:
    file = tmp_path / "recorded.txt"
    file.write_text("1.5\n2.5\n")
    return file


def _speeds(outputs: Path) -> list[tuple[str, str, float]]:
    found = Store(str(outputs)).query(
        "SELECT experiment, backend, value FROM runs JOIN metrics USING (run_id) ORDER BY value"
    )
    return [tuple(row.values()) for row in found.to_pylist()]


def test_recorded_runs_become_runs_like_any_other(recorded: Path, tmp_path: Path) -> None:
    assert import_file("toy", recorded, str(tmp_path / "outputs")) == 0
    assert _speeds(tmp_path / "outputs") == [("import:toy", "recorded", 1.5), ("import:toy", "recorded", 2.5)]


def test_a_table_of_recorded_runs_is_imported_at_once_and_once(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert import_file("toy-table", recorded, str(tmp_path / "outputs")) == 0
    found = [("import:toy-table", "recorded", 1.5), ("import:toy-table", "recorded", 2.5)]
    assert _speeds(tmp_path / "outputs") == found
    assert "read at once" in "".join(capsys.readouterr())


def test_importing_a_file_twice_adds_nothing(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import_file("toy", recorded, str(tmp_path / "outputs"))
    recorded.write_text("1.5\n2.5\n3.5\n")
    capsys.readouterr()
    import_file("toy", recorded, str(tmp_path / "outputs"))
    assert "1 runs imported" in capsys.readouterr().err.replace("\n", " ")
    assert len(_speeds(tmp_path / "outputs")) == 3


def test_a_bad_row_is_named_and_nothing_of_its_file_is_imported(recorded: Path, tmp_path: Path) -> None:
    recorded.write_text("1.5\nfast\n")
    with pytest.raises(InputError, match=r"recorded\.txt', row 1: 'fast' is not a number"):
        import_file("toy", recorded, str(tmp_path / "outputs"))
    assert not (tmp_path / "outputs" / "runs").exists()


def test_a_file_that_is_not_there_is_named(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"file '.*absent\.txt' does not exist"):
        import_file("toy", tmp_path / "absent.txt", str(tmp_path / "outputs"))


def test_a_misspelt_kind_gets_a_hint(recorded: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown kind 'toys' \(did you mean 'toy'\?\)"):
        import_file("toys", recorded, str(tmp_path / "outputs"))


def run_rows(outputs: Path, columns: str) -> list[tuple[object, ...]]:
    found = Store(str(outputs)).query(f"SELECT {columns} FROM runs ORDER BY run_id")
    return [tuple(row.values()) for row in found.to_pylist()]


def test_a_run_without_a_check_is_unchecked_not_passed(recorded: Path, tmp_path: Path) -> None:
    for kind in ("toy", "toy-table"):
        import_file(kind, recorded, str(tmp_path / "outputs"))
    assert {sanity for (sanity,) in run_rows(tmp_path / "outputs", "sanity")} == {None}


def test_the_kind_of_a_file_is_found_out_from_its_content(recorded: Path, tmp_path: Path) -> None:
    marked = tmp_path / "anything.bin"
    marked.write_text("toy\n1.5\n2.5\n")
    assert import_files([str(marked)], str(tmp_path / "outputs")) == 0
    assert _speeds(tmp_path / "outputs") == [("import:toy", "recorded", 1.5), ("import:toy", "recorded", 2.5)]
    with pytest.raises(InputError, match=r"recorded\.txt: is text .*no known format"):
        import_files([str(recorded)], str(tmp_path / "outputs"))


def test_settings_that_a_file_does_not_say_are_those_of_its_runs(recorded: Path, tmp_path: Path) -> None:
    words = ["toy", str(recorded), "gpu=h100-80gb", "backend.places=4"]
    assert import_files(words, str(tmp_path / "outputs")) == 0
    found = Store(str(tmp_path / "outputs")).query(
        "SELECT DISTINCT name, value FROM params WHERE name != 'backend.speed'"
    )
    assert {(row["name"], row["value"]) for row in found.to_pylist()} == {
        ("gpu.name", "H100-80GB"),
        ("backend.places", "4"),
    }


def test_of_several_files_the_good_ones_are_imported_and_the_others_told(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("fast\n")
    assert import_files(["toy", str(bad), str(recorded)], str(tmp_path / "outputs")) == 1
    assert "bad.txt', row 0: 'fast' is not a number" in capsys.readouterr().err
    assert len(_speeds(tmp_path / "outputs")) == 2


def test_runs_of_one_id_are_the_same_only_if_they_say_the_same(recorded: Path, tmp_path: Path) -> None:
    outputs = str(tmp_path / "outputs")
    one = ImportedRun("7", "import:toy", "recorded", {}, Result([Metric("numbers_s", 1.0)]), content="a")
    other = replace(one, content="b", result=Result([Metric("numbers_s", 2.0)]))
    assert keep_runs("toy", "one", outputs, [one]) == 1
    assert keep_runs("toy", "other", outputs, [other, one]) == 1


def test_a_command_without_a_file_says_what_there_is(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file is named \(kinds of file: .*toy"):
        import_files(["gpu=h100-80gb"], str(tmp_path / "outputs"))
