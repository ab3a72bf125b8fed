"""Which code produced a number: part of every run key, so a changed model never passes for the old one."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path


@cache
def source_fingerprint(folder: Path, suffixes: tuple[str, ...] = (".py", ".yaml")) -> str:
    """Return a hash of the content of all source files below a folder, by relative path.

    A backend whose results are computed by its own code (a model) offers it as `fingerprint()`.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.suffix in suffixes and file.is_file():
            digest.update(str(file.relative_to(folder)).encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def code_version(backend: object) -> str:
    """Return `module version[+fingerprint]` of a backend.

    A backend may offer `fingerprint() -> str`. A real engine's own version is not known before it starts;
    it is a fact of the run, and the interpreter that runs it is part of the configuration.
    """
    package = type(backend).__module__.partition(".")[0]
    fingerprint = getattr(backend, "fingerprint", None)
    suffix = f"+{fingerprint()}" if callable(fingerprint) else ""
    return f"{package} {_distribution_version(package)}{suffix}"


@cache
def _distribution_version(package: str) -> str:
    for name in packages_distributions().get(package, ["framework-lab"]):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"
