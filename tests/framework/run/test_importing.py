from __future__ import annotations

from pathlib import Path

import pytest

from framework.errors import InputError
from framework.run.importing import import_file
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
