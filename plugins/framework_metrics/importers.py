"""Importers of recorded series. Imported by `plugins` and `import`: what reads a file is imported when it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from framework.contracts import ImportedRun, Importer

if TYPE_CHECKING:
    from framework.input_files.file_head import FileHead


def _dmon(file: Path, **options: str) -> Iterator[ImportedRun]:
    from framework_metrics.recorded_series.dmon import read_dmon

    return read_dmon(file, **options)


def _smi_query(file: Path, **options: str) -> Iterator[ImportedRun]:
    from framework_metrics.recorded_series.smi_query import read_smi_query

    return read_smi_query(file, **options)


def _gpu_series(file: Path, **options: str) -> Iterator[ImportedRun]:
    from framework_metrics.recorded_series.columns import read_gpu_series

    return read_gpu_series(file, **options)


def _is_dmon(head: FileHead) -> str | None:
    first = head.lines[0].lower() if head.lines else ""
    return "output of nvidia-smi dmon" if first.startswith("#") and "gpu" in first else None


def _is_smi_query(head: FileHead) -> str | None:
    names = {name.partition(" ")[0] for name in head.columns}
    return (
        "output of nvidia-smi --query-gpu"
        if "timestamp" in names and any("." in name for name in names)
        else None
    )


def _is_gpu_series(head: FileHead) -> str | None:
    return "series with a column time_s" if "time_s" in head.columns else None


IMPORTERS = (
    Importer("dmon", "output of `nvidia-smi dmon`", _dmon, _is_dmon, options=("interval_s", "grid")),
    Importer(
        "nvidia-smi",
        "output of `nvidia-smi --query-gpu=timestamp,… --format=csv`",
        _smi_query,
        _is_smi_query,
        options=("grid",),
    ),
    Importer(
        "gpu-series",
        "CSV with time_s and one column per series (gpu_power_w, …)",
        _gpu_series,
        _is_gpu_series,
        options=("grid",),
    ),
)
