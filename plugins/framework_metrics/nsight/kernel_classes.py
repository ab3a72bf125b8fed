"""What a GPU kernel does, by its name; the table of patterns is `kernel_classes.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

OTHER = "other"
MEMORY_COPY = "memcpy"
GRAPH = "cuda_graph"
"""A whole CUDA graph as one entry: the profiler did not trace its kernels one by one."""


@cache
def kernel_class(name: str) -> str:
    """Return the class of a kernel: `attention`, `matmul`, `elementwise` …; `other` for a name nothing matches."""
    text = name.lower()
    return next((kind for kind, pattern in _patterns().items() if pattern.search(text)), OTHER)


def kernel_kinds() -> tuple[str, ...]:
    """Return every class, in the order of the table, then copies, whole graphs and the rest."""
    return (*_patterns(), MEMORY_COPY, GRAPH, OTHER)


@cache
def _patterns() -> Mapping[str, re.Pattern[str]]:
    import yaml  # type: ignore[import-untyped]

    table = yaml.safe_load(Path(__file__).with_name("kernel_classes.yaml").read_text(encoding="utf-8"))
    return {kind: re.compile("|".join(f"(?:{item})" for item in items)) for kind, items in table.items()}
