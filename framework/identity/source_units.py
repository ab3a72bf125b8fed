"""What a Python source file does, statement by statement, with digests that comments and docstrings don't change."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_FILE_OR_MODULE = re.compile(r"([\w-]+(?:\.[\w-]+)+)(?::\w+)?")


@dataclass(frozen=True)
class Unit:
    """One top-level statement of a module; of an import, one of its names.

    Attributes:
        names: what it binds in the module; empty for a statement that only has an effect.
        digest: of its syntax tree, without docstrings and blocks for type checkers.
        refs: names of the module that it mentions.
        imports: (level, module, name) of every import within; name "" for `import module`.
        texts: file and module names among its string constants (`table.yaml`, `package.module`, `package.module:X`).
    """

    names: tuple[str, ...]
    digest: str
    refs: tuple[str, ...] = ()
    imports: tuple[tuple[int, str, str], ...] = ()
    texts: tuple[str, ...] = ()


def source_units(source: str, name: str = "<source>") -> tuple[Unit, ...]:
    """Return the units of a module's source. Raises `SyntaxError`."""
    readers = [_read(statement) for statement in _statements(ast.parse(source, name).body)]
    bound = {name for reader in readers for name in reader.bound}
    return tuple(unit for reader in readers for unit in reader.units(bound))


@dataclass
class _Reader:
    """Collects what one statement says, in the order of its syntax tree."""

    parts: list[str] = field(default_factory=list)
    bound: list[str] = field(default_factory=list)
    mentioned: set[str] = field(default_factory=set)
    imports: list[tuple[int, str, str]] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    aliases: Sequence[ast.alias] = ()

    def units(self, bound: set[str]) -> Iterator[Unit]:
        """Return the statement's units; `bound` are all names of the module."""
        if self.aliases:  # each name that an import brings can be followed on its own
            for alias, imported in zip(self.aliases, self.imports, strict=True):
                name = alias.asname or alias.name.partition(".")[0]
                yield Unit((name,), _digest([*map(str, imported), name]), (), (imported,))
            return
        refs = tuple(sorted(self.mentioned & bound))
        texts = tuple(sorted(self.texts))
        yield Unit(tuple(dict.fromkeys(self.bound)), _digest(self.parts), refs, tuple(self.imports), texts)

    def read(self, node: ast.AST, inside: bool) -> None:
        """Add a node; `inside` a function or class, where names are not the module's."""
        self.parts.append(type(node).__name__)
        if isinstance(node, ast.Constant):
            self.parts.append(f"{type(node.value).__name__} {node.value!r}")
            named = _FILE_OR_MODULE.fullmatch(node.value) if isinstance(node.value, str) else None
            if named:
                self.texts.add(named[1])
            return
        if isinstance(node, ast.Import):
            self.imports += [(0, alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            self.imports += [(node.level, node.module or "", alias.name) for alias in node.names]
        if not inside:
            self.bound += _bound_by(node)
        if isinstance(node, ast.Name):
            self.mentioned.add(node.id)
        inside = inside or isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
        )
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or value == [] or isinstance(value, ast.expr_context):
                continue  # what later versions of Python have added is empty in older code
            self.parts.append(name)
            if isinstance(value, list) and name in ("body", "orelse", "finalbody"):
                for child in _statements(value):
                    self.read(child, inside)
            elif isinstance(value, list):
                for item in value:
                    self.read(item, inside) if isinstance(item, ast.AST) else self.parts.append(repr(item))
            elif isinstance(value, ast.AST):
                self.read(value, inside)
            else:
                self.parts.append(repr(value))
            self.parts.append(".")


def _read(statement: ast.AST) -> _Reader:
    reader = _Reader()
    reader.read(statement, inside=False)
    if isinstance(statement, ast.Import | ast.ImportFrom):
        reader.aliases = statement.names
    return reader


def _bound_by(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    return []


def _statements(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Yield what is executed: no docstrings (nor texts that describe a constant), no block for type checkers."""
    for node in body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            yield from _statements(node.orelse)
        else:
            yield node


def _is_type_checking(test: ast.expr) -> bool:
    name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
    return name == "TYPE_CHECKING"


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]
