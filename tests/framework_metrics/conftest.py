"""A fake NVML at the C boundary, compiled here, found by the samplers as the real one would be."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.framework_metrics.results import Around, FakeGpus

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
def fake_nvml(fake_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeGpus]:
    """Write the script that the fake NVML follows; samplers started later load it."""

    def follow(*lines: str) -> FakeGpus:
        gpus = FakeGpus(tmp_path / "nvml.began", tmp_path / "nvml.mark")
        script = tmp_path / "nvml.script"
        script.write_text(
            "".join(f"{line}\n" for line in (*lines, f"began {gpus.began}", f"mark {gpus.mark}"))
        )
        monkeypatch.setenv("FAKE_NVML_SCRIPT", str(script))
        monkeypatch.setenv("LD_LIBRARY_PATH", str(fake_library))
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        return gpus

    return follow


@pytest.fixture
def around(tmp_path: Path) -> Around:
    return Around(tmp_path)
