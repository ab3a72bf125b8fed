"""What is installed, and what this machine can run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from framework.configuration.search_path import config_groups, group_files
from framework.contracts import DoctorCheck, Importer, TableBlock
from framework.plugins import ask, discover, metric_definitions


def show_plugins() -> int:
    """Print plugins with their hooks; return 1 if one of them, or one of the hooks asked here, failed."""
    from framework.report.terminal.terminal_tables import print_table

    found = discover().plugins
    rows = [
        (
            plugin.name,
            f"{plugin.distribution} {plugin.version}",
            plugin.module,
            f"FAILED: {plugin.error}" if plugin.error else ", ".join(plugin.hooks),
        )
        for plugin in found
    ]
    print_table(TableBlock("Plugins", ("name", "distribution", "module", "hooks"), rows))
    options = [(group, ", ".join(group_files(group))) for group in config_groups()]
    print_table(TableBlock("Configuration groups", ("group", "options"), options))
    kinds = [(item.kind, item.description) for _, items in ask("importers", Importer) for item in items]
    if kinds:
        print_table(TableBlock("Importers", ("kind", "reads"), sorted(kinds)))
    metric_definitions()
    failed = any(problem.is_failure for problem in discover().problems)
    return 1 if failed or any(plugin.error for plugin in found) else 0


_FURTHER_HOOKS: dict[str, type | None] = {"config_schemas": tuple, "sql_views": str, "table_schemas": None}


def show_doctor() -> int:
    """Print every check; return 0: to lack something is an answer, not an error."""
    from framework.report.terminal.terminal_tables import print_table

    checks = [*_core_checks()]
    for _, found in ask("doctor_checks", DoctorCheck):
        checks.extend(found)
    for hook, kind in _FURTHER_HOOKS.items():  # so that a plugin's fault is seen here
        list(ask(hook, kind))
    marks = {True: "✓", False: "✗", None: "–"}
    rows = [(marks[c.ok], c.name, c.detail, "" if c.ok else c.fix) for c in checks]
    print_table(TableBlock("This machine", ("", "what", "found", "to fix"), rows))
    return 0


def _core_checks() -> Iterator[DoctorCheck]:
    yield DoctorCheck(
        "python", sys.version_info >= (3, 11), sys.version.split()[0], "use Python 3.11 or newer"
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield DoctorCheck("cpu cores", True, f"{cores} usable")
    writable = os.access(Path.cwd(), os.W_OK)
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    yield DoctorCheck(
        "outputs folder",
        writable,
        f"{free_gib:.0f} GiB free in the current folder" if writable else "current folder is read-only",
        "" if writable else "outputs_dir=FOLDER on the command line",
    )
    gpu = shutil.which("nvidia-smi")
    yield DoctorCheck(
        "NVIDIA GPU",
        True if gpu else None,
        "nvidia-smi found" if gpu else "none found: a real engine needs one, the twin does not",
    )
    yield _module_check("joblib", "hydra/launcher=joblib: parallel runs on this machine", "parallel")
    yield _module_check("starlette", "dashboard: the store as web pages on this machine", "dashboard")
    slurm = shutil.which("sbatch")
    yield DoctorCheck(
        "SLURM",
        True if slurm else None,
        slurm or "no sbatch on this machine; a cluster can be reached by ssh (docs/slurm.md)",
    )


def _module_check(module: str, what: str, extra: str) -> DoctorCheck:
    from importlib.util import find_spec

    present = find_spec(module) is not None
    fix = "" if present else f"pip install 'framework-lab[{extra}]'"
    return DoctorCheck(module, present or None, what, fix)


def show_version() -> int:
    """Print what a bug report needs: versions, plugins, the machine; no names of hosts, users or folders."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    print(f"framework-lab {version('framework-lab')}")
    print(f"python {platform.python_version()} ({platform.python_implementation()})")
    print(f"system {platform.system()} {platform.release()} {platform.machine()}")
    for package in (
        "hydra-core",
        "omegaconf",
        "duckdb",
        "pyarrow",
        "numpy",
        "numba",
        "vllm",
        "torch",
        "cloudpickle",
    ):
        try:
            print(f"{package} {version(package)}")
        except PackageNotFoundError:
            print(f"{package} not installed")
    for plugin in discover().plugins:
        state = f" FAILED: {plugin.error}" if plugin.error else ""
        print(f"plugin {plugin.name} ({plugin.distribution} {plugin.version}){state}")
    named = sorted(
        name for name in os.environ if name.startswith(("FRAMEWORK_", "HYDRA_", "SLURM_JOB", "CUDA_VISIBLE"))
    )
    for name in named:
        print(f"{name}={os.environ[name]}")
    return 0
