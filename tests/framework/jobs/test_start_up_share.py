"""When jobs take longer to start than to run, a sweep says so and names the setting that saves it."""

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
def test_a_sweep_of_short_runs_says_what_starting_took(tmp_path: Path, runs: int, together: int) -> None:
    hint = start_up_hint(str(tmp_path), dict.fromkeys(_runs(tmp_path, runs, run_s=1), 3.0))
    assert hint == (
        f"a job took 2.0 s to start and 1 s to run (medians of {runs}): "
        f"hydra.launcher.runs_per_job={together} starts once for {together} runs"
    )


@pytest.mark.parametrize(("runs", "run_s"), [(4, 1), (5, 3)], ids=["few", "long"])
def test_of_few_or_long_runs_nothing_is_said(tmp_path: Path, runs: int, run_s: int) -> None:
    lives_s = dict.fromkeys(_runs(tmp_path, runs, run_s), run_s + 2.0)
    assert start_up_hint(str(tmp_path), lives_s) is None


def test_a_run_whose_bundle_is_gone_does_not_count(tmp_path: Path) -> None:
    assert start_up_hint(str(tmp_path), dict.fromkeys("abcdef", 3.0)) is None
