"""An error that is not raised again nor told says why: a store that can't be read would look like an empty one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAYING_NOTHING_OF_WHAT_WAS_WRONG = frozenset(
    ("BaseException", "Exception", "UserError", "StoreError", "ConfigError", "InputError", "QueryError")
)
"""Classes for faults of many kinds; narrow ones (`FileNotFoundError`, `ValueError`) say what was expected."""
_WORTH_READING = re.compile(
    rf"(except|suppress\().*\b({'|'.join(sorted(SAYING_NOTHING_OF_WHAT_WAS_WRONG))})\b"
)


def _swallowed(file: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of each handler of a broad class that drops the error."""
    text = file.read_text(encoding="utf-8")
    if not _WORTH_READING.search(text):
        return
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            inside = [item for statement in node.body for item in ast.walk(statement)]
            told = node.name is not None and any(
                isinstance(item, ast.Name) and item.id == node.name for item in inside
            )
            if told or any(isinstance(item, ast.Raise) for item in inside):
                continue
            kinds, last = node.type, node.body[-1].end_lineno or node.lineno
        elif isinstance(node, ast.With) and any("suppress(" in ast.unparse(item) for item in node.items):
            kinds, last = node.items[0].context_expr, node.body[0].lineno
        else:
            continue
        names = {item.id for item in ast.walk(kinds) if isinstance(item, ast.Name)}
        if names & SAYING_NOTHING_OF_WHAT_WAS_WRONG:
            yield node.lineno, "\n".join(lines[node.lineno - 1 : last])


@pytest.mark.slow
def test_an_error_that_is_dropped_says_why() -> None:
    mute = [
        f"{file.relative_to(ROOT)}:{line}"
        for root in ("framework", "plugins")
        for file in sorted((ROOT / root).rglob("*.py"))
        for line, text in _swallowed(file)
        if "#" not in text
    ]
    assert mute == []
