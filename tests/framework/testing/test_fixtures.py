"""The fixtures of the shipped pytest plugin, used as a plugin's tests use them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from framework.errors import RunFailedError
from framework.testing.fixtures import CommandLine, TemporaryStore


@pytest.mark.slow
def test_a_temporary_store_takes_runs_and_answers(
    toy_study: str, framework_store: TemporaryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = framework_store.run("-m", f"+experiment={toy_study}", "backend.speed=1,2,4")
    assert len(study) == 3
    assert framework_store.query("SELECT numbers_s FROM results ORDER BY 1") == [
        {"numbers_s": speed} for speed in (1.0, 2.0, 4.0)
    ]
    with pytest.raises(RunFailedError):
        framework_store.run(f"+experiment={toy_study}", "backend.fail=true")
    assert framework_store.query("SELECT count(*) AS n FROM failures") == [{"n": 1}]


def test_a_store_is_empty_at_first(framework_store: TemporaryStore) -> None:
    assert framework_store.query("SELECT * FROM runs") == []


@pytest.mark.slow
def test_the_command_line_sees_the_store_and_the_toy(
    toy_study: str, framework_store: TemporaryStore, framework_command: CommandLine
) -> None:
    assert framework_command(f"+experiment={toy_study}").returncode == 0
    assert len(framework_store.query("SELECT * FROM runs")) == 1
    assert "framework-toy-study" in framework_command("plugins").stdout


def test_the_toy_is_gone_after_its_test() -> None:
    from framework.plugins import discover

    assert "toy" not in {plugin.name for plugin in discover().plugins}


def test_the_pytest_plugin_imports_nothing_heavy() -> None:
    heavy = "('hydra', 'pyarrow', 'duckdb', 'numpy', 'pandas')"
    code = f"import sys, framework.testing.pytest_plugin; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
