"""Run one simulation: tables in, compiled kernel, results out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from framework_twin.kernel import state
from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests, check_inputs
from framework_twin.kernel.output import RequestOutcomes, SimulationOutput, Status, TokenGaps
from framework_twin.kernel.router import run_replicas
from framework_twin.kernel.state import Tables
from framework_twin.kernel.statistics import BINS_PER_OCTAVE, N_BINS, SHORTEST_GAP_S
from framework_twin.step_time import COMPONENTS

_UNLIMITED = 2**62


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
    tables = _build_tables(engine, requests, np.ascontiguousarray(law, dtype=np.float64), adapters)
    if run_replicas(tables) != 0:
        raise RuntimeError("the simulated engine has waiting requests that it can never schedule")
    return _collect(engine, tables)


def _build_tables(
    engine: EngineConfig, requests: Requests, law: npt.NDArray[np.float64], adapters: AdapterTable
) -> Tables:
    n = len(requests)
    n_adapters = len(adapters)
    replicas = engine.replicas
    batch = min(engine.max_num_seqs, n) + 1
    adapter = np.full(n, n_adapters, dtype=np.int32)
    if requests.adapter is not None:
        np.copyto(adapter, requests.adapter, where=np.asarray(requests.adapter) >= 0)
    disk_to_cpu_s = np.zeros(n_adapters) if adapters.disk_to_cpu_s is None else adapters.disk_to_cpu_s
    tables = Tables(
        config=_config_record(engine, n_adapters),
        law=law,
        arrival_s=np.ascontiguousarray(requests.arrival_s, dtype=np.float64),
        input_tokens=np.ascontiguousarray(requests.input_tokens, dtype=np.int32),
        output_tokens=np.ascontiguousarray(requests.output_tokens, dtype=np.int32),
        adapter=adapter,
        cpu_to_gpu_s=np.ascontiguousarray(adapters.cpu_to_gpu_s, dtype=np.float64),
        disk_to_cpu_s=np.ascontiguousarray(disk_to_cpu_s, dtype=np.float64),
        replicas=np.zeros(replicas, dtype=state.REPLICA),
        requests=np.zeros(n, dtype=state.REQUEST),
        queues=np.zeros((replicas, n_adapters + 1), dtype=state.QUEUE),
        running_links=np.zeros((2, n + replicas), dtype=np.int32),
        waiting_next=np.zeros(n, dtype=np.int32),
        finish_heap=np.zeros((replicas, batch), dtype=np.int64),
        finish_position=np.zeros(n, dtype=np.int32),
        open_heap=np.zeros((replicas, n_adapters + 1), dtype=np.int64),
        closed_heap=np.zeros((replicas, n_adapters + 1), dtype=np.int64),
        queue_position=np.zeros((replicas, n_adapters + 1), dtype=np.int32),
        gpu_lru=np.zeros((replicas, 2, n_adapters + 2), dtype=np.int32),
        cpu_lru=np.zeros((replicas, 2, n_adapters + 2), dtype=np.int32),
        pending_loads=np.zeros((replicas, n_adapters + 1), dtype=np.int32),
        stalled_since_s=np.zeros((replicas, batch)),
        stalled_requests=np.zeros((replicas, batch), dtype=np.int64),
        gap_histogram=np.zeros(N_BINS, dtype=np.int64),
    )
    _start(engine, tables)
    return tables


def _config_record(engine: EngineConfig, n_adapters: int) -> Any:
    config = np.zeros(1, dtype=state.CONFIG)[0]
    config["horizon_s"] = math.inf if engine.horizon_s is None else engine.horizon_s
    config["generation"] = int(engine.generation == "v1")
    config["prefill_first"] = engine.prefill_first
    config["reserve_whole_prompt"] = engine.generation == "v0"
    config["max_num_seqs"] = engine.max_num_seqs
    config["token_budget"] = engine.max_num_batched_tokens
    config["capacity_blocks"] = engine.kv_blocks
    config["watermark_blocks"] = engine.watermark_blocks
    config["block_size"] = engine.block_size
    config["longest_request"] = engine.longest_request
    config["max_waiting"] = _UNLIMITED if engine.max_waiting is None else engine.max_waiting
    config["max_loras"] = engine.max_loras
    config["max_cpu_loras"] = n_adapters if engine.max_cpu_loras is None else engine.max_cpu_loras
    config["max_lora_rank"] = engine.max_lora_rank
    config["replicas"] = engine.replicas
    config["least_load"] = engine.router == "least_load" and engine.replicas > 1
    config["replicas_on_gpu"] = engine.replicas_on_gpu
    return config


def _start(engine: EngineConfig, tables: Tables) -> None:
    """Set every replica to its state before the first arrival."""
    n = len(tables.requests)
    n_adapters = tables.queues.shape[1] - 1
    replicas = tables.replicas
    replicas["free_blocks"] = engine.kv_blocks
    replicas["partial"] = state.NONE
    least_load = bool(tables.config["least_load"])
    replicas["next_arrival"] = n if least_load else np.arange(engine.replicas)
    replicas["stride"] = engine.replicas
    tables.queues["head"] = state.NONE
    sentinels = np.arange(n, n + engine.replicas)
    tables.running_links[:, n:] = sentinels
    for links in (tables.gpu_lru, tables.cpu_lru):
        links[:, :, n_adapters + 1] = n_adapters + 1
    if engine.adapters_preloaded and n_adapters:
        cached = min(int(tables.config["max_cpu_loras"]), n_adapters)
        tables.queues["cached"][:, :cached] = 1
        replicas["cached_adapters"] = cached
        ring = np.r_[n_adapters + 1, np.arange(cached), n_adapters + 1].astype(np.int32)
        tables.cpu_lru[:, 1, ring[:-1]] = ring[1:]
        tables.cpu_lru[:, 0, ring[1:]] = ring[:-1]


def _collect(engine: EngineConfig, tables: Tables) -> SimulationOutput:
    replicas = tables.replicas
    duration_s = float(replicas["time_s"].max()) if engine.horizon_s is None else engine.horizon_s
    idle_s = replicas["component_s"][:, state.IDLE_SECONDS]
    idle_s += duration_s - replicas["time_s"]
    component_s = dict(
        zip(
            (*COMPONENTS, "kv", "adapter_load", "idle"),
            (float(seconds) for seconds in replicas["component_s"].sum(axis=0)),
            strict=True,
        )
    )
    n_adapters = tables.queues.shape[1] - 1
    kv_blocks_s = float(replicas["kv_blocks_s"].sum())
    kv_peak = int(replicas["kv_blocks_peak"].max())
    return SimulationOutput(
        requests=_collect_requests(engine, tables),
        token_gaps=_collect_gaps(tables),
        duration_s=duration_s,
        steps=int(replicas["steps"].sum()),
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
    )


def _collect_requests(engine: EngineConfig, tables: Tables) -> RequestOutcomes:
    table = tables.requests
    n = len(table)
    replica = table["replica"].copy()
    if not tables.config["least_load"]:
        replica = (np.arange(n) % engine.replicas).astype(np.int32)
    status = table["status"].copy()
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
    edges = SHORTEST_GAP_S * 2.0 ** (np.arange(N_BINS + 1) / BINS_PER_OCTAVE)
    return TokenGaps(
        counts=tables.gap_histogram,
        lower_edges_s=edges,
        count=int(tables.replicas["gaps"].sum()),
        sum_s=float(tables.replicas["gap_sum_s"].sum()),
    )
