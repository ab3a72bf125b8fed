"""An upgraded engine in the same environment is another engine: through the command line, with a stand-in."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from framework_vllm.backend import VllmBackend
from framework_vllm.engine.interpreter import engine_identity, find_engine
from framework_vllm.offline.backend import OfflineBackend
from tests.framework_vllm.fake_engine import interpreter

ROOT = Path(__file__).parents[2]
STUDY = (
    *("backend=vllm", "model=tiny-llama", "gpu=cpu", "workload=fixed", "workload.num_requests=2"),
    *("workload.lengths.input_tokens=4", "workload.lengths.output_tokens=4", "backend.idle_s=0", "-m"),
)
Sweep = Callable[..., str]


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Run the study with an engine of a version; return what its last line counts."""

    def run(version: str, *overrides: str) -> str:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FRAMEWORK_CACHE_DIR": str(tmp_path / "cache"),
            "FAKE_ENGINE_VERSION": version,
            "COLUMNS": "200",
        }
        command = [sys.executable, "-m", "framework", *STUDY, *overrides]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1].removeprefix("adhoc: ").partition(" · ")[0]

    return run


@pytest.mark.slow
def test_an_upgraded_engine_runs_again_and_the_one_before_is_still_known(
    sweep: Sweep, tmp_path: Path
) -> None:
    python = f"backend.python={interpreter(tmp_path)}"
    assert sweep("0.9.0", python) == "1 run, 0 skipped as done, 0 failed"
    assert sweep("0.9.1", python) == "1 run, 0 skipped as done, 0 failed"
    assert sweep("0.9.0", python) == "0 run, 1 skipped as done, 0 failed"


@pytest.mark.slow
def test_an_engine_that_only_the_grid_names_is_asked_too(sweep: Sweep, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        interpreter(folder)
    program = (second / "python").read_text()
    pythons = f"backend.python={first / 'python'},{second / 'python'}"
    assert sweep("0.9.0", pythons) == "2 run, 0 skipped as done, 0 failed"
    (second / "python").write_text(program.replace("exec ", "FAKE_ENGINE_VERSION=1.0 exec "))
    assert sweep("0.9.0", pythons) == "1 run, 1 skipped as done, 0 failed"


@pytest.mark.parametrize("kind", [VllmBackend, OfflineBackend])
def test_the_fingerprint_is_distribution_version_and_platform(kind: type, tmp_path: Path) -> None:
    for cached in (engine_identity, find_engine):
        cached.cache_clear()
    backend = kind(python=interpreter(tmp_path), model={"name": "toy", "path": None, "hf_id": "nobody/toy"})
    assert backend.fingerprint() == "vllm 0.0 cpu"


class _Version(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"version": "0.9.1"}')

    def log_message(self, *_: object) -> None:
        pass


def test_a_running_server_is_asked_for_its_version_and_may_keep_it_to_itself() -> None:
    with HTTPServer(("127.0.0.1", 0), _Version) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        backend = VllmBackend(urls=[url], model={"name": "toy", "path": None, "hf_id": None})
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert backend.fingerprint() == "0.9.1"
    assert backend.fingerprint() == "unknown"
