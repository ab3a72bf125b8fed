"""The rules of the source tree (docs/architecture.md): where imports may point, and what a folder's listing shows."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _packages(*roots: Path) -> list[Path]:
    names = ("framework", "hydra_plugins")
    return [folder for root in roots for folder in sorted(root.iterdir()) if folder.name.startswith(names)]


BUILT_IN = _packages(ROOT, ROOT / "plugins")
# Plugins that are distributions of their own: the direction of imports holds for them, their folders are theirs.
OTHERS = _packages(*ROOT.glob("plugins/*/src"), *ROOT.glob("examples/*/src"))

# The core from top to bottom: a module imports from its own layer and from those below it.
LAYERS = (
    ("testing",),
    ("cli", "__main__"),
    ("dashboard",),
    ("jobs",),
    ("sweep",),
    ("run",),
    ("report",),
    ("analysis",),
    ("store",),
    ("identity",),
    ("run_record",),
    ("configuration",),
    # what a plugin's author needs first
    ("plugins", "hookspecs", "contracts", "quantity", "errors", "processes", "input_files"),
)
# What plugins may import of the core. The Hydra plugins are the core's own arms and may import all of it.
PUBLIC = (
    *("framework.contracts", "framework.errors", "framework.hookspecs", "framework.quantity"),
    *("framework.processes", "framework.identity", "framework.configuration", "framework.analysis"),
    "framework.input_files",
    *("framework.run.rebuild", "framework.run.importing"),
    *("framework.report.terminal", "framework.report.html.rendering"),  # what a verb shows
    *("framework.store.database", "framework.store.views"),
)
# The twin and the real engine serve the same workloads and report the same metrics: the serving domain's.
SHARED_DOMAIN = {("framework_twin", "framework_serving"), ("framework_vllm", "framework_serving")}

MAX_ENTRIES = 15
MORE_ENTRIES = {
    "framework": 20,  # the layers, and what a plugin's author imports without a folder in between
    "plugins/framework_twin": 16,  # roles that every plugin has, and the stages between settings and result
    "plugins/framework_hadoop/java/mapreduce": 22,  # Java: a file a class, a folder a package
}
# Roles that many packages have: the file's name says which role, the folder's of what.
ROLES = {
    *("backend", "collector", "doctor", "importers", "metric_definitions", "plugin", "probe", "settings"),
    *("tables", "verbs"),
}


def _modules(packages: list[Path]) -> dict[str, Path]:
    """Return the modules of packages by dotted name; a package's own is its `__init__`."""
    found = {}
    for package in packages:
        for file in package.rglob("*.py"):
            parts = file.relative_to(package.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


OWN = _modules(BUILT_IN)
MODULES = OWN | _modules(OTHERS)


def _imports(module: str) -> Iterator[str]:
    """Yield the modules of this project that a module imports anywhere in it: functions and type hints count."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                longer = f"{node.module}.{name.name}"
                target = longer if longer in MODULES else node.module
                if target in MODULES:
                    yield target


IMPORTS = {module: set(_imports(module)) - {module} for module in MODULES}
ARROWS = sorted((module, target) for module, targets in IMPORTS.items() for target in targets)


def _package(module: str) -> str:
    return module.split(".")[0]


def _layer(module: str) -> int:
    name = module.split(".")[1]
    return next(number for number, layer in enumerate(LAYERS) if name in layer)


def _is_public(module: str) -> bool:
    return any(f"{module}.".startswith(f"{public}.") for public in PUBLIC)


def test_the_core_imports_no_plugin() -> None:
    assert [(a, b) for a, b in ARROWS if _package(a) == "framework" != _package(b)] == []


def test_within_the_core_imports_point_to_the_same_layer_or_a_lower_one() -> None:
    core = [(a, b) for a, b in ARROWS if a.startswith("framework.") and b.startswith("framework.")]
    assert [(a, b) for a, b in core if _layer(a) > _layer(b)] == []


def test_a_plugin_imports_public_modules_of_the_core_only() -> None:
    plugins = [(a, b) for a, b in ARROWS if a.startswith("framework_") and b.startswith("framework.")]
    assert [(a, b) for a, b in plugins if not _is_public(b)] == []


def test_no_plugin_imports_another_but_twin_and_engine_the_serving_domain() -> None:
    between = {(_package(a), _package(b)) for a, b in ARROWS}
    assert {(a, b) for a, b in between if a != b and "framework" not in (a, b)} == SHARED_DOMAIN


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))


def test_a_modules_name_stands_once_but_for_roles_that_every_package_may_have() -> None:
    places = defaultdict(list)
    for module, file in OWN.items():
        if file.stem not in {"__init__", "__main__", *ROLES}:
            places[file.stem].append(module)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_module_repeats_the_name_of_its_folder() -> None:
    assert [module for module, file in OWN.items() if file.stem == file.parent.name] == []


def test_a_folder_shows_at_most_about_fifteen_entries() -> None:
    entries = defaultdict(set)
    for package in BUILT_IN:
        for file in package.rglob("*"):
            if "__pycache__" not in file.parts and not file.name.startswith("__"):
                entries[str(file.parent.relative_to(ROOT))].add(file.name)
    crowded = {
        folder: len(names)
        for folder, names in entries.items()
        if len(names) > MORE_ENTRIES.get(folder, MAX_ENTRIES)
    }
    assert crowded == {}


def test_tests_stand_where_their_code_stands() -> None:
    not_packages = {"benchmarks", "docs", "support"}
    folders = {file.parent.relative_to(ROOT / "tests") for file in (ROOT / "tests").rglob("test_*.py")}
    mirrored = [folder for folder in sorted(folders) if folder.parts and folder.parts[0] not in not_packages]
    assert mirrored
    assert [
        str(folder)
        for folder in mirrored
        if not any((root / folder).is_dir() for root in (ROOT, ROOT / "plugins"))
    ] == []


def test_every_rule_has_something_to_hold() -> None:
    assert len(MODULES) > 300
    assert len(ARROWS) > 1000
    assert all(_layer(module) >= 0 for module in MODULES if module.startswith("framework."))
    plugins_import = {b for a, b in ARROWS if a.startswith("framework_")}
    assert [
        public for public in PUBLIC if not any(f"{b}.".startswith(f"{public}.") for b in plugins_import)
    ] == []
    assert all((ROOT / folder).is_dir() for folder in MORE_ENTRIES)


def test_the_core_names_no_model_gpu_workload_or_experiment() -> None:
    """Only the examples in `--help` do: they are commands that a user can paste."""
    groups = ("model", "gpu", "workload", "experiment")
    names = {file.stem for group in groups for file in (ROOT / "conf" / group).glob("*.yaml")}
    common = {"none", "cpu", "fixed", "trace", "grep", "sort", "guided", "executions"}  # words of their own
    named = re.compile(
        rf"(?<![\w-])({'|'.join(map(re.escape, sorted(names - common)))})(?![\w-])", re.IGNORECASE
    )
    found = [
        f"{file.relative_to(ROOT)}: {match.group()}"
        for file in sorted((ROOT / "framework").rglob("*.py"))
        for match in named.finditer(file.read_text())
        if file.name != "verbs.py"
    ]
    assert found == []
