"""What a plugin shows: tables, figures, sections of reports, lines of `doctor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framework.contracts.advising import StoreReader


@dataclass(frozen=True)
class DoctorCheck:
    """One line of `doctor`: what this machine can run and, where it can't, the line that fixes it."""

    name: str
    ok: bool | None  # None: does not apply here
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class Figure:
    """A Plotly figure in a report, given as its JSON specification so that nothing heavy is imported."""

    title: str
    spec: Mapping[str, Any]  # {"data": [...], "layout": {...}}
    caption: str = ""


@dataclass(frozen=True)
class TableBlock:
    """A table in a report or on the terminal: column names and rows of plain values."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""


@dataclass(frozen=True)
class ReportSection:
    """A section of the HTML report; blocks are shown in order."""

    title: str
    blocks: Sequence[Figure | TableBlock | str]
    order: int = 50


@dataclass(frozen=True)
class ReportScope:
    """What a report is about: read access, the experiment, and the runs in it."""

    store: StoreReader
    experiment: str
    run_ids: Sequence[str]
    claims_file: Path | None = None
