"""Run one simulation: tables in, compiled kernel, results out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from framework_twin.kernel import state
from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests, check_inputs
from framework_twin.kernel.machine_code import entry_point
from framework_twin.kernel.output import RequestOutcomes, SimulationOutput, Status, TimeSeries, TokenGaps
from framework_twin.kernel.tables import Tables, build_tables
from framework_twin.step_time import COMPONENTS

_SAMPLES_WITHOUT_HORIZON = 4096
_COMPONENT_NAMES = (*COMPONENTS, "kv", "adapter_load", "idle")


def simulate(
    engine: EngineConfig,
    requests: Requests,
    law: npt.NDArray[np.float64],
    adapters: AdapterTable | None = None,
) -> SimulationOutput:
    """Simulate an engine (or several behind a router) serving the requests.

    Args:
        engine: the settings.
        requests: what arrives, in order.
        law: parameter vector of the step-time law (`framework_twin.step_time`).
        adapters: LoRA adapters; None for none.

    Raises:
        UserError: one line that names the key or row that can't be simulated.
    """
    adapters = AdapterTable() if adapters is None else adapters
    check_inputs(engine, requests, adapters)
    n_samples = _samples_expected(engine)
    tables = _run(engine, requests, law, adapters, n_samples)
    wanted = int(tables.replicas["next_sample"].max())
    if wanted > n_samples > 0:  # a run without horizon was longer than expected: its length is known now
        tables = _run(engine, requests, law, adapters, wanted)
    return _collect(engine, tables)


def _samples_expected(engine: EngineConfig) -> int:
    if engine.sample_period_s is None:
        return 0
    if engine.horizon_s is None:
        return _SAMPLES_WITHOUT_HORIZON
    return math.floor(engine.horizon_s / engine.sample_period_s) + 1


def _run(
    engine: EngineConfig,
    requests: Requests,
    law: npt.NDArray[np.float64],
    adapters: AdapterTable,
    n_samples: int,
) -> Tables:
    tables = build_tables(engine, requests, law, adapters, n_samples)
    if entry_point()(tables.simulation.ctypes.data) != state.DONE:
        raise RuntimeError("the simulated engine has waiting requests that it can never schedule")
    return tables


def _collect(engine: EngineConfig, tables: Tables) -> SimulationOutput:
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
    table = tables.requests
    n = len(table)
    replica = table["replica"].astype(np.int32)
    if not tables.simulation[0]["least_load"]:
        replica = (np.arange(n) % engine.replicas).astype(np.int32)
    status = table["status"].astype(np.int8)
    generated = table["generated"].astype(np.int64)
    last_token_s = table["last_token_s"].copy()
    decoding = (status == Status.RUNNING) & (table["decoding"] == 1)
    generated[decoding] += tables.replicas["decode_steps"][replica[decoding]]
    decoded_s = tables.replicas["decode_ended_s"][replica[decoding]]
    last_token_s[decoding] = np.maximum(last_token_s[decoding], decoded_s)
    if engine.horizon_s is not None:
        not_arrived = tables.arrival_s >= engine.horizon_s
        status[not_arrived] = Status.NOT_ARRIVED
        replica[not_arrived] = -1
    never_scheduled = (status == Status.REFUSED) | (status == Status.NOT_ARRIVED)
    never_scheduled |= (status == Status.WAITING) & (table["preemptions"] == 0)
    no_token = generated == 0
    return RequestOutcomes(
        scheduled_s=np.where(never_scheduled, np.nan, table["scheduled_s"]),
        first_token_s=np.where(no_token, np.nan, table["first_token_s"]),
        last_token_s=np.where(no_token, np.nan, last_token_s),
        generated_tokens=generated,
        preemptions=table["preemptions"].astype(np.int64),
        prefix_hit_tokens=table["hit_tokens"].astype(np.int64),
        status=status,
        replica=replica,
    )


def _collect_gaps(tables: Tables) -> TokenGaps:
    edges = state.SHORTEST_GAP_S * 2.0 ** (np.arange(state.N_BINS + 1) / state.BINS_PER_OCTAVE)
    return TokenGaps(
        counts=tables.gap_histogram,
        lower_edges_s=edges,
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
