"""The arrays of one simulation, and the records through which compiled functions find them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from framework_twin.kernel import state
from framework_twin.kernel.inputs import AdapterTable, EngineConfig, Requests, slot_order

Array = npt.NDArray[Any]


@dataclass
class Tables:
    """The arrays that a simulation reads and writes.

    Attributes:
        simulation: the one `SIMULATION` record.
        replicas, requests, queues: records; queues has shape (replicas, adapters + 1).
        status: what became of each request.
        owned: every array whose address the records hold, by field name; kept so that none is freed.
    """

    simulation: Array
    replicas: Array
    requests: Array
    status: Array
    queues: Array
    component_s: Array
    gap_histogram: Array
    samples: Array
    arrival_s: Array
    owned: dict[str, Array] = field(default_factory=dict)


def build_tables(
    engine: EngineConfig,
    requests: Requests,
    law: npt.NDArray[np.float64],
    adapters: AdapterTable,
    n_samples: int,
) -> Tables:
    """Lay out the arrays of a simulation that `check_inputs` has passed, in their state before the first arrival.

    Samples of the time series beyond `n_samples` are dropped.
    """
    n = len(requests)
    n_adapters = len(adapters)
    # The kernel writes the times of linked requests, so that it gets a copy of those.
    arrival_s = np.array(requests.arrival_s, dtype=np.float64, copy=True if requests.linked else None)
    arrival_s = np.ascontiguousarray(arrival_s)
    tables = Tables(
        simulation=np.zeros(1, dtype=state.SIMULATION),
        replicas=np.zeros(engine.replicas, dtype=state.REPLICA),
        requests=np.zeros(n, dtype=state.REQUEST),
        status=np.zeros(n, dtype=np.int8),
        queues=np.zeros((engine.replicas, n_adapters + 1), dtype=state.QUEUE),
        component_s=np.zeros((engine.replicas, state.N_COMPONENTS)),
        gap_histogram=np.zeros(state.N_BINS, dtype=np.int64),
        samples=np.zeros((n_samples, state.N_SAMPLE_COLUMNS)),
        arrival_s=arrival_s,
    )
    if requests.adapter is None:
        adapter = np.full(n, n_adapters, dtype=np.int32)
    else:
        own = np.asarray(requests.adapter, dtype=np.int32)
        adapter = np.where(own >= 0, own, np.int32(n_adapters))
    disk_to_cpu_s = np.zeros(n_adapters) if adapters.disk_to_cpu_s is None else adapters.disk_to_cpu_s
    touch_order = slot_order(n_adapters)
    prefix_start, prefix_blocks = _prefix_columns(engine, requests)
    running_links = np.zeros((n + engine.replicas, 2), dtype=np.int64)
    running_links[n:] = np.arange(n, n + engine.replicas)[:, None]
    _set_configuration(tables.simulation[0], engine, n, n_adapters)
    tables.simulation["n_samples"] = n_samples
    tables.simulation["n_hashes"] = n_hashes = int(prefix_blocks.max(initial=-1)) + 1
    tables.simulation["prefix_caching"] = n_hashes > 0
    _own(
        tables,
        tables.simulation,
        law=np.ascontiguousarray(law, dtype=np.float64),
        arrival_s=arrival_s,
        input_tokens=np.ascontiguousarray(requests.input_tokens, dtype=np.int32),
        output_tokens=np.ascontiguousarray(requests.output_tokens, dtype=np.int32),
        adapter=adapter,
        prefix_start=prefix_start,
        prefix_blocks=prefix_blocks,
        prefix_shared=np.zeros(len(prefix_blocks), dtype=np.int64),
        requests=tables.requests,
        status=tables.status,
        running_links=running_links,
        waiting_next=np.zeros(n, dtype=np.int64),
        finish_places=np.zeros(n, dtype=np.int64),
        touch_order=touch_order,
        touch_place=np.argsort(touch_order),
        cpu_to_gpu_s=np.ascontiguousarray(adapters.cpu_to_gpu_s, dtype=np.float64),
        disk_to_cpu_s=np.ascontiguousarray(disk_to_cpu_s, dtype=np.float64),
        gap_histogram=tables.gap_histogram,
        samples=tables.samples,
        replicas=tables.replicas,
        **_links(tables, requests),
    )
    _set_replicas(tables, engine, n, n_adapters)
    return tables


def _links(tables: Tables, requests: Requests) -> dict[str, Array]:
    """Return which request comes after which, and put those that wait for none into the heap of due ones."""
    n = len(requests) if requests.linked else 0
    following = np.full(n, state.NONE, dtype=np.int64)
    first = np.arange(n)
    if requests.follows is not None:
        follows = np.asarray(requests.follows, dtype=np.int64)
        later = np.flatnonzero(follows >= 0)
        following[follows[later]] = later
        first = np.flatnonzero(follows < 0)
    begun = min(len(first), n if requests.users is None else requests.users)
    due = np.zeros(n + 1, dtype=np.int64)
    due[0] = begun
    due[1 : begun + 1] = n + first[:begun]  # in order of arrival, which is a heap
    record = tables.simulation
    record["linked"] = requests.linked
    record["users"] = requests.users or 0
    record["n_sessions"] = len(first)
    record["next_session"] = begun
    record["turnaround_s"] = requests.turnaround_s
    if requests.linked:
        tables.status[:] = state.NOT_ARRIVED
    think_s = np.zeros(n) if requests.think_s is None else requests.think_s
    return {
        "following": following,
        "think_s": np.ascontiguousarray(think_s, dtype=np.float64),
        "sessions": first.astype(np.int64),
        "due": due,
        "due_s": np.concatenate([np.zeros(n), np.asarray(requests.arrival_s, dtype=np.float64)[:n]]),
    }


def _prefix_columns(engine: EngineConfig, requests: Requests) -> tuple[Array, Array]:
    """Number the names of prefix blocks densely; no names if caching is off."""
    if not engine.enable_prefix_caching or requests.prefix_blocks is None or requests.prefix_start is None:
        return np.zeros(len(requests) + 1, dtype=np.int64), np.zeros(0, dtype=np.int64)
    numbers = np.unique(requests.prefix_blocks, return_inverse=True)[1]
    return np.ascontiguousarray(requests.prefix_start, dtype=np.int64), numbers.astype(np.int64)


def _own(tables: Tables, records: Array, **arrays: Array) -> None:
    """Store the address of an array, or of each of its rows if there are several records, and keep the array."""
    for name, array in arrays.items():
        stride = array.strides[0] if len(records) > 1 else 0
        records[name] = array.ctypes.data + stride * np.arange(len(records))
        tables.owned[name] = array


def _set_configuration(record: Any, engine: EngineConfig, n_requests: int, n_adapters: int) -> None:
    record["horizon_s"] = math.inf if engine.horizon_s is None else engine.horizon_s
    record["sample_period_s"] = engine.sample_period_s or 0.0
    record["generation"] = int(engine.generation == "v1")
    record["prefill_first"] = engine.prefill_first
    record["reserve_whole_prompt"] = engine.generation == "v0"
    record["max_num_seqs"] = engine.max_num_seqs
    record["token_budget"] = engine.max_num_batched_tokens
    record["capacity_blocks"] = engine.kv_blocks
    record["watermark_blocks"] = engine.watermark_blocks
    record["block_size"] = engine.block_size
    record["state_blocks"] = engine.state_blocks
    record["window_tokens"] = engine.window_tokens
    record["window_blocks"] = engine.window_blocks
    record["longest_request"] = engine.longest_request
    record["max_loras"] = engine.max_loras
    record["max_cpu_loras"] = n_adapters if engine.max_cpu_loras is None else engine.max_cpu_loras
    record["max_lora_rank"] = engine.max_lora_rank
    record["touches_first"] = engine.touches_first
    record["n_replicas"] = engine.replicas
    record["replicas_on_gpu"] = engine.replicas_on_gpu
    record["ranks"] = engine.ranks
    record["least_load"] = engine.router == "least_load" and engine.replicas > 1
    record["n_requests"] = n_requests
    record["n_adapters"] = n_adapters


def _set_replicas(tables: Tables, engine: EngineConfig, n: int, n_adapters: int) -> None:
    """Set every replica to its state before the first arrival."""
    shape = (engine.replicas, min(engine.max_num_seqs, n) + 1)
    queue_shape = tables.queues.shape
    heap_shape = (engine.replicas, n_adapters + 2)
    gpu_lru = np.full((engine.replicas, n_adapters + 1, 2), n_adapters, dtype=np.int64)
    cpu_lru = gpu_lru.copy()
    replicas = tables.replicas
    replicas["number"] = np.arange(engine.replicas)
    replicas["free_blocks"] = engine.kv_blocks
    replicas["partial"] = state.NONE
    # A router that looks at the load hands requests over one by one; round robin lets a replica find its own.
    handed = tables.simulation[0]["least_load"] or tables.simulation[0]["linked"]
    replicas["next_arrival"] = n if handed else np.arange(engine.replicas)
    replicas["stride"] = engine.replicas
    tables.queues["head"] = state.NONE
    if engine.adapters_preloaded:
        cached = min(int(tables.simulation[0]["max_cpu_loras"]), n_adapters)
        tables.queues["cached"][:, :cached] = 1
        replicas["cached_adapters"] = cached
        ring = np.r_[n_adapters, np.arange(cached), n_adapters]
        cpu_lru[:, ring[:-1], 1] = ring[1:]
        cpu_lru[:, ring[1:], 0] = ring[:-1]
    _own(
        tables,
        replicas,
        component_s=tables.component_s,
        law_s=np.zeros((engine.replicas, state.LAW_COMPONENTS)),
        block_phase=np.zeros((engine.replicas, engine.block_size), dtype=np.int64),
        finish_heap=np.zeros(shape, dtype=np.int64),
        queues=tables.queues,
        queue_places=np.zeros(queue_shape, dtype=np.int64),
        open_heap=np.zeros(heap_shape, dtype=np.int64),
        closed_heap=np.zeros(heap_shape, dtype=np.int64),
        gpu_lru=gpu_lru,
        cpu_lru=cpu_lru,
        joined=np.zeros(queue_shape, dtype=np.int64),
        stalled_since_s=np.zeros(shape),
        stalled_requests=np.zeros(shape, dtype=np.int64),
    )
    _set_free_queues(tables, engine)


def _set_free_queues(tables: Tables, engine: EngineConfig) -> None:
    """Put all blocks into every replica's free queue: one run without a name. Nothing without prefix caching."""
    n_hashes = int(tables.simulation[0]["n_hashes"])
    n_runs = engine.kv_blocks + 1 if n_hashes else 0
    sentinel = n_hashes + n_runs
    free_queue = np.zeros((engine.replicas, sentinel + 1, 2), dtype=np.int64)
    run_blocks = np.zeros((engine.replicas, n_runs), dtype=np.int64)
    spare_runs = np.tile(np.arange(n_runs, dtype=np.int64), (engine.replicas, 1))
    if n_hashes:
        first_run = n_runs - 1
        free_queue[:, [sentinel, n_hashes + first_run]] = np.array([n_hashes + first_run, sentinel])[:, None]
        run_blocks[:, first_run] = engine.kv_blocks
        tables.replicas["n_spare_runs"] = n_runs - 1
    _own(
        tables,
        tables.replicas,
        references=np.full((engine.replicas, n_hashes), state.NOT_CACHED, dtype=np.int64),
        free_queue=free_queue,
        run_blocks=run_blocks,
        spare_runs=spare_runs,
    )
