"""Which code produced a number, in two hashes: what was executed, and what derived metrics from its tables.

The *execution hash* is part of every run key, so that a changed model never passes for the old one. The *derivation
hash* is kept on the run: when only it differs, metrics are derived again from the stored tables (`run.derivation`).
Neither changes with a comment, a report or a verb (`import_closure`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING

from framework.configuration.search_path import config_roots
from framework.contracts import Fingerprinted, SweepFingerprinted
from framework.errors import UserError
from framework.identity.fingerprint import source_fingerprint
from framework.identity.import_closure import Code, closure_hash
from framework.identity.run_key import canonical_hash
from framework.plugins import ask, discover, plugin_manager

if TYPE_CHECKING:
    from pluggy import HookImpl

_TARGET = re.compile(r"^\s*_target_\s*:\s*['\"]?([\w.]+)", re.MULTILINE)
_NOT_EXECUTED = ("advisor", "hydra")  # groups of classes that no run executes


def execution_hash(backend: object, collectors: Iterable[object] = (), *, of_sweep: bool = False) -> str:
    """Return the hash of what makes a run's tables: code of backend and collectors, and their fingerprints.

    Args:
        backend: an instance; what else its numbers depend on it says itself (`contracts.Fingerprinted`).
        collectors: likewise, in any order.
        of_sweep: ask for fingerprints that hold for every point of a sweep (`contracts.SweepFingerprinted`).
    """
    return canonical_hash([_executed(backend, of_sweep), *sorted(_executed(c, of_sweep) for c in collectors)])


def _executed(part: object, of_sweep: bool) -> list[str]:
    root = Code.of(type(part))
    code = closure_hash([root], discover().packages) or _distribution_version(root.module)
    if not isinstance(part, Fingerprinted):
        return [root.module, code]
    if not of_sweep:
        return [root.module, code, part.fingerprint()]
    try:
        return [
            root.module,
            code,
            part.sweep_fingerprint() if isinstance(part, SweepFingerprinted) else part.fingerprint(),
        ]
    except UserError:  # no engine here: the jobs will say so, each as a run
        return [root.module, code, "unknown"]


def code_version(backend: object, execution: str) -> str:
    """Return `package version+hash`: what a reader sees of the code; the version itself is no part of a key."""
    module = type(backend).__module__
    return f"{module.partition('.')[0]} {_distribution_version(module)}+{execution}"


def derivation_hash() -> str:
    """Return the hash of everything that turns tables into metrics and checks, of all plugins."""
    return canonical_hash(sorted([impl.plugin_name, hook_hash(impl.function)] for impl in deriving_hooks()))


def deriving_hooks() -> Iterator[HookImpl]:
    """Yield the implementations of `derived_metrics`, then of `sanity_checks`."""
    hook = plugin_manager().hook
    for caller in (hook.derived_metrics, hook.sanity_checks):
        yield from caller.get_hookimpls()


def hook_hash(function: Callable[..., object]) -> str:
    """Return the hash of a hook's implementation: its own code and all that it imports."""
    return closure_hash([Code.of(function)], discover().packages)


def meaning_hash() -> str:
    """Return a hash of what gives a sweep's overrides their meaning: configuration files, and the code they name.

    A job key is made of overrides alone. `model=x` names a file and `workload=y` a class, so a sweep may trust a job
    key only while neither has changed; run keys, made of the content itself, decide then.
    """
    roots = config_roots()
    texts = [source_fingerprint(folder, (".yaml",)) for folder in roots]
    classes = {*_classes_of_files(roots), *_classes_of_schemas()}
    code = closure_hash([Code(name.rpartition(".")[0]) for name in classes], discover().packages)
    return canonical_hash([texts, code])


def _classes_of_files(search_path: Iterable[Path]) -> Iterator[str]:
    for folder in search_path:
        for file in folder.rglob("*.yaml"):
            if file.relative_to(folder).parts[0] not in _NOT_EXECUTED:
                yield from _TARGET.findall(file.read_text(encoding="utf-8", errors="replace"))


def _classes_of_schemas() -> Iterator[str]:
    for _, schemas in ask("config_schemas", tuple):
        for group, _, node in (schema for schema in schemas if len(schema) == 3):
            if group not in _NOT_EXECUTED and is_dataclass(node):
                named = [item.default for item in fields(node) if item.name == "_target_"]
                yield from (name for name in named if isinstance(name, str) and "." in name)


@cache
def _distribution_version(module: str) -> str:
    package = module.partition(".")[0]
    # discovery knows its distributions; asking every installed one takes a tenth of a second
    for plugin in discover().plugins:
        if plugin.module.partition(".")[0] == package and plugin.version:
            return plugin.version
    for name in packages_distributions().get(package, ["framework-lab"]):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "unknown"
