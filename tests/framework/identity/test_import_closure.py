"""Which code counts: held on small packages, and on what a run of the twin really imports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.identity.import_closure import Code, closure_hash

Write = Callable[..., None]

PACKAGE = {
    "__init__": "",
    "backend": """
from typing import TYPE_CHECKING
from study_pkg import physics
if TYPE_CHECKING:
    from study_pkg.typing_only import Thing
class Backend:
    def run(self):
        from .lazy import late
        return late() + physics.law() + open("table.csv") + start("-m", "study_pkg.worker")
""",
    "physics": "from study_pkg.deep import G\ndef law():\n    return G\n",
    "deep": "G = 9.81\n",
    "lazy": "def late():\n    return 1\n",
    "worker": "print('work')\n",
    "typing_only": "class Thing: pass\n",
    "report": "TITLE = 'a report'\n",
    "plugin": """
from study_pkg.report import TITLE
FACTOR = 1000
def scaled(x):
    return FACTOR * x
def derived_metrics(result):
    from study_pkg.deep import G
    return scaled(G)
def report_sections():
    return TITLE
""",
}


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write modules of `study_pkg`, first in the import path; the cache is the test's own."""
    monkeypatch.setenv("FRAMEWORK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    folder = tmp_path / "site" / "study_pkg"
    folder.mkdir(parents=True)
    (folder / "table.csv").write_text("1,2\n")

    def make(**modules: str) -> None:
        for name, text in modules.items():
            (folder / name).with_suffix("" if "." in name else ".py").write_text(text)

    make(**PACKAGE)
    return make


def of_backend() -> str:
    return closure_hash([Code("study_pkg.backend")], ["study_pkg"])


def of_hook() -> str:
    return closure_hash([Code("study_pkg.plugin", "derived_metrics")], ["study_pkg"])


@pytest.mark.parametrize("module", ["backend", "physics", "deep", "lazy", "worker", "__init__"])
def test_everything_that_the_backend_imports_or_starts_counts(write: Write, module: str) -> None:
    before = of_backend()
    write(**{module: PACKAGE[module] + "\nMORE = 1\n"})
    assert of_backend() != before
    write(**{module: PACKAGE[module] + "\n# MORE = 1\n"})
    assert of_backend() == before


@pytest.mark.parametrize("module", ["typing_only", "report", "plugin"])
def test_what_the_backend_does_not_import_does_not_count(write: Write, module: str) -> None:
    before = of_backend()
    write(**{module: PACKAGE[module] + "\nMORE = 1\n"})
    assert of_backend() == before


def test_a_data_file_beside_a_module_that_names_it_counts(write: Write, tmp_path: Path) -> None:
    before = of_backend()
    (tmp_path / "site" / "study_pkg" / "table.csv").write_text("1,3\n")
    assert of_backend() != before


def test_of_the_module_of_a_hook_only_what_the_hook_reaches_counts(write: Write) -> None:
    before = of_hook()
    for other in ("TITLE\n", "TITLE.upper()\n"):
        write(
            plugin=PACKAGE["plugin"].replace("return TITLE\n", f"return {other}"), report="TITLE = 'other'\n"
        )
        assert of_hook() == before
    write(plugin=PACKAGE["plugin"].replace("1000", "1001"))
    assert of_hook() != before
    write(plugin=PACKAGE["plugin"], deep="G = 9.82\n")
    assert of_hook() != before


def test_code_outside_of_the_packages_does_not_count(write: Write, tmp_path: Path) -> None:
    (tmp_path / "site" / "library.py").write_text("X = 1\n")
    write(deep="import library\nG = library.X\n")
    before = of_backend()
    (tmp_path / "site" / "library.py").write_text("X = 2\n")
    assert of_backend() == before


def test_the_same_code_elsewhere_has_the_same_hash(write: Write, tmp_path: Path) -> None:
    ask = "from framework.identity.import_closure import *\nprint(closure_hash([Code('study_pkg.backend')], []))"
    moved = tmp_path / "moved"
    (tmp_path / "site").rename(moved)
    environment = {"PYTHONPATH": str(moved), "HOME": str(tmp_path)}
    command = [sys.executable, "-c", ask]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    moved.rename(tmp_path / "site")
    assert done.stdout.strip() == of_backend(), done.stderr


def test_a_class_without_a_source_file_has_no_hash() -> None:
    assert closure_hash([Code("no_such_package.backend")], []) == ""


def test_a_hash_that_is_kept_is_not_believed_when_a_file_has_changed(write: Write, tmp_path: Path) -> None:
    before = of_backend()
    (kept,) = (tmp_path / "cache").rglob("*.json")
    assert json.loads(kept.read_text())["hash"] == before
    kept.write_text("torn")
    assert of_backend() == before
    write(deep="G = 9.8100\n")
    assert of_backend() == before
    write(deep="G = 9.82\n")
    assert of_backend() != before


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = of_backend()
    monkeypatch.setenv("FRAMEWORK_CACHE_DIR", "/proc/none")
    assert of_backend() == before


_RUN_OF_THE_TWIN = """
import sys
import framework_twin.backend, framework_serving.workloads.synthetic
from framework.configuration.composition import compose
from framework.configuration.components import build_component
from framework.contracts import RunContext
config = compose(["backend=twin", "model=opt-1.3b", "gpu=h100-64gb", "workload=fixed", "workload.num_requests=8"])
workload = build_component(config, "workload").build(0)
before = set(sys.modules)
backend = build_component(config, "backend")
backend.check(workload)
backend.run(workload, RunContext("", {}, 0, None))
import framework_twin.kernel.router  # what the process that compiles the kernel imports
new = {*set(sys.modules) - before, "framework_twin.backend"}
print(*sorted(sys.modules[name].__file__ for name in new if name.startswith("framework_")))
"""


@pytest.mark.slow
def test_whatever_a_run_of_the_twin_imports_is_in_its_closure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", _RUN_OF_THE_TWIN]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert any(file.endswith("kernel/scheduler.py") for file in imported)
    monkeypatch.setenv("FRAMEWORK_CACHE_DIR", str(tmp_path))
    closure_hash([Code("framework_twin.backend")], ["framework_serving"])
    (kept,) = tmp_path.rglob("*.json")
    counted = set(json.loads(kept.read_text())["files"])
    assert imported - counted == set()
    assert [file for file in counted if "/metrics/serving_metrics" in file or "/calibration/" in file] == []
