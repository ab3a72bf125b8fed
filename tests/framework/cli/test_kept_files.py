"""What a run keeps of its files, through the command line: stored, listed, linked, and never lost."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from omegaconf import DictConfig

from framework.run.runner import execute

CommandLine = Callable[..., subprocess.CompletedProcess[str]]
RUN = ("+experiment=toy_single", "backend.log_mib=0.01", "backend.profile=calls")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "work"


def done(command_line: CommandLine, *arguments: str) -> str:
    ran = command_line(*arguments)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def rows(command_line: CommandLine, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done(command_line, "sql", query, "--format", "json"))
    return found


def listed(command_line: CommandLine, folder: Path) -> list[Path]:
    """The paths that the verb prints, each the end of its line."""
    return [folder / line.split(maxsplit=2)[2] for line in done(command_line, "artifacts").splitlines()]


@pytest.mark.slow
def test_files_are_stored_listed_and_linked_from_the_report(command_line: CommandLine, folder: Path) -> None:
    done(command_line, *RUN)
    stored = rows(command_line, "SELECT name, path, bytes > 0 AS held, note FROM artifacts ORDER BY path")
    assert stored == [
        {"name": "log", "path": "artifacts/log/engine.log", "held": True, "note": None},
        {"name": "profile", "path": "artifacts/profile/profile.bin", "held": True, "note": None},
    ]
    log, profile = listed(command_line, folder)
    assert log.read_text().startswith("engine up\n")
    assert profile.read_text() == "calls"
    done(command_line, "report")
    (report,) = folder.glob("outputs/reports/*/report.html")
    links = re.findall(r'<a href="([^"#][^"]*)"', report.read_text())
    assert [(report.parent / unquote(link)).resolve() for link in links] == [log.resolve(), profile.resolve()]
    run_id = log.parents[2].name
    assert done(command_line, "log", run_id).startswith("engine up\n")
    log.unlink()
    unread = command_line("log", run_id)
    assert (unread.returncode, unread.stdout) == (1, "")
    assert f"can't read {log.relative_to(folder)}: it does not exist" in unread.stderr


@pytest.mark.slow
def test_they_survive_packing_and_a_rebuild_and_links_lead_into_the_pack(
    command_line: CommandLine, folder: Path
) -> None:
    done(command_line, *RUN)
    before = rows(command_line, "SELECT * FROM artifacts ORDER BY path")
    done(command_line, "compact")
    done(command_line, "ingest", "outputs", "--rebuild")
    assert rows(command_line, "SELECT * FROM artifacts ORDER BY path") == before
    log, profile = listed(command_line, folder)
    assert "packs" in log.parts
    assert profile.read_text() == "calls"
    done(command_line, "report")
    (report,) = folder.glob("outputs/reports/*/report.html")
    links = re.findall(r'<a href="([^"#][^"]*)"', report.read_text())
    assert [(report.parent / unquote(link)).read_bytes()[:6] for link in links] == [b"engine", b"calls"]


@pytest.mark.slow
def test_runs_behind_a_url_keep_their_files_there(
    command_line: CommandLine, folder: Path, toy_config: Callable[..., DictConfig]
) -> None:
    url = f"file://{folder}/shared"
    execute(toy_config(outputs_dir=url, backend__log_mib=0.01, backend__profile="calls"))
    done(command_line, "ingest", url)
    assert rows(command_line, "SELECT count(*) AS files FROM artifacts") == [{"files": 2}]
    lines = done(command_line, "artifacts").splitlines()
    assert [line.split(maxsplit=2)[2].startswith(f"{url}/runs/") for line in lines] == [True, True]
    (profile,) = (folder / "shared" / "runs").glob("*/artifacts/profile/profile.bin")
    assert profile.read_text() == "calls"


@pytest.mark.slow
def test_a_failed_run_keeps_its_logs_beside_their_ends(command_line: CommandLine, folder: Path) -> None:
    assert command_line("+experiment=toy_single", "backend.fail=run").returncode == 1
    (log,) = listed(command_line, folder)
    assert log.read_text() == "warming up\nengine ran out of numbers\n"
    assert "engine ran out of numbers" in rows(command_line, "SELECT log FROM failures")[0]["log"]


@pytest.mark.slow
def test_a_named_file_that_is_not_there_is_a_note_and_not_a_failed_run(command_line: CommandLine) -> None:
    done(command_line, "+experiment=toy_single", "backend.profile=missing")
    (row,) = rows(command_line, "SELECT bytes, note FROM artifacts")
    assert row == {"bytes": None, "note": "left out: profile.bin is not a file that can be read"}


@pytest.mark.slow
def test_a_run_whose_table_cannot_be_stored_keeps_its_files(command_line: CommandLine, folder: Path) -> None:
    assert command_line(*RUN, "backend.fail=table").returncode == 1
    assert [file.name for file in listed(command_line, folder)] == ["engine.log", "profile.bin"]


@pytest.mark.slow
def test_what_is_too_large_is_noted_where_the_files_are_listed(command_line: CommandLine) -> None:
    done(command_line, *RUN, "backend.log_mib=6", "artifacts_mb=1")
    ((note,),) = (row.values() for row in rows(command_line, "SELECT note FROM artifacts WHERE name = 'log'"))
    assert note == "left out: 4.0 MiB, the limit of a run is artifacts_mb=1"
    listing = done(command_line, "artifacts", "toy_single")
    assert "(left out: 4.0 MiB, the limit of a run is artifacts_mb=1)" in listing


@pytest.mark.slow
def test_a_long_log_is_shortened_and_says_so(command_line: CommandLine, folder: Path) -> None:
    done(command_line, *RUN, "backend.log_mib=6")
    (row,) = rows(command_line, "SELECT note, bytes FROM artifacts WHERE name = 'log'")
    assert row["note"] == "shortened: the begin and the end of 6.0 MiB"
    assert row["bytes"] < 5 << 20
    done(command_line, "report")
    (report,) = folder.glob("outputs/reports/*/report.html")
    assert "shortened: the begin and the end of 6.0 MiB" in report.read_text()


@pytest.mark.slow
def test_the_limit_of_files_does_not_make_another_run(command_line: CommandLine) -> None:
    done(command_line, *RUN)
    assert "skipped)" in done(command_line, *RUN, "artifacts_mb=1")


@pytest.mark.slow
def test_an_unknown_run_is_one_clear_line(command_line: CommandLine) -> None:
    done(command_line, *RUN)
    asked = command_line("artifacts", "nothing")
    assert (asked.returncode, asked.stderr) == (
        1,
        "error: no run, sweep or experiment 'nothing' in outputs\n",
    )
