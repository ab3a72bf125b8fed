"""The scripts in `benchmarks/` start, and those that read what a sweep leaves still find it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [
    script for script in sorted((ROOT / "benchmarks").glob("*.py")) if "__main__" in script.read_text()
]


def output(script: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(script), *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{script.name}: {done.stderr[-1000:]}"
    return done.stdout


@pytest.mark.slow
def test_every_benchmark_says_how_it_is_called() -> None:
    with ThreadPoolExecutor(2) as both_cores:
        helps = list(both_cores.map(lambda script: output(script, "--help"), SCRIPTS))
    assert [text.split()[:2] for text in helps] == [["usage:", script.name] for script in SCRIPTS]


@pytest.mark.slow
def test_the_overhead_of_a_sweep_is_measured_from_runs_and_from_runs_that_are_done() -> None:
    text = output(ROOT / "benchmarks" / "sweep_overhead.py", "--runs", "2", "--done", "3")
    assert "overhead a run:" in text
    assert "3 done runs skipped" in text
