"""`python -m framework` in a process of its own: exit status, and one line for every error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from framework import cli
from framework.cli.verbs import run_verb
from framework.errors import ConfigError, InputError, StoreError

CommandLine = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_a_study_its_query_and_its_export_from_one_folder(command_line: CommandLine) -> None:
    ran = command_line("+experiment=toy_single")
    assert (ran.returncode, ran.stderr) == (0, "")
    found = command_line("sql", "SELECT experiment, backend, numbers_s FROM results", "--format", "json")
    assert found.returncode == 0
    assert json.loads(found.stdout) == [{"experiment": "toy_single", "backend": "toy", "numbers_s": 1.0}]


@pytest.mark.slow
@pytest.mark.parametrize("verb", [("plugins",), ("sql", "SELECT * FROM range(1000000)", "--format", "csv")])
def test_a_reader_that_goes_away_is_no_error(command_line: CommandLine, verb: tuple[str, ...]) -> None:
    assert command_line("+experiment=toy_single", "progress=false").returncode == 0
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = command_line(*verb, stdout=writing)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.slow
def test_a_failed_run_is_exit_status_1_and_one_line(command_line: CommandLine) -> None:
    failed = command_line("+experiment=toy_single", "backend.fail=run", "progress=false")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: run ")
    assert failed.stderr.endswith(" failed in backend: engine died\n")
    assert failed.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_bad_configuration_is_exit_status_2_and_one_line(command_line: CommandLine) -> None:
    refused = command_line("+experiment=toy_single", "backend.sped=2")
    assert refused.returncode == 2
    assert (
        refused.stderr == "error: unknown configuration key 'backend.sped' (did you mean 'backend.speed'?)\n"
    )
    assert refused.stdout == ""


@pytest.mark.slow
def test_debug_shows_where_an_error_came_from(command_line: CommandLine) -> None:
    refused = command_line("+experiment=toy_single", "backend.speed=-1", "--debug")
    assert refused.returncode != 0
    assert "Traceback" in refused.stderr


def exit_status(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Return the exit status of `framework ARGUMENTS`, carried out in this process."""
    monkeypatch.setattr("sys.argv", ["framework", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ConfigError("bad key"), 2, "error: bad key\n"),
        (InputError("bad row"), 1, "error: bad row\n"),
        (StoreError("locked"), 1, "error: locked\n"),
        (KeyError("a defect"), 1, "error: unexpected KeyError: 'a defect' (--debug shows where)\n"),
        (RuntimeError("first\nsecond"), 1, "error: unexpected RuntimeError: first (--debug shows where)\n"),
        (KeyboardInterrupt(), 130, "interrupted; the same command resumes\n"),
    ],
)
def test_every_error_is_one_line_with_its_exit_status(
    error: BaseException,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def verb(arguments: list[str]) -> int:
        raise error

    monkeypatch.setattr("framework.cli.verbs.run_verb", verb)
    assert exit_status(monkeypatch, "sql") == status
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("arguments", "verb"),
    [
        (["sql", "SELECT 1"], True),
        (["--help"], True),
        (["--version"], True),
        ([], True),
        (["no-such-verb"], True),
        (["+experiment=a"], False),
        (["~model"], False),
        (["backend=twin"], False),
        (["--cfg", "job"], False),
        (["-m", "a=1"], False),
    ],
)
def test_a_bare_word_is_a_verb_and_everything_else_a_study(
    arguments: list[str], verb: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framework.cli.verbs.run_verb", lambda arguments: 10)
    monkeypatch.setattr("framework.cli.study_command.run_study", lambda arguments: 20)
    assert exit_status(monkeypatch, *arguments) == (10 if verb else 20)


@pytest.fixture
def _toy_folder(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.usefixtures("_toy_folder")
class TestVerbs:
    def test_a_misspelt_verb_gets_a_hint(self) -> None:
        with pytest.raises(ConfigError, match=r"unknown verb 'imprt' \(did you mean 'import'\?\)"):
            run_verb(["imprt"])

    def test_a_missing_or_unknown_argument_is_one_line(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_verb(["compare"]) == 2
        assert run_verb(["ingest", "--rebuilt"]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 2
        assert all(line.startswith("error: ") for line in lines)

    @pytest.mark.parametrize(
        "verb", ["sql", "report", "compare", "ingest", "compact", "import", "plugins", "doctor"]
    )
    def test_every_verb_has_help_with_an_example(self, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_verb([verb, "--help"]) == 0
        assert f"Example: python -m framework {verb}" in capsys.readouterr().out

    def test_the_version_is_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_verb(["--version"]) == 0
        assert capsys.readouterr().out.startswith("framework-lab ")

    def test_no_verb_at_all_shows_what_there_is(self, capsys: pytest.CaptureFixture[str]) -> None:
        run_verb([])
        assert "+experiment=" in capsys.readouterr().out

    def test_a_plugin_adds_verbs_of_its_own(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_verb(["add", "2", "3"]) == 0
        assert capsys.readouterr().out == "5\n"


_HEAVY = (
    "duckdb",
    "hydra",
    "numba",
    "numpy",
    "omegaconf",
    "pandas",
    "plotly",
    "pyarrow",
    "scipy",
    "torch",
    "vllm",
)


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], set()),
        (["sql", "--help"], set()),
        (["plugins"], {"omegaconf", "hydra"}),
        (["no-such-verb"], set()),
    ],
)
def test_start_up_imports_nothing_that_the_command_does_not_need(
    arguments: list[str], allowed: set[str]
) -> None:
    code = f"""
import sys
sys.argv = ["framework", *{arguments!r}]
from framework.cli import main
try:
    main()
finally:
    print(*sorted(set(sys.modules) & set({_HEAVY!r})), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert set(done.stderr.splitlines()[-1].split()) <= allowed
