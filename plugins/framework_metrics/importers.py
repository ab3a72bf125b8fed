"""Importers of recorded series. Imported by `plugins` and `import`: what reads a file is imported when it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from framework.contracts import ImportedRun, Importer


def _dmon(file: Path) -> Iterator[ImportedRun]:
    from framework_metrics.recorded_series.dmon import read_dmon

    return read_dmon(file)


def _smi_query(file: Path) -> Iterator[ImportedRun]:
    from framework_metrics.recorded_series.smi_query import read_smi_query

    return read_smi_query(file)


def _gpu_series(file: Path) -> Iterator[ImportedRun]:
    from framework_metrics.recorded_series.columns import read_gpu_series

    return read_gpu_series(file)


IMPORTERS = (
    Importer("dmon", "output of `nvidia-smi dmon`", _dmon),
    Importer("nvidia-smi", "output of `nvidia-smi --query-gpu=timestamp,… --format=csv`", _smi_query),
    Importer("gpu-series", "CSV with time_s and one column per series (gpu_power_w, …)", _gpu_series),
)
