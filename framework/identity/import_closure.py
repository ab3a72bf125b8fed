"""The source code behind a class or a function: its module, everything that imports within it, in one hash.

The closure is static: imports at the top of a module and inside functions, modules named by a text
(`python -m package.module`), and data files beside a module that it names by a text. It stays within the
plugins' packages and the framework, since what third-party packages do is theirs to version (provenance keeps them).
A plugin's module counts as a whole; of the framework, and of the module of a hook, only what is reached.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from framework.configuration.resources import cache_folder
from framework.identity.run_key import canonical_hash
from framework.identity.source_units import Unit, source_units

CORE = "framework"
# These carry configurations, results and messages from one to the other, and compute none.
_CARRIERS = ("framework.contracts", "framework.errors", "framework.plugins", "framework.configuration")


@dataclass(frozen=True)
class Code:
    """Where a closure begins: a module or, with `name`, one function or class of it."""

    module: str
    name: str = ""

    @classmethod
    def of(cls, thing: object) -> Code:
        """Return the module of a class or of an object's class; of a function, the function (or its class)."""
        if isinstance(thing, type):
            return cls(thing.__module__)
        name = getattr(thing, "__qualname__", None)
        if name is None:
            return cls(type(thing).__module__)
        return cls(str(thing.__module__), "" if "<" in name else name.partition(".")[0])


def closure_hash(roots: Iterable[Code], packages: Iterable[str]) -> str:
    """Return the hash of the code behind `roots`, "" where none of it is a source file.

    Comments, docstrings, blank lines and blocks for type checkers don't change it, and neither does a module that
    nothing in the closure imports.

    Args:
        roots: where to begin.
        packages: top-level packages to stay within, beside those of the roots and the framework itself.
    """
    wanted = sorted({(root.module, root.name) for root in roots})
    tops = {CORE, *packages, *(module.partition(".")[0] for module, _ in wanted)}
    places = {top: place for top in sorted(tops) if (place := _place_of(top)) is not None}
    key = canonical_hash([sys.version_info[:2], wanted, {top: str(place) for top, place in places.items()}])
    kept = cache_folder("closures") / f"{key}.json"
    known = _still_valid(kept)
    if known is not None:
        return known
    closure = _Closure(places)
    closure.follow(Code(*root) for root in wanted)
    _keep(kept, closure)
    return closure.hash


def _place_of(top: str) -> Path | None:
    """Return the folder of a top-level package, or the file of a lone module, without importing it."""
    spec = find_spec(top)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin and spec.has_location else None


@dataclass(frozen=True)
class _Source:
    """A module's file: its units, and the package that its relative imports start from."""

    file: Path
    package: str
    units: tuple[Unit, ...]


@dataclass
class _Closure:
    """A closure under construction: what has been reached so far, and the files that were read for it."""

    places: dict[str, Path]
    reached: dict[str, set[int]] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    files: dict[Path, None] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        if not self.reached:
            return ""
        code = {
            module: [source.units[place].digest for place in sorted(places)]
            for module, places in self.reached.items()
            if (source := self._source(module)) is not None
        }
        return canonical_hash([code, self.data])

    def follow(self, roots: Iterable[Code]) -> None:
        """Add everything behind the roots."""
        todo = list(roots)
        by_name = {root.module for root in todo if root.name}
        while todo:
            code = todo.pop()
            source = self._source(code.module)
            if source is None:
                continue
            parent = code.module.rpartition(".")[0]
            if parent:
                todo.append(Code(parent))
            in_part = code.name and (_of_core(code.module) or code.module in by_name)
            reached = self.reached.setdefault(code.module, set())
            for place, unit in enumerate(source.units):
                if place in reached or (in_part and unit.names and code.name not in unit.names):
                    continue
                reached.add(place)
                if in_part:
                    todo += [Code(code.module, name) for name in unit.refs]
                todo += self._behind(source, unit)

    def _behind(self, source: _Source, unit: Unit) -> Iterator[Code]:
        """Yield what a unit imports or names by a text; add the data files that it names."""
        for level, module, name in unit.imports:
            if level:
                above = source.package.split(".")[: 1 - level or None]
                module = ".".join([*above, module]) if module else ".".join(above)
            inner = f"{module}.{name}"
            yield Code(inner) if name and self._file(inner) is not None else Code(module, name)
        for text in unit.texts:
            beside = source.file.parent / text
            if beside.suffix == ".py" and beside.is_file():
                yield Code(f"{source.package}.{beside.stem}")
            elif beside.is_file():
                self.files[beside] = None
                self.data[f"{source.package}/{text}"] = hashlib.sha256(beside.read_bytes()).hexdigest()
            elif self._file(text) is not None:
                yield Code(text)

    def _source(self, module: str) -> _Source | None:
        file = None if module.startswith(_CARRIERS) or module == CORE else self._file(module)
        if file is None:
            return None
        self.files[file] = None
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        return _Source(file, package, _units_of(file, file.stat().st_mtime_ns))

    def _file(self, module: str) -> Path | None:
        """Return the source file of a module within the packages, else None."""
        top, *inner = module.split(".")
        place = self.places.get(top)
        if place is None:
            return None
        if place.is_file():
            return place if not inner and place.suffix == ".py" else None
        path = place.joinpath(*inner)
        found = (path / "__init__.py", path.with_suffix(".py")) if inner else (path / "__init__.py",)
        return next((file for file in found if file.is_file()), None)


def _of_core(module: str) -> bool:
    return module.partition(".")[0] == CORE


@cache
def _units_of(file: Path, changed_ns: int) -> tuple[Unit, ...]:
    try:
        return source_units(file.read_text(encoding="utf-8"), str(file))
    except (OSError, SyntaxError, ValueError):
        return (Unit((), "unreadable"),)  # whoever imports it says what is wrong with it


def _still_valid(kept: Path) -> str | None:
    """Return the hash that is kept there while all its files have the size and time they had."""
    try:
        found = json.loads(kept.read_bytes())
        if all(_stamp(file) == stamp for file, stamp in found["files"].items()):
            return str(found["hash"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return None


def _keep(kept: Path, closure: _Closure) -> None:
    """Keep a closure's hash with the stamps of its files; a cache that can't be written costs time only."""
    try:
        document = {"hash": closure.hash, "files": {str(file): _stamp(file) for file in closure.files}}
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(document))
        draft.replace(kept)
    except OSError:
        return


def _stamp(file: Path | str) -> list[int]:
    state = os.stat(file)
    return [state.st_size, state.st_mtime_ns, state.st_ino]
