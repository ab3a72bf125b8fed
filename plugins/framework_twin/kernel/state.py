"""The kernel's state as records: one of the simulation, and one per replica, request and waiting queue.

Fields with the address of an array are marked `@`. Python owns the arrays and reads the results out of them.
"""

from __future__ import annotations

import numpy as np

WAITING, RUNNING, FINISHED, REFUSED, NOT_ARRIVED, PREEMPTED = range(6)
"""Codes of a request's status; a request that waits again after a preemption has a code of its own."""

LAW_COMPONENTS = 6
"""Seconds that the step-time law returns before its slope."""
KV_SECONDS, LOAD_SECONDS, IDLE_SECONDS = range(LAW_COMPONENTS, LAW_COMPONENTS + 3)
"""Places of the seconds that the kernel adds to the law's: reading the KV cache, loading adapters, having no work."""
N_COMPONENTS = LAW_COMPONENTS + 3

SAMPLE_STATES = ("running", "waiting", "kv_blocks", "adapters")
"""Columns of the time series with a state at the sample's time."""
SAMPLE_SUMS = ("preemptions", "prompt_tokens", "generated_tokens")
"""Columns with a sum up to the sample's time; the component seconds follow them."""
N_SAMPLE_COLUMNS = len(SAMPLE_STATES) + len(SAMPLE_SUMS) + N_COMPONENTS

NONE = -1
NOT_CACHED = -1
"""In the place of the number of requests that use a named block."""

SHORTEST_GAP_S = 1e-6
BINS_PER_OCTAVE = 256
N_BINS = 36 * BINS_PER_OCTAVE
"""Bins of the histogram of gaps between tokens: 0.27 % wide, from 1 µs to 19 hours."""

DONE, STUCK = range(2)
"""What a simulation returns; if a replica is stuck, it has work it can never schedule (a defect, not an outcome)."""

SIMULATION = np.dtype(
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
        ("state_blocks", "i8"),
        ("window_tokens", "i8"),
        ("window_blocks", "i8"),
        ("longest_request", "i8"),
        ("max_loras", "i8"),
        ("max_cpu_loras", "i8"),
        ("max_lora_rank", "i8"),
        ("touches_first", "i8"),
        ("n_replicas", "i8"),
        ("replicas_on_gpu", "i8"),
        ("ranks", "i8"),
        ("least_load", "i8"),
        ("prefix_caching", "i8"),
        ("linked", "i8"),
        ("users", "i8"),
        ("n_sessions", "i8"),
        ("next_session", "i8"),
        ("accepted", "i8"),
        ("turnaround_s", "f8"),
        ("n_hashes", "i8"),
        ("n_samples", "i8"),
        ("n_requests", "i8"),
        ("n_adapters", "i8"),
        ("law", "i8"),  # @ float64 parameter vector
        ("arrival_s", "i8"),  # @ float64 per request
        ("input_tokens", "i8"),  # @ int32 per request
        ("output_tokens", "i8"),  # @ int32 per request
        ("adapter", "i8"),  # @ int32 per request; n_adapters represents the base model
        ("prefix_start", "i8"),  # @ int64 per request + 1: where its named blocks begin
        ("prefix_blocks", "i8"),  # @ int64: names, dense from 0
        ("prefix_shared", "i8"),  # @ int64 per name: whether the request shares that block
        ("requests", "i8"),  # @ REQUEST per request
        ("status", "i8"),  # @ int8 per request
        ("running_links", "i8"),  # @ linked lists of requests; sentinels n_requests + replica
        ("waiting_next", "i8"),  # @ int64 per request: the one behind it in its queue
        ("finish_places", "i8"),  # @ int64 per request: its place in the finish heap
        ("touch_order", "i8"),  # @ int64 per adapter: the order in which a step goes through its adapters
        ("touch_place", "i8"),  # @ int64 per adapter: its place in that order
        ("cpu_to_gpu_s", "i8"),  # @ float64 per adapter
        ("disk_to_cpu_s", "i8"),  # @ float64 per adapter
        ("gap_histogram", "i8"),  # @ int64 per bin
        ("following", "i8"),  # @ int64 per request: the next turn of its session, or NONE
        ("think_s", "i8"),  # @ float64 per request
        ("sessions", "i8"),  # @ int64: first requests of sessions, in order
        ("due", "i8"),  # @ heap of what falls due, by time
        (
            "due_s",
            "i8",
        ),  # @ float64 per request: what its end brings; then per request: its own time, as a session's first
        ("samples", "i8"),  # @ float64 per sample and column, summed over replicas
        ("replicas", "i8"),  # @ REPLICA per replica
    ]
)

REPLICA = np.dtype(
    [
        ("time_s", "f8"),
        ("decode_ended_s", "f8"),
        ("running_s", "f8"),
        ("waiting_s", "f8"),
        ("kv_blocks_s", "f8"),
        ("adapters_s", "f8"),
        ("gap_sum_s", "f8"),
        ("step_attention", "f8"),
        ("step_load_s", "f8"),
        ("step_kv_s", "f8"),
        ("span_first_s", "f8"),
        ("span_increment_s", "f8"),
        ("owed_s", "f8"),
        ("number", "i8"),
        ("gaps", "i8"),
        ("steps", "i8"),
        ("spans", "i8"),
        ("decode_steps", "i8"),
        ("prompt_tokens", "i8"),
        ("generated_tokens", "i8"),
        ("running", "i8"),
        ("decoding", "i8"),
        ("waiting", "i8"),
        ("context_tokens", "i8"),
        ("free_blocks", "i8"),
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
        ("n_joined", "i8"),
        ("touch_cursor", "i8"),
        ("gpu_loads", "i8"),
        ("disk_loads", "i8"),
        ("stalled", "i8"),
        ("stalled_groups", "i8"),
        ("prefix_queries", "i8"),
        ("prefix_hits", "i8"),
        ("n_spare_runs", "i8"),
        ("next_sample", "i8"),
        ("owed_steps", "i8"),
        ("step_decoding", "i8"),
        ("step_preemptions", "i8"),
        ("step_waits", "i8"),
        ("step_prefill_seqs", "i8"),
        ("step_prefill_tokens", "i8"),
        ("step_first_admitted", "i8"),
        ("component_s", "i8"),  # @ float64 per component
        ("law_s", "i8"),  # @ float64 per component that the law returned for the step being run
        ("block_phase", "i8"),  # @ int64 per token of a block
        ("finish_heap", "i8"),  # @ heap of decoding requests by the decode step that ends them
        ("queues", "i8"),  # @ QUEUE per adapter, the base model's last
        ("queue_places", "i8"),  # @ int64 per queue: its place in its heap
        ("open_heap", "i8"),  # @ heap of queues by the order of their heads
        ("closed_heap", "i8"),  # @ heap of queues by the order of their heads
        ("gpu_lru", "i8"),  # @ linked list of adapters; the sentinel is n_adapters
        ("cpu_lru", "i8"),  # @ linked list of adapters; the sentinel is n_adapters
        ("joined", "i8"),  # @ int64 per adapter: those that joined the batch of the step being scheduled
        ("references", "i8"),  # @ int64 per name: requests that use the block, or NOT_CACHED
        ("free_queue", "i8"),  # @ linked list of names and runs; the sentinel comes last
        ("run_blocks", "i8"),  # @ int64 per run of nameless blocks
        ("spare_runs", "i8"),  # @ int64 stack of runs not in use
        ("stalled_since_s", "i8"),  # @ float64 per running request
        ("stalled_requests", "i8"),  # @ int64 per running request
    ]
)
"""A replica. `context_tokens` is what the next decode step attends to; `decode_steps` counts the steps that
gave every decoding request a token; `block_phase[d % block_size]` counts the decoding requests that need a
new block in decode step `d`; `partial` is the request whose prompt is partly computed; `step_*` describe the
step being scheduled; `owed_steps` are prompts of other ranks yet to be waited for, `owed_s` each."""

REQUEST = np.dtype(
    [
        ("scheduled_s", "f8"),
        ("first_token_s", "f8"),
        ("last_token_s", "f8"),
        ("queue_key", "i8"),
        ("generated", "i8"),
        ("kv_offset", "i8"),
        ("computed", "i8"),
        ("held_blocks", "i8"),
        ("preemptions", "i8"),
        ("hit_tokens", "i8"),
        ("named_blocks", "i8"),
        ("replica", "i8"),
        ("decoding", "i8"),
    ]
)
"""A request. While it decodes, its generated tokens are `generated + decode_steps` and the tokens it holds in
the KV cache `kv_offset + decode_steps`, so a decode step changes no request. `computed` counts its prompt's
tokens in the KV cache before that."""

QUEUE = np.dtype(
    [
        ("head", "i8"),
        ("tail", "i8"),
        ("running", "i8"),
        ("gpu_loads", "i8"),
        ("resident", "i8"),
        ("cached", "i8"),
        ("touched", "i8"),
        ("listed", "i8"),
    ]
)
"""The waiting requests of one adapter, and the adapter itself; the last queue is the base model's. `touched` is the
number of the step that last had the adapter in its batch, known once it has left; `listed` says whether it is in the
list of slots by age, which has those without requests in the batch, and those that joined it since the last step."""
