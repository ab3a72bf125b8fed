"""A benchmark's input: made once by the engine itself, kept under a name that says all it depends on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.identity.run_key import canonical_hash
from framework_hadoop.benchmarks.data_size import format_size
from framework_hadoop.benchmarks.plan import BenchmarkPlan

GENERATOR_VERSION = 1
"""Raise it when a generator makes other bytes: stored input is then generated again."""

FACTS_FILE = "_facts"
PART_BYTES = 256 * 10**6


@dataclass(frozen=True)
class GeneratedInput:
    """Where a plan's input is.

    Attributes:
        location: folder or URI.
        properties: what the generating program needs to know.
    """

    location: str
    properties: Mapping[str, str]


def input_of(plan: BenchmarkPlan, data_dir: str, placement: Mapping[str, str]) -> GeneratedInput:
    """Return where the input of a plan is or will be.

    Its name depends on the kind, size and seed, on the generator's version, and on `placement` (block size and
    replication on HDFS), never on other knobs: all points of a sweep read the same files.
    """
    made_of: list[Any] = [GENERATOR_VERSION, plan.generator, plan.size_bytes, plan.records, plan.seed]
    key = canonical_hash([*made_of, dict(placement)])[:12]
    name = f"{plan.generator}-{format_size(plan.size_bytes)}-seed{plan.seed}-{key}"
    parts = max(1, -(-plan.size_bytes // PART_BYTES))
    properties = {**plan.properties(), "framework.parts": str(parts), **placement}
    return GeneratedInput(f"{data_dir.rstrip('/')}/{name}", properties)


def facts_of(folder: Path) -> dict[str, int] | None:
    """Return what the generator counted, if the folder is there and whole."""
    file = folder / FACTS_FILE
    return parse_facts(file.read_text()) if file.is_file() else None


def parse_facts(text: str) -> dict[str, int]:
    """Return the generator's counters by name."""
    return {str(name): int(value) for name, value in json.loads(text).items()}
