"""The store's verbs as plain functions that return an exit status; what can go wrong is a `StoreError`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from framework.errors import ConfigError, did_you_mean
from framework.store.database import Store, runs_not_ingested

FORMATS = ("table", "csv", "json")


def run_sql(query: str, format: str, outputs: str) -> int:
    """Print the rows of a SELECT as a table, CSV or JSON. CSV and JSON print nothing but data to stdout."""
    if format not in FORMATS:
        raise ConfigError(f"unknown format '{format}'{did_you_mean(format, FORMATS)}")
    columns, rows = Store(outputs).rows(query)
    waiting = runs_not_ingested(Path(outputs))
    if format == "table":
        _print_table(columns, rows)
    else:
        from framework.store import result_formats

        write = result_formats.write_csv if format == "csv" else result_formats.write_json
        write(columns, rows, sys.stdout)
    if waiting:
        print(
            f"{waiting} finished runs are not in the store yet: framework ingest {outputs}", file=sys.stderr
        )
    return 0


def _print_table(columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    from framework.contracts import TableBlock
    from framework.report.terminal import print_table

    print_table(TableBlock("", columns, rows))


def run_ingest(outputs: str, rebuild: bool = False) -> int:
    """Pull new bundles into the database; report what was added, refused and is still running."""
    from framework.store.ingest import ingest
    from framework.store.ingest_progress import progress_bar

    with progress_bar() as progress:
        report = ingest(outputs, rebuild=rebuild, progress=progress)
    parts = [f"{report.added} runs added", f"{report.skipped} there already"]
    parts += [f"{report.running} running"] if report.running else []
    parts += [f"{report.stale} stale"] if report.stale else []
    parts += [f"{report.side_files} files of advice or predictions"] if report.side_files else []
    print(", ".join(parts) + f" ({report.duration_s:.1f} s)")
    for item in report.quarantined:
        print(f"quarantined: {item.reason}", file=sys.stderr)
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0
