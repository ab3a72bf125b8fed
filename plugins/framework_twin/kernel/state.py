"""The kernel's state: one record per replica, request and waiting queue, and the tables that hold them.

Records are passed to compiled functions as pointers, and a request's fields share a cache line or two. Python reads
the results out of the same arrays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

WAITING, RUNNING, FINISHED, REFUSED, NOT_ARRIVED = range(5)
"""Codes of a request's status."""

LAW_COMPONENTS = 6
"""Seconds that the step-time law returns before its slope."""
KV_SECONDS, LOAD_SECONDS, IDLE_SECONDS = range(LAW_COMPONENTS, LAW_COMPONENTS + 3)
"""Places of the seconds that the kernel adds to the law's: reading the KV cache, loading adapters, having no work."""
N_COMPONENTS = LAW_COMPONENTS + 3

MAX_BLOCK_SIZE = 128
NONE = -1

CONFIG = np.dtype(
    [
        ("horizon_s", "f8"),
        ("sample_period_s", "f8"),
        ("generation", "i8"),
        ("prefill_first", "i8"),
        ("reserve_whole_prompt", "i8"),
        ("max_num_seqs", "i8"),
        ("token_budget", "i8"),
        ("capacity_blocks", "i8"),
        ("watermark_blocks", "i8"),
        ("block_size", "i8"),
        ("longest_request", "i8"),
        ("max_waiting", "i8"),
        ("max_loras", "i8"),
        ("max_cpu_loras", "i8"),
        ("max_lora_rank", "i8"),
        ("replicas", "i8"),
        ("least_load", "i8"),
        ("replicas_on_gpu", "i8"),
    ],
    align=True,
)

REPLICA = np.dtype(
    [
        ("time_s", "f8"),
        ("decode_ended_s", "f8"),
        ("component_s", "f8", (N_COMPONENTS,)),
        ("running_s", "f8"),
        ("waiting_s", "f8"),
        ("kv_blocks_s", "f8"),
        ("adapters_s", "f8"),
        ("gap_sum_s", "f8"),
        ("gaps", "i8"),
        ("steps", "i8"),
        ("decode_steps", "i8"),
        ("prompt_tokens", "i8"),
        ("generated_tokens", "i8"),
        ("running", "i8"),
        ("decoding", "i8"),
        ("waiting", "i8"),
        ("context_tokens", "i8"),
        ("free_blocks", "i8"),
        ("block_phase", "i8", (MAX_BLOCK_SIZE,)),
        ("partial", "i8"),
        ("next_arrival", "i8"),
        ("stride", "i8"),
        ("preemptions", "i8"),
        ("running_peak", "i8"),
        ("waiting_peak", "i8"),
        ("kv_blocks_peak", "i8"),
        ("finished_last_step", "i8"),
        ("horizon_reached", "i8"),
        ("active_adapters", "i8"),
        ("resident_adapters", "i8"),
        ("cached_adapters", "i8"),
        ("pending_loads", "i8"),
        ("gpu_loads", "i8"),
        ("disk_loads", "i8"),
        ("finish_size", "i8"),
        ("open_size", "i8"),
        ("closed_size", "i8"),
        ("stalled_groups", "i8"),
        ("step_preemptions", "i8"),
        ("step_prefill_seqs", "i8"),
        ("step_prefill_tokens", "i8"),
        ("step_first_admitted", "i8"),
        ("step_attention", "f8"),
    ],
    align=True,
)
"""A replica. `context_tokens` is what the next decode step attends to; `decode_steps` counts the steps that gave every
decoding request a token; `block_phase[d % block_size]` counts the decoding requests that need a new block in decode
step `d`; `partial` is the request whose prompt is partly computed; `step_*` describe the step being scheduled."""

REQUEST = np.dtype(
    [
        ("scheduled_s", "f8"),
        ("first_token_s", "f8"),
        ("last_token_s", "f8"),
        ("queue_key", "i8"),
        ("generated", "i4"),
        ("computed", "i4"),
        ("held_blocks", "i4"),
        ("kv_offset", "i4"),
        ("preemptions", "i4"),
        ("hit_tokens", "i4"),
        ("replica", "i4"),
        ("status", "i1"),
        ("decoding", "i1"),
    ],
    align=True,
)
"""A request. While it decodes, its generated tokens are `generated + decode_steps` and the tokens it holds in the KV
cache `kv_offset + decode_steps`, so a decode step changes no request. `computed` counts its prompt's tokens in the KV
cache before that."""

QUEUE = np.dtype(
    [
        ("head", "i4"),
        ("tail", "i4"),
        ("running", "i4"),
        ("resident", "i1"),
        ("cached", "i1"),
        ("gpu_loads", "i4"),
    ],
    align=True,
)
"""The waiting requests of one adapter, and the adapter itself; the last queue is the base model's."""


class Tables(NamedTuple):
    """Every array of a simulation, as compiled functions see them.

    Row `r` of an array with two dimensions belongs to replica `r`.
    """

    config: Any
    law: npt.NDArray[np.float64]
    arrival_s: npt.NDArray[np.float64]
    input_tokens: npt.NDArray[np.int32]
    output_tokens: npt.NDArray[np.int32]
    adapter: npt.NDArray[np.int32]
    cpu_to_gpu_s: npt.NDArray[np.float64]
    disk_to_cpu_s: npt.NDArray[np.float64]
    replicas: Any
    requests: Any
    queues: Any
    running_links: npt.NDArray[np.int32]
    waiting_next: npt.NDArray[np.int32]
    finish_heap: npt.NDArray[np.int64]
    finish_position: npt.NDArray[np.int32]
    open_heap: npt.NDArray[np.int64]
    closed_heap: npt.NDArray[np.int64]
    queue_position: npt.NDArray[np.int32]
    gpu_lru: npt.NDArray[np.int32]
    cpu_lru: npt.NDArray[np.int32]
    pending_loads: npt.NDArray[np.int32]
    stalled_since_s: npt.NDArray[np.float64]
    stalled_requests: npt.NDArray[np.int64]
    gap_histogram: npt.NDArray[np.int64]
