"""When runs are shorter than the start of Python, a sweep says what that takes and which setting saves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.jobs.start_up_share import start_up_hint
from framework.store.bundles.bundle import write_bundle
from tests.framework.store.conftest import make_record


def _runs(outputs: Path, count: int, run_s: int) -> list[str]:
    names = [f"run-{number}" for number in range(count)]
    for name in names:
        write_bundle(outputs, make_record(name, finished_at=f"2026-01-01T00:00:{run_s:02}.000001+00:00"), {})
    return names


@pytest.mark.parametrize(("runs", "together"), [(21, 20), (5, 5)])
def test_short_runs_are_told_what_starting_python_took(tmp_path: Path, runs: int, together: int) -> None:
    hint = start_up_hint(str(tmp_path), dict.fromkeys(_runs(tmp_path, runs, run_s=1), 3.0))
    assert hint == (
        f"the start of Python took 2.0 s of a job, its run 1 s (medians of {runs}): "
        f"hydra.launcher.runs_per_job={together} starts it once for {together} runs"
    )


@pytest.mark.parametrize(("runs", "run_s"), [(4, 1), (5, 3)], ids=["few", "long"])
def test_few_or_long_runs_are_told_nothing(tmp_path: Path, runs: int, run_s: int) -> None:
    lives_s = dict.fromkeys(_runs(tmp_path, runs, run_s), run_s + 2.0)
    assert start_up_hint(str(tmp_path), lives_s) is None


def test_runs_whose_bundle_is_gone_say_nothing(tmp_path: Path) -> None:
    assert start_up_hint(str(tmp_path), dict.fromkeys("abcdef", 3.0)) is None
