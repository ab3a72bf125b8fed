"""The life of one replica: from one change of the running batch to the next."""

from __future__ import annotations

import math
from typing import Any

from framework_twin.kernel import heap, linked_list
from framework_twin.kernel.adapter_slots import load_adapters, release_adapter
from framework_twin.kernel.jit import compiled, merged
from framework_twin.kernel.memory import floats, int32s, int64s
from framework_twin.kernel.scheduler import blocks_for, leave_decoding, schedule
from framework_twin.kernel.span import (
    blocks_in_steps,
    span_s,
    steps_that_fit,
    steps_to_reach,
    steps_with_free_blocks,
)
from framework_twin.kernel.state import FINISHED, IDLE_SECONDS, LAW_COMPONENTS, NONE, REFUSED, request_at
from framework_twin.kernel.statistics import add_components, count_gap_series, count_gaps, integrate
from framework_twin.kernel.waiting_queue import enqueue
from framework_twin.step_time import step_seconds

DONE, STUCK = range(2)
"""What `advance` returns; a replica that is stuck has work it can never schedule (a defect, not an outcome)."""


@merged
def advance(sim: Any, replica: Any, until_s: float) -> int:
    """Run a replica's steps that start before `until_s` and before the horizon."""
    while not replica.horizon_reached:
        next_arrival_s = _absorb_arrivals(sim, replica)
        if replica.running == 0 and replica.waiting == 0:
            if next_arrival_s >= min(until_s, sim.horizon_s):
                break
            idle_until(replica, next_arrival_s)
            continue
        if replica.time_s >= until_s:
            break
        decodes = schedule(sim, replica)
        if not decodes and replica.step_prefill_seqs == 0:
            return STUCK
        _run_span(sim, replica, decodes, min(next_arrival_s, until_s))
    if replica.horizon_reached:
        _absorb_arrivals(sim, replica)
    return DONE


@compiled
def idle_until(replica: Any, time_s: float) -> None:
    """Let a replica without work wait."""
    floats(replica.component_s)[IDLE_SECONDS] += time_s - replica.time_s
    replica.time_s = time_s


@compiled
def _absorb_arrivals(sim: Any, replica: Any) -> float:
    """Queue what has arrived by now; return the next arrival's time (infinity: none before the horizon)."""
    item = replica.next_arrival
    next_s = math.inf
    while item < sim.n_requests:
        if floats(sim.arrival_s)[item] > replica.time_s or floats(sim.arrival_s)[item] >= sim.horizon_s:
            next_s = floats(sim.arrival_s)[item]
            break
        accept(sim, replica, item)
        item += replica.stride
    replica.next_arrival = item
    return next_s if next_s < sim.horizon_s else math.inf


@compiled
def accept(sim: Any, replica: Any, item: int) -> None:
    """Queue a request that arrived at this replica, or refuse it."""
    tokens = int32s(sim.input_tokens)[item] + int32s(sim.output_tokens)[item]
    if tokens > sim.longest_request or replica.waiting >= sim.max_waiting:
        request_at(sim.requests, item).status = REFUSED
    else:
        enqueue(sim, replica, item)


@merged
def _run_span(sim: Any, replica: Any, decodes: bool, next_event_s: float) -> None:
    """Run the scheduled step and, as long as nothing changes, the ones like it after it."""
    decoding = replica.decoding if decodes else 0
    load_s = load_adapters(sim, replica)
    law_s = floats(replica.law_s)
    law_s[0], law_s[1], law_s[2], law_s[3], law_s[4], law_s[5], slope_s = step_seconds(
        floats(sim.law),
        decoding,
        replica.step_prefill_seqs,
        replica.step_prefill_tokens,
        replica.step_attention,
        replica.active_adapters,
        sim.max_loras,
        sim.max_lora_rank,
        replica.running,
        replica.waiting,
        sim.generation,
        sim.replicas_on_gpu,
        replica.context_tokens if decodes else 0,
    )
    first_s = load_s
    for place in range(LAW_COMPONENTS):
        first_s += law_s[place]
    increment_s = 0.0
    if decodes:
        first_s += slope_s * replica.context_tokens
        increment_s = slope_s * decoding
    start_s = replica.time_s

    steps = 1
    if replica.step_prefill_seqs == 0 and replica.step_preemptions == 0 and load_s == 0.0:
        steps = heap.first_key(replica.finish_heap) - replica.decode_steps
        steps = steps_with_free_blocks(sim, replica, steps)
        if next_event_s < math.inf:
            steps = steps_to_reach(start_s, first_s, increment_s, next_event_s, steps)
    if sim.horizon_s < math.inf:
        whole = steps_that_fit(start_s, first_s, increment_s, sim.horizon_s, steps)
        if whole == 0:
            _cut_step(sim, replica, load_s, first_s, sim.horizon_s - start_s)
            return
        steps = whole

    duration_s = span_s(first_s, increment_s, steps)
    _reserve_blocks(sim, replica, decodes, steps, duration_s)
    replica.steps += steps
    replica.finished_last_step = 0
    replica.prompt_tokens += replica.step_prefill_tokens
    replica.time_s = start_s + duration_s
    kv_s = span_s(slope_s * replica.context_tokens, increment_s, steps) if decodes else 0.0
    add_components(replica, load_s, kv_s, steps)
    if decodes:
        _count_span_gaps(sim, replica, start_s, first_s, increment_s, steps)
    if decodes or not sim.prefill_first:
        replica.decode_steps += steps
        replica.context_tokens += steps * decoding
        replica.generated_tokens += steps * decoding
        _finish_decoded(sim, replica)
    if replica.step_prefill_seqs > 0:
        _end_prefills(sim, replica)


@merged
def _reserve_blocks(sim: Any, replica: Any, decodes: bool, steps: int, duration_s: float) -> None:
    """Take the blocks that the span's decodes start, and add the span to the time integrals."""
    capacity = sim.capacity_blocks
    if decodes:
        phase = replica.decode_steps % sim.block_size
        first_free = replica.free_blocks - int64s(replica.block_phase)[phase]
        replica.free_blocks -= blocks_in_steps(sim, replica, steps)
    else:
        first_free = replica.free_blocks
    integrate(replica, duration_s, capacity - 0.5 * (first_free + replica.free_blocks))
    replica.kv_blocks_peak = max(replica.kv_blocks_peak, capacity - replica.free_blocks)


@merged
def _count_span_gaps(
    sim: Any, replica: Any, start_s: float, first_s: float, increment_s: float, steps: int
) -> None:
    """Count the gaps between tokens. After prefill-only steps the first one is longer than its step (V0)."""
    if sim.prefill_first and replica.decode_ended_s != start_s:
        first_end_s = start_s + first_s
        recent = 0
        for group in range(replica.stalled_groups):
            recent += int64s(replica.stalled_requests)[group]
            count_gaps(sim, replica, first_end_s - floats(replica.stalled_since_s)[group], int64s(replica.stalled_requests)[group])
        if recent < replica.decoding:
            count_gaps(sim, replica, first_end_s - replica.decode_ended_s, replica.decoding - recent)
        if steps > 1:
            count_gap_series(sim, replica, first_s + increment_s, increment_s, steps - 1, replica.decoding)
    else:
        count_gap_series(sim, replica, first_s, increment_s, steps, replica.decoding)
    replica.stalled_groups = 0
    replica.decode_ended_s = replica.time_s


@merged
def _finish_decoded(sim: Any, replica: Any) -> None:
    """Let go the decoding requests whose last token the span gave."""
    while replica.finish_size > 0 and heap.first_key(replica.finish_heap) <= replica.decode_steps:
        item = heap.first_item(replica.finish_heap)
        heap.remove(replica.finish_heap, sim.finish_places, replica.finish_size, item)
        replica.finish_size -= 1
        leave_decoding(sim, replica, item)
        _finish(sim, replica, item)


@merged
def _end_prefills(sim: Any, replica: Any) -> None:
    """Give each prompt that is now computed its next token, and remember the one that is not."""
    sentinel = sim.n_requests + replica.number
    item = replica.step_first_admitted if replica.partial == NONE else replica.partial
    replica.partial = NONE
    while item != sentinel:
        following = linked_list.after(sim.running_links, item)
        request = request_at(sim.requests, item)
        if request.computed < int32s(sim.input_tokens)[item] + request.generated:
            replica.partial = item
        else:
            _end_prefill(sim, replica, item)
        item = following


@merged
def _end_prefill(sim: Any, replica: Any, item: int) -> None:
    """Count the token that the last chunk of a prompt gives; the request now decodes or is finished."""
    request = request_at(sim.requests, item)
    if request.generated == 0:
        request.first_token_s = replica.time_s
    else:
        count_gaps(sim, replica, replica.time_s - request.last_token_s, 1)
    request.last_token_s = replica.time_s
    request.generated += 1
    replica.generated_tokens += 1
    left = int32s(sim.output_tokens)[item] - request.generated
    if left == 0:
        _finish(sim, replica, item)
        return
    held_tokens = int32s(sim.input_tokens)[item] + request.generated - 1
    request.decoding = 1
    request.generated -= replica.decode_steps
    request.kv_offset = held_tokens - replica.decode_steps
    int64s(replica.block_phase)[-request.kv_offset % sim.block_size] += 1
    replica.context_tokens += held_tokens + 1
    replica.decoding += 1
    heap.push(
        replica.finish_heap, sim.finish_places, replica.finish_size, replica.decode_steps + left, item
    )
    replica.finish_size += 1
    if sim.prefill_first:
        _stall(sim, replica)


@compiled
def _stall(sim: Any, replica: Any) -> None:
    """Note that a request has its first token and may wait through further prefill steps for the second (V0)."""
    last = replica.stalled_groups - 1
    if last < 0 or floats(replica.stalled_since_s)[last] != replica.time_s:
        last += 1
        replica.stalled_groups += 1
        floats(replica.stalled_since_s)[last] = replica.time_s
        int64s(replica.stalled_requests)[last] = 0
    int64s(replica.stalled_requests)[last] += 1


@compiled
def _finish(sim: Any, replica: Any, item: int) -> None:
    request = request_at(sim.requests, item)
    request.last_token_s = replica.time_s
    request.status = FINISHED
    linked_list.unlink(sim.running_links, item)
    replica.free_blocks += request.held_blocks
    replica.running -= 1
    replica.finished_last_step += 1
    release_adapter(sim, replica, int32s(sim.adapter)[item])


@merged
def _cut_step(
    sim: Any, replica: Any, load_s: float, first_s: float, left_s: float
) -> None:
    """Account for the step that the horizon cuts: its share of time counts, its tokens do not."""
    share = left_s / first_s
    kv_s = first_s - load_s
    for place in range(LAW_COMPONENTS):
        kv_s -= floats(replica.law_s)[place]
    add_components(replica, share * load_s, share * max(kv_s, 0.0), share)
    integrate(replica, left_s, sim.capacity_blocks - replica.free_blocks)
    replica.time_s = sim.horizon_s
    replica.horizon_reached = 1
