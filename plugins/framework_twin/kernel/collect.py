"""Read a finished simulation's tables into its output."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from framework_twin.kernel import state
from framework_twin.kernel.inputs import EngineConfig
from framework_twin.kernel.output import RequestOutcomes, SimulationOutput, Status, TimeSeries, TokenGaps
from framework_twin.kernel.tables import Tables
from framework_twin.physics.step_time import COMPONENTS

_COMPONENT_NAMES = (*COMPONENTS, "kv", "adapter_load", "idle")


def collect(engine: EngineConfig, tables: Tables) -> SimulationOutput:
    """Read what a finished simulation left in its tables."""
    replicas = tables.replicas
    duration_s = float(replicas["time_s"].max()) if engine.horizon_s is None else engine.horizon_s
    idle_s = tables.component_s[:, state.IDLE_SECONDS]
    idle_s += duration_s - replicas["time_s"]
    component_s = dict(
        zip(
            _COMPONENT_NAMES,
            (float(seconds) for seconds in tables.component_s.sum(axis=0)),
            strict=True,
        )
    )
    n_adapters = tables.queues.shape[1] - 1
    kv_blocks_s = float(replicas["kv_blocks_s"].sum())
    kv_peak = int(replicas["kv_blocks_peak"].max())
    return SimulationOutput(
        requests=_collect_requests(engine, tables),
        token_gaps=_collect_gaps(tables),
        series=_collect_series(engine, tables, duration_s),
        duration_s=duration_s,
        steps=int(replicas["steps"].sum()),
        spans=int(replicas["spans"].sum()),
        prompt_tokens=int(replicas["prompt_tokens"].sum()),
        generated_tokens=int(replicas["generated_tokens"].sum()),
        component_s=component_s,
        busy_s=engine.replicas * duration_s - component_s["idle"],
        running_mean=float(replicas["running_s"].sum()) / duration_s,
        waiting_mean=float(replicas["waiting_s"].sum()) / duration_s,
        adapters_mean=float(replicas["adapters_s"].sum()) / duration_s,
        kv_usage_mean=kv_blocks_s / (duration_s * engine.kv_blocks * engine.replicas),
        kv_usage_peak=kv_peak / engine.kv_blocks,
        kv_blocks_peak=kv_peak,
        running_peak=int(replicas["running_peak"].sum()),
        waiting_peak=int(replicas["waiting_peak"].sum()),
        preemptions=int(replicas["preemptions"].sum()),
        adapter_loads=int(replicas["gpu_loads"].sum()),
        adapter_disk_loads=int(replicas["disk_loads"].sum()),
        adapter_loads_by_adapter=tables.queues["gpu_loads"][:, :n_adapters].sum(axis=0, dtype=np.int64),
        prefix_query_tokens=int(replicas["prefix_queries"].sum()),
        prefix_hit_tokens=int(replicas["prefix_hits"].sum()),
    )


def _collect_requests(engine: EngineConfig, tables: Tables) -> RequestOutcomes:
    """Gather the columns. Under overload most requests never ran: their records are not read, nor even in memory."""
    n = len(tables.requests)
    status = tables.status
    linked = bool(tables.simulation[0]["linked"])
    if engine.horizon_s is not None and not linked:
        status[np.searchsorted(tables.arrival_s, engine.horizon_s) :] = Status.NOT_ARRIVED
    ran = np.flatnonzero((status == state.RUNNING) | (status == state.FINISHED) | (status == state.PREEMPTED))
    rows = tables.requests[ran]
    replica = _replicas_of(engine, tables)
    decoding = np.flatnonzero((status[ran] == state.RUNNING) & (rows["decoding"] == 1))
    engines = tables.replicas[replica[ran[decoding]]]
    rows["generated"][decoding] += engines["decode_steps"]
    rows["last_token_s"][decoding] = np.maximum(rows["last_token_s"][decoding], engines["decode_ended_s"])
    for name in ("first_token_s", "last_token_s"):
        rows[name][rows["generated"] == 0] = np.nan
    status[status == state.PREEMPTED] = Status.WAITING
    return RequestOutcomes(
        arrival_s=np.where(status == Status.NOT_ARRIVED, np.nan, tables.arrival_s)
        if linked
        else tables.arrival_s,
        scheduled_s=_spread(rows["scheduled_s"], ran, n, np.nan),
        first_token_s=_spread(rows["first_token_s"], ran, n, np.nan),
        last_token_s=_spread(rows["last_token_s"], ran, n, np.nan),
        generated_tokens=_spread(rows["generated"], ran, n, 0),
        preemptions=_spread(rows["preemptions"], ran, n, 0),
        prefix_hit_tokens=_spread(rows["hit_tokens"], ran, n, 0),
        status=status,
        replica=replica,
    )


def _spread(column: npt.NDArray[Any], rows: npt.NDArray[Any], n: int, absent: float) -> npt.NDArray[Any]:
    """Place a column's values into rows of a longer one."""
    if len(rows) == n:
        return np.ascontiguousarray(column)
    whole = np.zeros(n, column.dtype) if absent == 0 else np.full(n, absent)
    whole[rows] = column
    return whole


def _replicas_of(engine: EngineConfig, tables: Tables) -> npt.NDArray[np.int32]:
    """Return each request's replica, -1 where it reached none."""
    n = len(tables.requests)
    if tables.simulation[0]["least_load"] or tables.simulation[0]["linked"]:
        replica = tables.requests["replica"].astype(np.int32)
    elif engine.replicas == 1:
        replica = np.zeros(n, dtype=np.int32)
    else:
        replica = (np.arange(n) % engine.replicas).astype(np.int32)
    replica[tables.status == state.NOT_ARRIVED] = -1
    return replica


@cache
def _bin_edges_s() -> npt.NDArray[np.float64]:
    octaves = np.arange(state.N_BINS + 1) / state.BINS_PER_OCTAVE
    edges: npt.NDArray[np.float64] = state.SHORTEST_GAP_S * 2.0**octaves
    return edges


def _collect_gaps(tables: Tables) -> TokenGaps:
    return TokenGaps(
        counts=tables.gap_histogram,
        lower_edges_s=_bin_edges_s(),
        count=int(tables.replicas["gaps"].sum()),
        sum_s=float(tables.replicas["gap_sum_s"].sum()),
    )


def _collect_series(engine: EngineConfig, tables: Tables, duration_s: float) -> TimeSeries | None:
    if engine.sample_period_s is None:
        return None
    rows = math.floor(duration_s / engine.sample_period_s) + 1
    samples = np.zeros((rows, state.N_SAMPLE_COLUMNS))
    recorded = min(rows, len(tables.samples))
    samples[:recorded] = tables.samples[:recorded]
    time_s = np.arange(rows, dtype=np.float64) * engine.sample_period_s
    n_states = len(state.SAMPLE_STATES)
    n_columns = n_states + len(state.SAMPLE_SUMS)
    for replica, component_s in zip(tables.replicas, tables.component_s, strict=True):
        # A replica that ended before the others keeps its sums and idles.
        after = slice(int(replica["next_sample"]), rows)
        for place, name in enumerate(state.SAMPLE_SUMS):
            samples[after, n_states + place] += replica[name]
        samples[after, n_columns:] += component_s
        samples[after, n_columns + state.IDLE_SECONDS] -= duration_s - time_s[after]
    columns = {
        name: samples[:, place] for place, name in enumerate((*state.SAMPLE_STATES, *state.SAMPLE_SUMS))
    }
    components = {name: samples[:, n_columns + place] for place, name in enumerate(_COMPONENT_NAMES)}
    return TimeSeries(time_s=time_s, component_s=components, **columns)
