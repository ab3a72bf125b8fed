"""Importers of recorded series. Imported by `plugins` and `import`: what reads a file is imported when it does."""

from __future__ import annotations

import re
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


def _dcgmi(file: Path, **options: str) -> Iterator[ImportedRun]:
    from framework_metrics.recorded_series.dcgm import read_dcgmi

    return read_dcgmi(file, **options)


def _exporter(file: Path, **options: str) -> Iterator[ImportedRun]:
    from framework_metrics.recorded_series.dcgm import read_exporter

    return read_exporter(file, **options)


def _zeus(file: Path, **options: str) -> Iterator[ImportedRun]:
    from framework_metrics.recorded_series.energy_logs import read_zeus

    return read_zeus(file, **options)


def _codecarbon(file: Path) -> Iterator[ImportedRun]:
    from framework_metrics.recorded_series.energy_logs import read_codecarbon

    return read_codecarbon(file)


def _is_dcgmi(head: FileHead) -> str | None:
    return "output of dcgmi dmon" if head.lines and head.lines[0].lstrip("# ").startswith("Entity") else None


def _is_exporter(head: FileHead) -> str | None:
    text = head.text
    return "metrics of dcgm-exporter" if "DCGM_FI_" in text and "{" in text else None


def _is_zeus(head: FileHead) -> str | None:
    windows = {"window_name", "elapsed_time", "gpu0_energy"} <= set(head.columns)
    power = {"time", "gpu_id", "power_draw"} <= set(head.columns)
    return "log of Zeus" if windows or power else None


def _is_codecarbon(head: FileHead) -> str | None:
    return "emissions.csv of CodeCarbon" if {"emissions", "energy_consumed"} <= set(head.columns) else None


def _is_dmon(head: FileHead) -> str | None:
    first = head.lines[0].lower() if head.lines else ""
    return "output of nvidia-smi dmon" if re.match(r"#.*\bgpu\b", first) and "entity" not in first else None


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
    Importer("dcgmi", "output of `dcgmi dmon`", _dcgmi, _is_dcgmi, options=("interval_s", "grid")),
    Importer("dcgm", "text of dcgm-exporter", _exporter, _is_exporter, options=("interval_s", "grid")),
    Importer("zeus", "CSV of Zeus: windows of energy, or power", _zeus, _is_zeus, options=("grid",)),
    Importer("codecarbon", "emissions.csv of CodeCarbon", _codecarbon, _is_codecarbon),
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
