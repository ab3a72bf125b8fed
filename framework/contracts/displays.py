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
    """A Plotly figure in a report, given as its JSON specification so that nothing heavy is imported.

    The page gives each series the colour of its name (its legend group, if it has one): the same one in every figure.
    A trace with a colour keeps it; that is for what is no series (a mark, a limit). The word `series` in place of a
    colour stands for that of the trace's series, and the key `thing` of a trace for another name than its own.

    Attributes:
        title: its heading.
        spec: `{"data": [traces], "layout": {...}}`.
        caption: what it shows, and what to look at.
        metrics: names of the metrics drawn; the page shows the SQL that gives them with their settings.
        sql: the SELECT that gives what is drawn, where it is something else.
        band: what bars and shades say of the uncertainty of a value, and where that is from.
    """

    title: str
    spec: Mapping[str, Any]
    caption: str = ""
    metrics: Sequence[str] = ()
    sql: str = ""
    band: str = ""

    def __post_init__(self) -> None:
        traces = self.spec.get("data", [])
        if not isinstance(traces, list | tuple) or not all(isinstance(trace, Mapping) for trace in traces):
            raise TypeError(f"figure '{self.title}': 'data' is not a list of traces")
        if not isinstance(self.spec.get("layout", {}), Mapping):
            raise TypeError(f"figure '{self.title}': 'layout' is not a mapping")


@dataclass(frozen=True)
class TableBlock:
    """A table in a report or on the terminal: column names and rows of plain values."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"table '{self.title}': a row of {len(row)} values under {len(self.columns)} columns"
                )


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
