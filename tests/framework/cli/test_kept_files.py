"""Files that a run keeps: in the store, listed, linked from the report; through the command line."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

CommandLine = Callable[..., subprocess.CompletedProcess[str]]


def artifacts(command_line: CommandLine) -> list[dict[str, Any]]:
    sql = "SELECT run_id, path, bytes FROM artifacts ORDER BY path"
    rows = json.loads(command_line("sql", "--format", "json", sql).stdout)
    assert isinstance(rows, list)
    return rows


def linked_files(command_line: CommandLine, folder: Path) -> list[Path]:
    """Write the report and return the files that it links to."""
    assert command_line("report").returncode == 0
    (page,) = folder.rglob("report.html")
    links = re.findall(r'<a href="([^"#:]+)"', page.read_text())
    return [(page.parent / unquote(link)).resolve() for link in links]


def test_the_log_and_the_profile_of_a_good_run_are_kept_listed_and_linked(
    command_line: CommandLine, tmp_path: Path
) -> None:
    ran = command_line("+experiment=toy_single", "backend.log_lines=3", "backend.keeps=report.bin")
    assert ran.returncode == 0, ran.stderr
    assert [row["path"] for row in artifacts(command_line)] == [
        "artifacts/engine.log",
        "artifacts/report.bin",
    ]
    files = linked_files(command_line, tmp_path)
    assert [file.name for file in files] == ["engine.log", "report.bin"]
    assert "line 2 of the engine's log" in files[0].read_text()
    assert files[1].read_bytes() == b"a profile"


def test_kept_files_outlive_compaction_and_a_rebuilt_database(
    command_line: CommandLine, tmp_path: Path
) -> None:
    command_line("+experiment=toy_single", "backend.log_lines=3")
    for verb in (["compact"], ["ingest", "--rebuild"]):
        done = command_line(*verb)
        assert done.returncode == 0, done.stderr
    (file,) = linked_files(command_line, tmp_path)
    assert file.is_file()
    assert "packs" in file.parts


def test_the_log_of_a_failed_run_is_kept_too(command_line: CommandLine, tmp_path: Path) -> None:
    command_line("+experiment=toy_single", "backend.fail=run")
    assert [row["path"] for row in artifacts(command_line)] == ["artifacts/engine.log"]


def test_a_long_log_is_kept_without_its_middle(command_line: CommandLine, tmp_path: Path) -> None:
    command_line("+experiment=toy_single", "backend.log_lines=120000")
    (row,) = artifacts(command_line)
    assert row["bytes"] < 2.2 * 2**20
    (file,) = linked_files(command_line, tmp_path)
    text = file.read_text()
    assert text.startswith("line 0 ")
    assert "bytes left out" in text
    assert text.endswith("line 119999 of the engine's log\n")


def test_a_named_file_that_is_not_there_is_a_warning_and_not_a_failed_run(command_line: CommandLine) -> None:
    ran = command_line("+experiment=toy_single", "backend.keeps=missing.bin")
    assert ran.returncode == 0, ran.stderr
    sql = "SELECT verdict, detail FROM checks WHERE name = 'artifacts'"
    (check,) = json.loads(command_line("sql", "--format", "json", sql).stdout)
    assert check == {"verdict": "warn", "detail": "missing.bin was not kept: there is no such file"}
