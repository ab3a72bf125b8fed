"""`import nsight FILE`: a profile made elsewhere becomes a run."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import InputError

if TYPE_CHECKING:
    from framework.contracts import ImportedRun, Importer
    from framework.input_files.file_head import FileHead

_CHUNK = 1 << 20


def nsight_importer() -> Importer:
    """Return the importer."""
    from framework.contracts import Importer

    return Importer(
        "nsight",
        "Nsight export: .sqlite, folder of Parquet, .nsys-rep, raw .csv of ncu, .ncu-rep",
        read_nsight,
        _recognised,
        folders=True,
    )


def _recognised(head: FileHead) -> str | None:
    """Say whether a file is an export or a report of Nsight."""
    if head.data.startswith(b"SQLite format 3"):
        return "SQLite export of Nsight Systems" if b"CUPTI" in head.data or b"NVTX" in head.data else None
    header = next((line for line in head.lines if '"Kernel Name"' in line and '"ID"' in line), None)
    if header is not None:
        return "details page of Nsight Compute" if '"Metric Name"' in header else "raw page of Nsight Compute"
    return None


def read_nsight(path: Path) -> Iterator[ImportedRun]:
    """Yield the one run of a file. Raises `InputError`, one line, for what can't be read."""
    from framework.contracts import ImportedRun
    from framework_metrics.nsight.results import read_profile
    from framework_metrics.nsight.tools import exported

    if not path.exists():
        raise InputError(f"{path}: no such file")
    with tempfile.TemporaryDirectory(prefix="framework-nsight-") as folder:
        result = read_profile(exported(path, Path(folder)))
    gpus = result.facts.get("gpus") or []
    config = {
        "backend": {"name": "recorded"},
        "gpu": {"name": str(gpus[0]) if gpus else None},
        "nsight": {"tool": result.facts["tool"], "file": path.name},
    }
    yield ImportedRun(_digest(path), "import:nsight", "recorded", config, result)


def kineto_importer() -> Importer:
    """Return the importer of PyTorch's traces."""
    from framework.contracts import Importer

    return Importer("kineto", "trace of PyTorch's profiler (JSON)", read_kineto_trace, _is_kineto)


def _is_kineto(head: FileHead) -> str | None:
    text = head.text[:4096]
    return (
        "trace of PyTorch's profiler" if '"traceEvents"' in head.text or '"schemaVersion"' in text else None
    )


def read_kineto_trace(path: Path) -> Iterator[ImportedRun]:
    """Yield the one run of a trace. Raises `InputError`, one line, for what can't be read."""
    from framework.contracts import ImportedRun
    from framework_metrics.nsight.exports.kineto_trace import read_kineto
    from framework_metrics.nsight.results import timeline_result
    from framework_metrics.nsight.timeline import analyse

    export = read_kineto(path)
    result = timeline_result(export, analyse(export), tool="kineto")
    gpus = result.facts["gpus"] or []
    config = {
        "backend": {"name": "recorded"},
        "gpu": {"name": str(gpus[0]) if gpus else None},
        "nsight": {"tool": "kineto", "file": path.name},
    }
    yield ImportedRun(_digest(path), "import:kineto", "recorded", config, result)


def _digest(path: Path) -> str:
    """Return a hash of a file's content, or of every file's in a folder."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.parquet")) if path.is_dir() else [path]:
        digest.update(file.name.encode() if path.is_dir() else b"")
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()[:24]
