"""Traces as small files, and what is read of them."""

from __future__ import annotations

from pathlib import Path

from framework.contracts import WorkloadTables
from framework_serving.workloads.trace import TraceWorkload

HEADER = "arrival_s,input_tokens,output_tokens\n"


def build(file: Path, **keys: object) -> WorkloadTables:
    return TraceWorkload(file=str(file), **keys).build(0)


def csv_file(folder: Path, rows: str, header: str = HEADER) -> Path:
    path = folder / "trace.csv"
    path.write_text(header + rows)
    return path


def arrivals(built: WorkloadTables) -> list[float]:
    return list(built.tables["requests"]["arrival_s"].to_pylist())
