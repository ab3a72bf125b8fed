from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.run import provenance as subject


@pytest.fixture(autouse=True)
def _fresh() -> None:
    for state in (subject.git_state, subject.gpu_state, subject.host_state, subject.package_state):
        state.cache_clear()


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own, which the module under test believes to be in."""
    (tmp_path / "framework").mkdir()
    (tmp_path / "code.py").write_text("one\n")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", "code.py")
    _git(tmp_path, "commit", "-qm", "one")
    monkeypatch.setattr(subject, "__file__", str(tmp_path / "framework" / "run" / "provenance.py"))
    return tmp_path


def test_a_clean_checkout_is_named_by_its_commit(checkout: Path) -> None:
    state = subject.git_state()
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    assert "dirty_hash" not in state


def test_a_dirty_checkout_is_named_by_a_hash_of_its_difference(checkout: Path) -> None:
    hashes = []
    for text in ("two\n", "three\n", "two\n"):
        subject.git_state.cache_clear()
        (checkout / "code.py").write_text(text)
        state = subject.git_state()
        assert state["dirty"] is True
        hashes.append(state["dirty_hash"])
    assert hashes[0] == hashes[2] != hashes[1]


def test_outside_a_checkout_nothing_is_said_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "__file__", str(tmp_path / "framework" / "run" / "provenance.py"))
    assert subject.git_state() == {}


def test_without_nvidia_smi_there_is_no_gpu_not_a_guessed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert subject.gpu_state() == []


def test_a_failing_nvidia_smi_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(tmp_path, "echo 'NVIDIA-SMI has failed'; exit 9")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert subject.gpu_state() == []


def test_every_gpu_is_listed_with_driver_clocks_and_power_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = "NVIDIA H100, GPU-1, 550.54, 65247, 1980, 2619, 345, 700.00, Disabled"
    _program(tmp_path, f"echo '{line}'; echo '{line}'")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    first, second = subject.gpu_state()
    assert first == second
    assert (first["name"], first["driver_version"], first["clocks_max_sm"]) == (
        "NVIDIA H100",
        "550.54",
        "1980",
    )
    assert first["power_limit"] == "700.00"


def _program(folder: Path, body: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


def test_slurm_is_empty_outside_a_job_and_lists_only_what_is_set() -> None:
    assert subject.slurm_state({"HOME": "/home"}) == {}
    assert subject.slurm_state({"SLURM_JOB_ID": "7", "SLURM_JOB_PARTITION": "gpu", "SLURM_X": "y"}) == {
        "job_id": "7",
        "job_partition": "gpu",
    }


def test_the_command_line_is_one_that_can_be_pasted_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/venv/framework/__main__.py", "+experiment=a", "backend.x=1 2"])
    assert subject.provenance()["command_line"] == "python -m framework +experiment=a 'backend.x=1 2'"


def test_packages_plugins_and_host_are_known(install: Callable[..., None]) -> None:
    install("acme", "acme = acme_plugin", acme_plugin="")
    subject.package_state.cache_clear()
    everything = subject.provenance()
    subject.package_state.cache_clear()
    assert {"framework-lab", "hydra-core", "duckdb"} <= set(everything["packages"]["versions"])
    assert everything["packages"]["versions"]["acme"] == "1.0"
    assert everything["host"]["cpu_cores"] >= 1
