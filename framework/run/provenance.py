"""Where a number came from: code, packages, machine, accelerator, scheduler, command line.

What can't change while a process lives is read once. What is unknown is absent, never guessed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from framework.contracts import Json
from framework.plugins import discover

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_GPU_FIELDS = (
    "name,uuid,driver_version,memory.total,clocks.max.sm,clocks.max.memory,"
    "clocks.current.sm,power.limit,mig.mode.current"
)
JOB = "FRAMEWORK_JOB"
"""Environment variable: the id of the queue's job in whose task this process works."""

_SLURM_VARIABLES = (
    "SLURM_JOB_ID",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_NODELIST",
    "SLURMD_NODENAME",
    "SLURM_CLUSTER_NAME",
)


def provenance() -> dict[str, Json]:
    """Return everything known about where this process runs, nested by subject."""
    return {
        "command_line": shlex.join(_readable_command()),
        **lasting_provenance(),
        "gpu": gpu_state(),
        "slurm": slurm_state(os.environ),
        **({"job": os.environ[JOB]} if JOB in os.environ else {}),
    }


def lasting_provenance() -> dict[str, Json]:
    """Return what all runs of this process, and of its copies, have in common."""
    return {"git": git_state(), "packages": package_state(), "host": host_state()}


def _readable_command() -> list[str]:
    program = Path(sys.argv[0])
    if program.name == "__main__.py":
        return ["python", "-m", program.parent.name, *sys.argv[1:]]
    return [program.name, *sys.argv[1:]]


def _output(*command: str, cwd: Path | None = None, timeout_s: float = 5.0) -> str | None:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@cache
def git_state() -> dict[str, Json]:
    """Return commit and, if the tree is dirty, a hash of its difference; empty outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return {}
    commit = _output("git", "rev-parse", "HEAD", cwd=root)
    status = _output("git", "status", "--porcelain", cwd=root)
    if commit is None or status is None:
        return {}
    state: dict[str, Json] = {"commit": commit, "dirty": bool(status)}
    if status:
        difference = _output("git", "diff", "HEAD", cwd=root) or ""
        state["dirty_hash"] = hashlib.sha256((status + difference).encode()).hexdigest()[:16]
    return state


@cache
def package_state() -> dict[str, Json]:
    """Return the interpreter, a hash of all installed distributions, and the versions that matter most."""
    from importlib.metadata import distributions

    versions = dict(_name_and_version(dist) for dist in distributions())
    listing = "\n".join(sorted(f"{name}=={version}" for name, version in versions.items()))
    plugins = {plugin.distribution for plugin in discover().plugins}
    shown = sorted({"framework-lab", "hydra-core", "duckdb", "pyarrow", "numpy", *plugins})
    return {
        "python": platform.python_version(),
        "set_hash": hashlib.sha256(listing.encode()).hexdigest()[:16],
        "versions": {name: versions[name] for name in shown if name in versions},
    }


def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    """Return name and version of a distribution from the first lines of its metadata.

    `Distribution.metadata` parses the whole file as a letter, with the project's page in it: a millisecond each.
    """
    found: dict[str, str] = {}
    for line in (distribution.read_text("METADATA") or "").splitlines():
        field, colon, value = line.partition(":")
        if field in ("Name", "Version"):
            found[field] = value.strip()
        if not colon or len(found) == 2:
            break
    if len(found) < 2:  # of another kind
        return distribution.metadata["Name"], distribution.version
    return found["Name"], found["Version"]


@cache
def host_state() -> dict[str, Json]:
    """Return host name, kernel, CPU model, usable cores and memory."""
    state: dict[str, Json] = {
        "name": platform.node(),
        "system": platform.platform(),
        "cpu_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    model = _first_value(Path("/proc/cpuinfo"), "model name")
    if model:
        state["cpu"] = model
    memory = _first_value(Path("/proc/meminfo"), "MemTotal")
    if memory:
        state["memory_gib"] = round(int(memory.split()[0]) / 2**20, 2)
    return state


def _first_value(file: Path, key: str) -> str | None:
    try:
        with file.open() as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() == key:
                    return value.strip()
    except OSError:
        pass
    return None


@cache
def gpu_state() -> list[Json]:
    """Return one entry a visible NVIDIA GPU: name, driver, memory, clocks, power limit; empty without one."""
    if shutil.which("nvidia-smi") is None:
        return []
    listing = _output("nvidia-smi", f"--query-gpu={_GPU_FIELDS}", "--format=csv,noheader,nounits")
    if not listing:
        return []
    names = [name.replace(".", "_") for name in _GPU_FIELDS.split(",")]
    return [
        dict(zip(names, (cell.strip() for cell in line.split(",")), strict=False))
        for line in listing.splitlines()
    ]


def slurm_state(environment: Mapping[str, str]) -> dict[str, Json]:
    """Return job, array task, partition and node of a SLURM job; empty outside one."""
    return {
        name.removeprefix("SLURM_").lower(): environment[name]
        for name in _SLURM_VARIABLES
        if name in environment
    }
