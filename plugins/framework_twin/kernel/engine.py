"""The life of one replica: from one change of the running batch to the next."""

from __future__ import annotations

import math

from framework_twin.kernel import heap, linked_list
from framework_twin.kernel.adapter_slots import load_adapters, release_adapter
from framework_twin.kernel.jit import compiled, inlined
from framework_twin.kernel.scheduler import blocks_for, leave_decoding, schedule
from framework_twin.kernel.span import (
    blocks_in_steps,
    span_s,
    steps_that_fit,
    steps_to_reach,
    steps_with_free_blocks,
)
from framework_twin.kernel.state import FINISHED, IDLE_SECONDS, LAW_COMPONENTS, NONE, REFUSED, Tables
from framework_twin.kernel.statistics import add_components, count_gap_series, count_gaps, integrate
from framework_twin.kernel.waiting_queue import enqueue
from framework_twin.step_time import step_seconds

DONE, STUCK = range(2)
"""What `advance` returns; a replica that is stuck has work it can never schedule (a defect, not an outcome)."""


@compiled
def advance(tables: Tables, r: int, until_s: float) -> int:
    """Run a replica's steps that start before `until_s` and before the horizon."""
    config = tables.config
    replica = tables.replicas[r]
    while not replica.horizon_reached:
        next_arrival_s = _absorb_arrivals(tables, r)
        if replica.running == 0 and replica.waiting == 0:
            if next_arrival_s >= min(until_s, config.horizon_s):
                break
            idle_until(tables, r, next_arrival_s)
            continue
        if replica.time_s >= until_s:
            break
        decodes = schedule(tables, r)
        if not decodes and replica.step_prefill_seqs == 0:
            return STUCK
        _run_span(tables, r, decodes, min(next_arrival_s, until_s))
    if replica.horizon_reached:
        _absorb_arrivals(tables, r)
    return DONE


@inlined
def idle_until(tables: Tables, r: int, time_s: float) -> None:
    """Let a replica without work wait."""
    replica = tables.replicas[r]
    replica.component_s[IDLE_SECONDS] += time_s - replica.time_s
    replica.time_s = time_s


@inlined
def _absorb_arrivals(tables: Tables, r: int) -> float:
    """Queue what has arrived by now; return the next arrival's time (infinity: none before the horizon)."""
    config = tables.config
    replica = tables.replicas[r]
    item = replica.next_arrival
    next_s = math.inf
    while item < tables.arrival_s.size:
        if tables.arrival_s[item] > replica.time_s or tables.arrival_s[item] >= config.horizon_s:
            next_s = tables.arrival_s[item]
            break
        accept(tables, r, item)
        item += replica.stride
    replica.next_arrival = item
    return next_s if next_s < config.horizon_s else math.inf


@inlined
def accept(tables: Tables, r: int, item: int) -> None:
    """Queue a request that arrived at this replica, or refuse it."""
    tokens = tables.input_tokens[item] + tables.output_tokens[item]
    config = tables.config
    if tokens > config.longest_request or tables.replicas[r].waiting >= config.max_waiting:
        tables.requests[item].status = REFUSED
    else:
        enqueue(tables, r, item)


@inlined
def _run_span(tables: Tables, r: int, decodes: bool, next_event_s: float) -> None:
    """Run the scheduled step and, as long as nothing changes, the ones like it after it."""
    config = tables.config
    replica = tables.replicas[r]
    decoding = replica.decoding if decodes else 0
    load_s = load_adapters(tables, r)
    law = step_seconds(
        tables.law,
        decoding,
        replica.step_prefill_seqs,
        replica.step_prefill_tokens,
        replica.step_attention,
        replica.active_adapters,
        config.max_loras,
        config.max_lora_rank,
        replica.running,
        replica.waiting,
        config.generation,
        config.replicas_on_gpu,
        replica.context_tokens if decodes else 0,
    )
    slope_s = law[LAW_COMPONENTS]
    first_s = load_s
    for place in range(LAW_COMPONENTS):
        first_s += law[place]
    increment_s = 0.0
    if decodes:
        first_s += slope_s * replica.context_tokens
        increment_s = slope_s * decoding
    start_s = replica.time_s

    steps = 1
    if replica.step_prefill_seqs == 0 and replica.step_preemptions == 0 and load_s == 0.0:
        steps = heap.key_of(tables.finish_heap[r, 0]) - replica.decode_steps
        steps = steps_with_free_blocks(tables, r, steps)
        if next_event_s < math.inf:
            steps = steps_to_reach(start_s, first_s, increment_s, next_event_s, steps)
    if config.horizon_s < math.inf:
        whole = steps_that_fit(start_s, first_s, increment_s, config.horizon_s, steps)
        if whole == 0:
            _cut_step(tables, r, law, load_s, first_s, config.horizon_s - start_s)
            return
        steps = whole

    duration_s = span_s(first_s, increment_s, steps)
    _reserve_blocks(tables, r, decodes, steps, duration_s)
    replica.steps += steps
    replica.finished_last_step = 0
    replica.prompt_tokens += replica.step_prefill_tokens
    replica.time_s = start_s + duration_s
    kv_s = span_s(slope_s * replica.context_tokens, increment_s, steps) if decodes else 0.0
    add_components(tables, r, law, load_s, kv_s, steps)
    if decodes:
        _count_span_gaps(tables, r, start_s, first_s, increment_s, steps)
    if decodes or not config.prefill_first:
        replica.decode_steps += steps
        replica.context_tokens += steps * decoding
        replica.generated_tokens += steps * decoding
        _finish_decoded(tables, r)
    if replica.step_prefill_seqs > 0:
        _end_prefills(tables, r)


@inlined
def _reserve_blocks(tables: Tables, r: int, decodes: bool, steps: int, duration_s: float) -> None:
    """Take the blocks that the span's decodes start, and add the span to the time integrals."""
    replica = tables.replicas[r]
    capacity = tables.config.capacity_blocks
    if decodes:
        first_free = replica.free_blocks - blocks_in_steps(tables, r, 1)
        replica.free_blocks -= blocks_in_steps(tables, r, steps)
    else:
        first_free = replica.free_blocks
    integrate(tables, r, duration_s, capacity - 0.5 * (first_free + replica.free_blocks))
    replica.kv_blocks_peak = max(replica.kv_blocks_peak, capacity - replica.free_blocks)


@inlined
def _count_span_gaps(
    tables: Tables, r: int, start_s: float, first_s: float, increment_s: float, steps: int
) -> None:
    """Count the gaps between tokens. After prefill-only steps the first one is longer than its step (V0)."""
    replica = tables.replicas[r]
    if tables.config.prefill_first and replica.decode_ended_s != start_s:
        first_end_s = start_s + first_s
        recent = 0
        for group in range(replica.stalled_groups):
            recent += tables.stalled_requests[r, group]
            count_gaps(tables, r, first_end_s - tables.stalled_since_s[r, group], tables.stalled_requests[r, group])
        if recent < replica.decoding:
            count_gaps(tables, r, first_end_s - replica.decode_ended_s, replica.decoding - recent)
        if steps > 1:
            count_gap_series(tables, r, first_s + increment_s, increment_s, steps - 1, replica.decoding)
    else:
        count_gap_series(tables, r, first_s, increment_s, steps, replica.decoding)
    replica.stalled_groups = 0
    replica.decode_ended_s = replica.time_s


@inlined
def _finish_decoded(tables: Tables, r: int) -> None:
    """Let go the decoding requests whose last token the span gave."""
    replica = tables.replicas[r]
    while replica.finish_size > 0 and heap.key_of(tables.finish_heap[r, 0]) <= replica.decode_steps:
        item = heap.item_of(tables.finish_heap[r, 0])
        heap.remove(tables.finish_heap[r], tables.finish_position, replica.finish_size, item)
        replica.finish_size -= 1
        leave_decoding(tables, r, item)
        _finish(tables, r, item)


@inlined
def _end_prefills(tables: Tables, r: int) -> None:
    """Give each prompt that is now computed its next token, and remember the one that is not."""
    replica = tables.replicas[r]
    sentinel = tables.requests.size + r
    item = replica.step_first_admitted if replica.partial == NONE else replica.partial
    replica.partial = NONE
    while item != sentinel:
        following = tables.running_links[linked_list.NEXT, item]
        request = tables.requests[item]
        if request.computed < tables.input_tokens[item] + request.generated:
            replica.partial = item
        else:
            _end_prefill(tables, r, item)
        item = following


@inlined
def _end_prefill(tables: Tables, r: int, item: int) -> None:
    """Count the token that the last chunk of a prompt gives; the request now decodes or is finished."""
    replica = tables.replicas[r]
    request = tables.requests[item]
    if request.generated == 0:
        request.first_token_s = replica.time_s
    else:
        count_gaps(tables, r, replica.time_s - request.last_token_s, 1)
    request.last_token_s = replica.time_s
    request.generated += 1
    replica.generated_tokens += 1
    left = tables.output_tokens[item] - request.generated
    if left == 0:
        _finish(tables, r, item)
        return
    held_tokens = tables.input_tokens[item] + request.generated - 1
    request.decoding = 1
    request.generated -= replica.decode_steps
    request.kv_offset = held_tokens - replica.decode_steps
    replica.block_phase[-request.kv_offset % tables.config.block_size] += 1
    replica.context_tokens += held_tokens + 1
    replica.decoding += 1
    heap.push(
        tables.finish_heap[r], tables.finish_position, replica.finish_size, replica.decode_steps + left, item
    )
    replica.finish_size += 1
    if tables.config.prefill_first:
        _stall(tables, r)


@inlined
def _stall(tables: Tables, r: int) -> None:
    """Note that a request has its first token and may wait through further prefill steps for the second (V0)."""
    replica = tables.replicas[r]
    last = replica.stalled_groups - 1
    if last < 0 or tables.stalled_since_s[r, last] != replica.time_s:
        last += 1
        replica.stalled_groups += 1
        tables.stalled_since_s[r, last] = replica.time_s
        tables.stalled_requests[r, last] = 0
    tables.stalled_requests[r, last] += 1


@compiled
def _finish(tables: Tables, r: int, item: int) -> None:
    replica = tables.replicas[r]
    request = tables.requests[item]
    request.last_token_s = replica.time_s
    request.status = FINISHED
    linked_list.unlink(tables.running_links, item)
    replica.free_blocks += request.held_blocks
    replica.running -= 1
    replica.finished_last_step += 1
    release_adapter(tables, r, tables.adapter[item])


@inlined
def _cut_step(
    tables: Tables, r: int, law: tuple[float, ...], load_s: float, first_s: float, left_s: float
) -> None:
    """Account for the step that the horizon cuts: its share of time counts, its tokens do not."""
    share = left_s / first_s
    kv_s = first_s - load_s
    for place in range(LAW_COMPONENTS):
        kv_s -= law[place]
    add_components(tables, r, law, share * load_s, share * max(kv_s, 0.0), share)
    replica = tables.replicas[r]
    integrate(tables, r, left_s, tables.config.capacity_blocks - replica.free_blocks)
    replica.time_s = tables.config.horizon_s
    replica.horizon_reached = 1
