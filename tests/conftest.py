"""The toy study (`tests/support/toy_study`), installed for a test as a third party's distribution would be."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings
from omegaconf import DictConfig, OmegaConf

from framework.configuration.study_config import StudyConfig
from tests.support.measured_data import REASON

SUPPORT = Path(__file__).parent / "support"

settings.register_profile(
    "no_deadline", deadline=None
)  # how fast a loaded machine is says nothing of the code
settings.load_profile("no_deadline")

Install = Callable[..., None]


def forget_plugins() -> None:
    from framework import plugins
    from framework.store.database import schema

    plugins.discover.cache_clear()
    schema.declared_tables.cache_clear()


@pytest.fixture(autouse=True)
def _no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the flush to the medium, which only a power cut would tell from its absence."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed distributions at the head of the import path; discovery starts afresh."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    forget_plugins()
    yield folder
    forget_plugins()


@pytest.fixture
def install(site: Path) -> Install:
    """Make a distribution with entry points of the framework, and modules by file name."""

    def make(name: str, entry_points: str, version: str = "1.0", **modules: str) -> None:
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[framework.plugins]\n{entry_points}\n")
        for module, text in modules.items():
            (site / f"{module}.py").write_text(text)
            sys.modules.pop(module, None)  # of an earlier test
        forget_plugins()

    return make


@pytest.fixture
def toy(site: Path, install: Install, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the toy study as the only plugin."""
    install("toy-study", "toy = toy_study.plugin")
    monkeypatch.syspath_prepend(str(SUPPORT))
    monkeypatch.setenv("FRAMEWORK_PLUGINS", "toy")
    return site


@pytest.fixture
def toy_config(toy: Path, tmp_path: Path) -> Callable[..., DictConfig]:
    """Return a composed configuration of the toy study, as Hydra would hand it to a job."""

    def make(**changes: object) -> DictConfig:
        config = OmegaConf.merge(
            OmegaConf.structured(StudyConfig),
            {
                "experiment": "toy",
                "outputs_dir": str(tmp_path / "outputs"),
                "progress": False,
                "backend": {"_target_": "toy_study.components.ToyBackend", "name": "toy", "speed": 2.0},
                "workload": {"_target_": "toy_study.components.ToyWorkload", "seed": 3},
                "model": {"name": None},
                "gpu": {"name": None},
            },
        )
        for key, value in changes.items():
            OmegaConf.update(config, key.replace("__", "."), value, merge=False, force_add=True)
        assert isinstance(config, DictConfig)
        return config

    return make


@pytest.fixture
def command_line(toy: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m framework` in a process of its own, in an empty folder, with the toy study installed."""
    folder = tmp_path / "work"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(toy), str(SUPPORT)]), "COLUMNS": "200"}

    def call(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "framework", *arguments]
        return subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    return call


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB; needs root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.fixture
def terminal(toy: Path, tmp_path: Path) -> Callable[..., str]:
    """Run `python -m framework` on a pseudo-terminal of so many columns; return what was written to it.

    With `stdout`, standard output goes to that file, and only the rest to the terminal.
    """
    folder = tmp_path / "work"
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(toy), str(SUPPORT)]), "TERM": "xterm"}
    environment.pop("COLUMNS", None)

    def call(*arguments: str, columns: int = 120, stdout: Path | None = None) -> str:
        ours, theirs = pty.openpty()
        output = theirs if stdout is None else os.open(stdout, os.O_WRONLY | os.O_CREAT)
        termios.tcsetwinsize(theirs, (40, columns))
        command = [sys.executable, "-m", "framework", *arguments]
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdin=theirs, stdout=output, stderr=theirs
        ):
            for descriptor in {theirs, output}:
                os.close(descriptor)
            written = b""
            with suppress(OSError):  # the terminal's last user has gone
                while part := os.read(ours, 65536):
                    written += part
            os.close(ours)
        return written.decode(errors="replace")

    return call


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return twice the cores for `-n auto`: many tests wait for a process of theirs."""
    return 2 * (os.cpu_count() or 1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped for want of data that the project does not ship."""
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if REASON in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests skipped: they need {REASON} (../shared/data)")


def pytest_configure() -> None:
    """Undo what starting the tests in the background or by nohup does: processes that ignore Ctrl-C and SIGHUP."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if (
            signal.getsignal(number) is signal.SIG_IGN
            and threading.current_thread() is threading.main_thread()
        ):
            signal.signal(number, handler)
