"""A full disk and a read-only one, through the command line: one line, and nothing lost or done twice."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.cli.verbs import run_verb
from framework.errors import StoreError
from framework.store.database.reader import Store
from tests.support.small_disk import fill

pytestmark = [pytest.mark.slow, pytest.mark.integration]

CommandLine = Callable[..., subprocess.CompletedProcess[str]]
SWEEP = ("-m", "+experiment=toy_single", "backend.speed=1,2,3", "progress=false")
READING = (
    ("sql", "FROM results"),
    ("sql", "FROM failures"),
    ("status",),
    ("compare", "toy_single", "toy_single"),
    ("pareto", "numbers_s", "duration_s:lower"),
    ("advise", "--maximise", "numbers_s"),
    ("artifacts",),
    ("show", "RUN"),
)
WRITING = (
    ("report",),
    ("tag", "good", "RUN"),
    ("note", "a text", "RUN"),
    ("rename", "other", "RUN"),
    ("archive", "RUN"),
    ("delete", "RUN", "--yes"),
    ("compact",),
    ("ingest", "OUTPUTS", "--rebuild"),
    ("export", "results", "OUTPUTS/results.csv"),
    ("export", "results", "OUTPUTS/results.parquet"),
)
STATE = "SELECT (SELECT count(*) FROM results), (SELECT count(*) FROM archived), (SELECT count(*) FROM tags)"


def _words(verb: tuple[str, ...], outputs: Path) -> list[str]:
    (run_id,) = Store(outputs).rows("SELECT min(run_id) FROM runs")[1][0]
    words = [word.replace("OUTPUTS", str(outputs)).replace("RUN", str(run_id)) for word in verb]
    return words if verb[0] == "ingest" else [*words, "--outputs", str(outputs)]


@pytest.mark.parametrize("leave_bytes", [30_000, 120_000, 1_000_000])
def test_a_sweep_that_fills_the_disk_is_finished_by_the_same_command(
    command_line: CommandLine, small_disk: Path, leave_bytes: int
) -> None:
    fill(small_disk, leave_bytes)
    full = command_line(*SWEEP, f"outputs_dir={small_disk}")
    assert full.returncode == 1
    (error,) = [line for line in full.stderr.splitlines() if line.startswith("error:")]
    assert "no space left on the device" in error
    assert "Traceback" not in full.stderr + full.stdout
    (small_disk / "ballast").unlink()
    again = command_line(*SWEEP, f"outputs_dir={small_disk}")
    assert again.returncode == 0, again.stderr
    done = "SELECT sweep_index, count(*) FROM runs WHERE status = 'done' GROUP BY ALL ORDER BY ALL"
    assert Store(small_disk).rows(done)[1] == [(0, 1), (1, 1), (2, 1)]


@pytest.fixture
def stored(command_line: CommandLine, small_disk: Path) -> Path:
    """Three done runs on the small disk."""
    done = command_line(*SWEEP, f"outputs_dir={small_disk}")
    assert done.returncode == 0, done.stderr
    return small_disk


def test_a_full_disk_is_one_line_of_each_verb_that_writes_and_changes_nothing(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Store(stored).rows(STATE)[1]
    fill(stored, 0)
    for verb in WRITING:
        with pytest.raises(StoreError, match="no space left on the device") as refused:
            run_verb(_words(verb, stored))
        assert "\n" not in str(refused.value), verb
        assert Store(stored).rows(STATE)[1] == before, verb
    for verb in READING:
        assert run_verb(_words(verb, stored)) == 0, verb
    (stored / "ballast").unlink()
    assert run_verb(["ingest", str(stored)]) == 0
    assert Store(stored).rows(STATE)[1] == before


def test_a_read_only_store_answers_and_is_one_line_of_each_verb_that_writes(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(stored)], check=True)
    for verb in READING:
        assert run_verb(_words(verb, stored)) == 0, verb
    assert run_verb(["report", "--out", str(tmp_path / "report"), "--outputs", str(stored)]) == 0
    assert run_verb(["export", "results", str(tmp_path / "r.csv"), "--outputs", str(stored)]) == 0
    for verb in WRITING:
        with pytest.raises(StoreError, match="the file system is read-only") as refused:
            run_verb(_words(verb, stored))
        assert "\n" not in str(refused.value), verb
