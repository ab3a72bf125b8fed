"""Where the compiled kernel is kept, and what happens when it can't be."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from framework.errors import UserError
from framework_twin.kernel.compiled import machine_code


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "kernel"
    monkeypatch.setenv("FRAMEWORK_TWIN_CACHE", str(folder))
    return folder


def test_kernel_is_built_once_and_then_read(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Path] = []

    def build(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        built.append(Path(command[-1]))
        built[-1].write_bytes(b"entry\nmachine\ncode")
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", build)
    assert machine_code.object_code() == ("entry", b"machine\ncode")
    assert machine_code.object_code() == ("entry", b"machine\ncode")
    assert len(built) == 1
    assert built[0].parent == cache_folder


def test_another_law_or_compiler_means_another_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    before = machine_code.file_name()
    monkeypatch.setattr("llvmlite.__version__", "0.0")
    assert machine_code.file_name() != before


def test_machine_code_in_a_folder_that_all_may_write_to_is_not_trusted(cache_folder: Path) -> None:
    cache_folder.mkdir()
    cache_folder.chmod(0o777)
    (cache_folder / machine_code.file_name()).write_bytes(b"entry\nevil")
    with pytest.raises(
        UserError, match="no folder for the compiled kernel of the twin: set FRAMEWORK_TWIN_CACHE"
    ):
        machine_code.object_code()


@pytest.mark.skipif(shutil.which("false") is None, reason="there is no program that fails")
def test_a_failed_build_is_one_line(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(UserError, match="can't be compiled") as error:
        machine_code.object_code()
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_a_fresh_machine_builds_the_kernel_and_the_next_process_needs_no_numba(cache_folder: Path) -> None:
    program = (
        "import sys; from framework_twin.kernel.compiled.machine_code import entry_point; entry_point(); "
        "print('numba' in sys.modules)"
    )
    for _ in range(2):
        finished = subprocess.run(
            [sys.executable, "-c", program], env=os.environ, capture_output=True, text=True, check=True
        )
        assert finished.stdout.strip() == "False"
    assert len(list(cache_folder.iterdir())) == 1
