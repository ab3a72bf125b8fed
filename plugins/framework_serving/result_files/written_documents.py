"""Reports that a tool writes as JSON or as YAML, by the user's choice: one reader for both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from framework.errors import InputError, one_line
from framework.input_files.file_head import FileHead, json_records
from framework.input_files.opening import opened_text


def documents(file: Path) -> Iterator[tuple[int, Any]]:
    """Yield (number of the line where it begins, value) of JSON documents, or of the one document of a YAML file.

    Raises:
        InputError: it is neither, breaks off, or a key occurs twice in an object.
    """
    if FileHead(file).text.lstrip()[:1] == "{":
        yield from json_records(file)
        return
    import yaml  # type: ignore[import-untyped]

    with opened_text(file) as text:
        try:
            yield 1, yaml.load(text, _loader())
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            raise InputError(f"{file}{where}: is not YAML: {one_line(error)}") from None


def _loader() -> type[Any]:
    """Return YAML's safe loader, but for keys that occur twice: which of the two values counts?"""
    import yaml

    class EachKeyOnce(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            names = [key.value for key, _ in node.value]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"key '{twice}' occurs twice")
            return super().construct_mapping(node, deep)

    return EachKeyOnce
