"""Which code produced a number: part of every run key, so a changed model is never treated as the old one."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from framework.configuration.search_path import config_roots
from framework.plugins import discover


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


@cache
def installation_fingerprint() -> str:
    """Return a hash of what gives a configuration its meaning: configuration files and the plugins' sources.

    A job key is made of a sweep's overrides alone. `model=x` names a file and `workload=y` a class, so a sweep
    may trust a job key only while neither has changed; run keys, made of the content itself, decide then.
    """
    digest = hashlib.sha256()
    for root in config_roots():
        digest.update(source_fingerprint(root).encode())
    for plugin in discover().plugins:
        digest.update(f"{plugin.name} {plugin.version} {_package_fingerprint(plugin.module)}".encode())
    return digest.hexdigest()[:16]


def _package_fingerprint(module: str) -> str:
    """Return a hash of the sources of a module's top-level package; of the file for a lone module."""
    spec = find_spec(module.partition(".")[0])
    if spec is None:
        return ""
    if spec.submodule_search_locations:
        return "".join(source_fingerprint(Path(folder)) for folder in spec.submodule_search_locations)
    return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:16] if spec.origin else ""


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
    for (
        plugin
    ) in discover().plugins:  # knows its distribution; asking every installed one takes a tenth of a second
        if plugin.module.partition(".")[0] == package and plugin.version:
            return plugin.version
    for name in packages_distributions().get(package, ["framework-lab"]):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"
