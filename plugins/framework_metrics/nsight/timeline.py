"""From a timeline of GPU work to time by class of kernel, host gaps, and mean counters, by phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from framework_metrics.nsight.exports.nsys_export import COPIES, GRAPHS, NsysExport
from framework_metrics.nsight.kernel_classes import GRAPH, MEMORY_COPY, kernel_class, kernel_kinds

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

WHOLE = "all"
HOST_GAP = "host gap"
MAX_PHASES = 10
"""Marked phases that are kept, the longest first: a trace with PyTorch's own ranges has one an operator."""
MAX_KERNELS = 200
"""Kernels that are kept by name, the longest first."""

COUNTERS: dict[str, tuple[str, ...]] = {
    "nsight_dram_read_pct": ("dram read",),
    "nsight_dram_write_pct": ("dram write",),
    "nsight_warps_in_flight_pct": ("compute warps in flight",),
    "nsight_sm_active_pct": ("sms active", "sm active"),
    "nsight_tensor_active_pct": ("tensor active",),
}
"""Metric → beginnings of the counter's name in Nsight Systems, in small letters; names differ between GPUs."""


_METRIC_OF_COUNTER = (
    "CASE "
    + " ".join(
        f"WHEN starts_with(lower(name), '{beginning}') THEN '{metric}'"
        for metric, beginnings in COUNTERS.items()
        for beginning in beginnings
    )
    + " END"
)


@dataclass(frozen=True)
class Phase:
    """Time of one phase, summed over devices.

    Attributes:
        name: `all`, from the first kernel to the last; else the first word of the NVTX ranges that mark it.
        window_s: its length.
        busy_s: time with any work on the device.
        seconds: time by class of kernel; together more than `busy_s` where kernels overlap.
    """

    name: str
    window_s: float
    busy_s: float
    seconds: dict[str, float]

    @property
    def gap_share(self) -> float:
        """Share of the window without work on the device: the host's time, seen from the GPU."""
        return 1.0 - self.busy_s / self.window_s

    def share(self, kind: str) -> float:
        """Share of the window in kernels of a class."""
        return self.seconds.get(kind, 0.0) / self.window_s


@dataclass(frozen=True)
class Timeline:
    """What a trace says.

    Attributes:
        phases: `all` first, then marked phases by their length.
        kernels: `phase, kind, name, calls, total_s, mean_us, share`, the longest of the whole trace.
        counters: mean of each counter over the window, by metric (`COUNTERS`).
        samples: counters over time, `t_s, name, value`, thinned.
        unresolved_share: share of the window in CUDA graphs whose kernels were not traced one by one.
    """

    phases: tuple[Phase, ...]
    kernels: pa.Table
    counters: dict[str, float]
    counter_updates: int
    samples: pa.Table
    unresolved_share: float

    def phase(self, name: str) -> Phase | None:
        """Return a phase by its name."""
        return next((phase for phase in self.phases if phase.name == name), None)


_CLIPPED = """
CREATE OR REPLACE TEMP TABLE clipped AS
SELECT w.phase, k.device, k.kind, k.name,
       greatest(k.start_ns, w.start_ns) AS start_ns, least(k.end_ns, w.end_ns) AS end_ns
FROM work k JOIN windows w ON k.start_ns < w.end_ns AND k.end_ns > w.start_ns
  AND (w.device IS NULL OR w.device = k.device)
"""
_BUSY = """
WITH ordered AS (
    SELECT phase, start_ns, end_ns, max(end_ns) OVER (
        PARTITION BY phase, device ORDER BY start_ns, end_ns
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS latest
    FROM clipped)
SELECT phase, sum(greatest(0, end_ns - greatest(start_ns, coalesce(latest, start_ns)))) / 1e9 AS busy_s
FROM ordered GROUP BY phase
"""
# Ranges of one name may nest or touch: their union, island by island.
_WINDOWS = """
CREATE OR REPLACE TEMP TABLE windows AS
WITH named AS (
    SELECT lower(regexp_extract(text, '^[A-Za-z_]+')) AS phase, start_ns, end_ns FROM ranges WHERE end_ns > start_ns),
flagged AS (
    SELECT *, coalesce(start_ns > max(end_ns) OVER (
        PARTITION BY phase ORDER BY start_ns, end_ns ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), true) AS opens
    FROM named WHERE phase NOT IN ('', 'all')),
numbered AS (
    SELECT *, sum(opens::INT) OVER (PARTITION BY phase ORDER BY start_ns, end_ns) AS island FROM flagged)
SELECT phase, NULL::BIGINT AS device, min(start_ns) AS start_ns, max(end_ns) AS end_ns
FROM numbered GROUP BY phase, island
UNION ALL
SELECT 'all', device, min(start_ns), max(end_ns) FROM work GROUP BY device
"""


def analyse(export: NsysExport, max_samples: int = 500) -> Timeline:
    """Return time by class and phase, and the counters' means over the time with work."""
    import duckdb

    with duckdb.connect() as connection:
        connection.register("work", _classified(export.work))
        connection.register("ranges", export.ranges)
        connection.register("counters", export.counters)
        connection.execute(_WINDOWS)
        connection.execute(_CLIPPED)
        phases = _phases(connection)
        means, updates = _counter_means(connection)
        return Timeline(
            phases,
            _longest(connection, phases),
            means,
            updates,
            _samples(connection, max_samples),
            phases[0].share(GRAPH),
        )


def _classified(work: pa.Table) -> pa.Table:
    import pyarrow as pa

    kinds = {COPIES[0]: MEMORY_COPY, COPIES[1]: MEMORY_COPY, GRAPHS: GRAPH}
    pairs = zip(work["source"].to_pylist(), work["name"].to_pylist(), strict=True)
    return work.append_column(
        "kind", pa.array([kinds.get(source) or kernel_class(name) for source, name in pairs], pa.string())
    )


def _phases(connection: duckdb.DuckDBPyConnection) -> tuple[Phase, ...]:
    devices = connection.execute("SELECT count(DISTINCT device) FROM work").fetchone()
    count = devices[0] if devices else 1
    windows = {
        name: window_s * (1 if name == WHOLE else count)
        for name, window_s in connection.execute(
            "SELECT phase, sum(end_ns - start_ns) / 1e9 FROM windows GROUP BY phase"
        ).fetchall()
    }
    busy = dict(connection.execute(_BUSY).fetchall())
    seconds: dict[str, dict[str, float]] = {}
    for name, kind, total in connection.execute(
        "SELECT phase, kind, sum(end_ns - start_ns) / 1e9 FROM clipped GROUP BY ALL ORDER BY ALL"
    ).fetchall():
        seconds.setdefault(name, {})[kind] = total
    order = sorted(
        (name for name in busy if windows[name] > 0),
        key=lambda name: (name != WHOLE, -windows[name], name),
    )
    return tuple(Phase(name, windows[name], busy[name], seconds[name]) for name in order[: 1 + MAX_PHASES])


def _longest(connection: duckdb.DuckDBPyConnection, phases: Sequence[Phase]) -> pa.Table:
    import pyarrow as pa

    table: pa.Table = connection.sql(
        f"SELECT phase, kind, name, count(*)::BIGINT AS calls, sum(end_ns - start_ns) / 1e9 AS total_s, "
        f"avg(end_ns - start_ns) / 1e3 AS mean_us FROM clipped WHERE phase = '{WHOLE}' "
        f"GROUP BY ALL ORDER BY total_s DESC, name LIMIT {MAX_KERNELS}"
    ).to_arrow_table()
    window_s = phases[0].window_s
    return table.append_column(
        "share", pa.array([value / window_s for value in table["total_s"].to_pylist()], pa.float64())
    )


def _counter_means(connection: duckdb.DuckDBPyConnection) -> tuple[dict[str, float], int]:
    rows = connection.execute(
        f"SELECT {_METRIC_OF_COUNTER} AS metric, avg(value), count(*) FROM counters "
        "WHERE time_ns BETWEEN (SELECT min(start_ns) FROM work) AND (SELECT max(end_ns) FROM work) "
        "AND metric IS NOT NULL AND value IS NOT NULL GROUP BY metric ORDER BY metric"
    ).fetchall()
    return {metric: mean for metric, mean, _ in rows}, max((count for _, _, count in rows), default=0)


def _samples(connection: duckdb.DuckDBPyConnection, most: int) -> pa.Table:
    """Return the known counters over time, the mean of each bucket of time, from the first kernel on."""
    return connection.sql(
        f"""
        WITH bounds AS (SELECT min(start_ns) AS low, max(end_ns) AS high FROM work),
        known AS (
            SELECT time_ns, value, {_METRIC_OF_COUNTER} AS metric FROM counters, bounds
            WHERE time_ns BETWEEN low AND high)
        SELECT (avg(time_ns) - any_value(low)) / 1e9 AS t_s, metric AS name, avg(value) AS value
        FROM known, bounds WHERE metric IS NOT NULL
        GROUP BY metric, (time_ns - low) * {most} // greatest(high - low, 1) ORDER BY name, t_s
        """
    ).to_arrow_table()


def time_table(phases: Sequence[Phase]) -> pa.Table:
    """Return `phase, kind, time_s, share`: a row a class that has time, and one for the host gap."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    for phase in phases:
        present = [kind for kind in kernel_kinds() if phase.seconds.get(kind)]
        rows += [
            {"phase": phase.name, "kind": kind, "time_s": phase.seconds[kind], "share": phase.share(kind)}
            for kind in present
        ]
        gap_s = phase.window_s - phase.busy_s
        rows.append({"phase": phase.name, "kind": HOST_GAP, "time_s": gap_s, "share": phase.gap_share})
    return pa.Table.from_pylist(rows)
