"""Reading a trace: chunk by chunk, no further than needed; bad rows are named by file and line."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from framework.errors import InputError
from framework_serving.workloads.recorded.trace_cells import Cells, Part
from framework_serving.workloads.recorded.trace_formats import TraceFormat, format_of
from framework_serving.workloads.recorded.trace_rows import TraceRows
from framework_serving.workloads.settings import TraceSettings

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    IntArray = npt.NDArray[np.int64]
    FloatArray = npt.NDArray[np.float64]

CHUNK_ROWS = 32_768


@dataclass(frozen=True)
class Trace:
    """A trace as read, rows in order of arrival, within the window and limit of the settings.

    Attributes:
        form: how the file is written.
        arrivals: seconds of the trace's own clock (since 1970 for dates); None if it has none.
        inputs, outputs: tokens.
        adapters: adapter name, or None for the base model.
        hash_ids: prefix blocks of each prompt, or None if the trace has none.
        ids, parents: of turns of sessions; None if the trace has none.
        left_out: rows that could not be read (with `skip_bad_rows`).
        failed: rows of requests that failed when the trace was taken.
        first_error: why the first of the rows left out could not be read.
    """

    form: TraceFormat
    arrivals: FloatArray | None
    inputs: IntArray
    outputs: IntArray
    adapters: list[str | None]
    hash_ids: list[list[int]] | None
    ids: list[str] | None = None
    parents: list[str] | None = None
    left_out: int = 0
    failed: int = 0
    first_error: str = ""


@dataclass
class _Columns:
    """What has been kept so far, a part a chunk."""

    arrivals: list[FloatArray] = field(default_factory=list)
    inputs: list[IntArray] = field(default_factory=list)
    outputs: list[IntArray] = field(default_factory=list)
    adapters: list[str | None] = field(default_factory=list)
    hash_ids: list[list[int]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    rows: int = 0


class TraceReader:
    """Reads one file with the columns, format and tolerance of the settings."""

    def __init__(self, file: Path, settings: TraceSettings) -> None:
        self._file, self._settings = file, settings
        limits = [limit for limit in (settings.limit, settings.max_requests) if limit is not None]
        self._limit = min(limits) if limits else None

    def read(self) -> Trace:
        """Return the trace. Raises `InputError` naming file, line and column."""
        rows = TraceRows(self._file, self._settings)
        size = CHUNK_ROWS if self._limit is None else max(256, min(CHUNK_ROWS, self._limit))
        chunks = rows.chunks(size)
        form = format_of(self._file, self._settings, rows.names)
        rows.check_columns(form)
        cells = Cells(
            self._file, self._settings, form, rows.names if rows.kind == "csv" else (), rows.decimal_comma
        )
        kept, seen, last = _Columns(), False, float("-inf")
        for lines, records in chunks:
            part = cells.parsed(lines, records)
            seen = seen or len(part.inputs) > 0
            if part.arrivals is not None and not self._settings.sort:
                last = self._check_order(part.lines, part.arrivals, last)
            if self._keep(kept, part):
                break
        if not seen:
            raise InputError(f"{self._file}: no request in it")
        return self._whole(form, kept, cells)

    def _check_order(self, lines: IntArray, arrivals: FloatArray, last: float) -> float:
        import numpy as np

        before = np.concatenate([[last], arrivals[:-1]])
        wrong = np.flatnonzero(arrivals < before)
        if wrong.size:
            row = int(wrong[0])
            raise InputError(
                f"{self._file}, line {lines[row]}: arrival {arrivals[row]:.12g} is earlier than the arrival "
                f"before it ({before[row]:.12g}); sort the file or set workload.sort=true"
            )
        return float(arrivals[-1]) if arrivals.size else last

    def _keep(self, kept: _Columns, part: Part) -> bool:
        """Add the rows within window and limit; return whether no later row can be among them."""
        import numpy as np

        settings = self._settings
        chosen, ended = np.arange(len(part.inputs)), False
        if part.arrivals is not None and not settings.sort:  # rows in any order are chosen once all are known
            chosen = np.flatnonzero(self._in_window(part.arrivals))
            end = settings.window_end_s
            ended = end is not None and bool(part.arrivals.size) and float(part.arrivals[-1]) >= end
        if self._limit is not None and not settings.sort:
            chosen = chosen[: self._limit - kept.rows]
        if part.arrivals is not None:
            kept.arrivals.append(part.arrivals[chosen])
        kept.inputs.append(part.inputs[chosen])
        kept.outputs.append(part.outputs[chosen])
        for name in ("adapters", "hash_ids", "ids", "parents"):
            values = getattr(part, name)
            if values is not None:
                getattr(kept, name).extend(values[row] for row in chosen)
        kept.rows += len(chosen)
        return ended or (not settings.sort and self._limit is not None and kept.rows >= self._limit)

    def _in_window(self, clock: FloatArray) -> npt.NDArray[np.bool_]:
        import numpy as np

        end = np.inf if self._settings.window_end_s is None else self._settings.window_end_s
        inside: npt.NDArray[np.bool_] = (clock >= self._settings.window_start_s) & (clock < end)
        return inside

    def _whole(self, form: TraceFormat, kept: _Columns, cells: Cells) -> Trace:
        import numpy as np

        arrivals = np.concatenate(kept.arrivals) if kept.arrivals else None
        order = np.arange(kept.rows)
        if self._settings.sort and arrivals is not None:
            arrivals = arrivals - arrivals.min() if cells.dated else arrivals
            order = np.argsort(arrivals, kind="stable")
            order = order[self._in_window(arrivals[order])]
        order = order[: self._limit]
        if not order.size:
            raise InputError(f"{self._file}: no request within the configured window and limit")
        columns = form.columns

        def listed(values: list[str]) -> list[str]:
            return [values[row] for row in order]

        return Trace(
            form,
            None if arrivals is None else arrivals[order],
            np.concatenate(kept.inputs)[order],
            np.concatenate(kept.outputs)[order],
            [kept.adapters[row] if kept.adapters else None for row in order],
            [kept.hash_ids[row] for row in order] if columns.hash_ids is not None else None,
            listed(kept.ids) if columns.id is not None else None,
            listed(kept.parents) if columns.parent is not None else None,
            cells.left_out,
            cells.failed,
            cells.first_error,
        )
