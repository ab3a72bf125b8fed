"""The real engine on a CPU, for integration tests: where its interpreter is, and small loads for it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from framework.contracts import WorkloadTables
from framework_serving.tables import prefix_hashes_field, requests_in

ROOT = Path(__file__).parents[2]


def engine_python() -> str:
    """Return the interpreter that has vLLM; skip the test where there is none."""
    given = os.environ.get("FRAMEWORK_VLLM_PYTHON") or str(ROOT / ".venv-vllm" / "bin" / "python")
    if not os.access(given, os.X_OK):
        pytest.skip("no vLLM: FRAMEWORK_VLLM_PYTHON is not set and .venv-vllm is not there (.ci/vllm_cpu.sh)")
    return given


def group(folder: str, name: str) -> dict[str, Any]:
    """Return a configuration group's values."""
    values: dict[str, Any] = yaml.safe_load((ROOT / "conf" / folder / f"{name}.yaml").read_text())
    return values


def load(
    arrival_s: Sequence[float],
    input_tokens: int = 64,
    output_tokens: int = 16,
    adapters: Sequence[int | None] = (None,),
    prefixes: Sequence[Sequence[int]] | None = None,
    **facts: Any,
) -> WorkloadTables:
    """Return requests at these times; adapters are dealt round-robin, all of them have rank 8 or 4 in turn."""
    count = len(arrival_s)
    columns = [
        pa.array(range(count), pa.int64()),
        pa.array(arrival_s, pa.float64()),
        pa.array([input_tokens] * count, pa.int64()),
        pa.array([output_tokens] * count, pa.int64()),
        pa.array([adapters[number % len(adapters)] for number in range(count)], pa.int64()),
    ]
    schema = requests_in()
    if prefixes is not None:
        columns.append(pa.array(prefixes, pa.list_(pa.int64())))
        schema = schema.append(prefix_hashes_field())
    tables = {"requests": pa.table(columns, schema=schema)}
    used = sorted({identity for identity in adapters if identity is not None})
    if used:
        ranks = [(8, 4)[identity % 2] for identity in used]
        tables["adapters"] = pa.table(
            {"adapter_id": used, "rank": ranks, "rate_rps": pa.nulls(len(used), pa.float64())}
        )
    return WorkloadTables(tables, "hash", facts)
