"""A fake NVML at the C boundary, compiled here, found by the samplers as the real one would be."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from framework.contracts import Collector, Result, RunContext

SOURCE = Path(__file__).with_name("fake_nvml.c")


@pytest.fixture(scope="session")
def fake_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled stand-in."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) to build the fake NVML with")
    folder = tmp_path_factory.mktemp("nvml")
    target = folder / "libnvidia-ml.so.1"
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", str(target), str(SOURCE)]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture
def fake_nvml(fake_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write the script that the fake NVML follows; samplers started later load it."""

    def follow(*lines: str) -> None:
        script = tmp_path / "nvml.script"
        script.write_text("".join(f"{line}\n" for line in lines))
        monkeypatch.setenv("FAKE_NVML_SCRIPT", str(script))
        monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_library))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return follow


@pytest.fixture
def around(tmp_path: Path) -> Callable[..., Result]:
    """Run a collector around a stretch of time, as the core would."""

    def run(
        collector: Collector,
        length_s: float = 0.4,
        config: Mapping[str, Any] | None = None,
        before_s: float = 0.0,
        stated: bool = True,
    ) -> Result:
        context = RunContext("run", config or {}, 0, tmp_path)
        collector.start(context)
        time.sleep(before_s)
        begin_s = time.monotonic()
        time.sleep(length_s)
        if stated:
            context.window.begin_s, context.window.end_s = begin_s, begin_s + length_s
        return collector.stop()

    return run
