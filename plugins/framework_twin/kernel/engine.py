"""The life of one replica: from one change of the running batch to the next."""

from __future__ import annotations

import math
from typing import Any

from framework_twin.kernel.compiled.jit import compiled, merged
from framework_twin.kernel.compiled.raw_memory import floats, int8s, read_int32, request_at
from framework_twin.kernel.scheduler import schedule
from framework_twin.kernel.span import (
    blocks_after_first_step,
    span_s,
    steps_that_fit,
    steps_to_reach,
    steps_with_free_blocks,
)
from framework_twin.kernel.state import DONE, LAW_COMPONENTS, REFUSED, STUCK, WAITING
from framework_twin.kernel.statistics import account
from framework_twin.kernel.structures import heap
from framework_twin.kernel.structures.adapter_slots import load_adapters
from framework_twin.kernel.structures.due_queue import release
from framework_twin.kernel.structures.kv_cache import take_blocks
from framework_twin.kernel.structures.waiting_queue import enqueue
from framework_twin.kernel.tokens import end_span
from framework_twin.physics.step_time import COMPONENTS, step_seconds

_PREFILL = COMPONENTS.index("prefill")


@merged
def advance(sim: Any, replica: Any, until_s: float) -> int:
    """Run a replica's steps that start before `until_s` and before the horizon.

    Where requests wait for others, run only a step and those like it: what ends then may bring a request.
    """
    while not replica.horizon_reached:
        next_arrival_s = _absorb_arrivals(sim, replica)
        if replica.running == 0 and replica.waiting == 0:
            if next_arrival_s >= min(until_s, sim.horizon_s):
                break
            idle_until(sim, replica, next_arrival_s)
            continue
        if replica.time_s >= until_s and not sim.linked:
            break
        decodes = schedule(sim, replica)
        if not decodes and replica.step_prefill_seqs == 0:
            return STUCK
        _run_span(sim, replica, decodes, min(next_arrival_s, until_s))
        if sim.linked:
            break
    if replica.horizon_reached:
        _absorb_arrivals(sim, replica)
    return DONE


@compiled
def idle_until(sim: Any, replica: Any, time_s: float) -> None:
    """Let a replica without work wait."""
    replica.step_decoding = 0
    replica.step_prefill_tokens = 0
    replica.step_load_s = 0.0
    replica.step_kv_s = 0.0
    replica.owed_steps = 0
    account(sim, replica, time_s - replica.time_s, 0.0, sim.capacity_blocks - replica.free_blocks)
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
    tokens = read_int32(sim.input_tokens, item) + read_int32(sim.output_tokens, item)
    if tokens > sim.longest_request:
        int8s(sim.status)[item] = REFUSED
        if sim.linked:
            release(sim, item, floats(sim.arrival_s)[item])
    elif sim.linked:
        sim.accepted += 1
        request_at(sim.requests, item).queue_key = sim.accepted
        int8s(sim.status)[item] = WAITING
        enqueue(sim, replica, item, sim.accepted)
    else:
        enqueue(sim, replica, item, item)


@merged
def _run_span(sim: Any, replica: Any, decodes: bool, next_event_s: float) -> None:
    """Run the scheduled step and, as long as nothing changes, the ones like it after it."""
    _price_step(sim, replica, decodes)
    first_s = replica.span_first_s
    increment_s = replica.span_increment_s
    steps = _steps_until_change(sim, replica, next_event_s)
    whole = steps
    if sim.horizon_s < math.inf:
        whole = steps_that_fit(replica.time_s, first_s, increment_s, sim.horizon_s, steps)
        steps = max(whole, 1)
    first_blocks = sim.capacity_blocks - replica.free_blocks
    if decodes:
        take_blocks(sim, replica, blocks_after_first_step(sim, replica, steps))
    if whole == 0:
        _cut_step(sim, replica, first_blocks)
        return
    duration_s = span_s(first_s, increment_s, steps)
    replica.step_kv_s = span_s(replica.step_kv_s, increment_s, steps)
    account(sim, replica, duration_s, float(steps), first_blocks)
    replica.steps += steps
    replica.spans += 1
    replica.time_s += duration_s
    end_span(sim, replica, decodes, steps)


@merged
def _price_step(sim: Any, replica: Any, decodes: bool) -> None:
    """Ask the law what the scheduled step costs, and by how much the next one like it costs more."""
    replica.step_decoding = replica.decoding if decodes else 0
    replica.step_load_s = load_adapters(sim, replica)
    context_tokens = replica.context_tokens if decodes else 0
    law_s = floats(replica.law_s)
    law_s[0], law_s[1], law_s[2], law_s[3], law_s[4], law_s[5], slope_s = _law_s(
        sim,
        replica,
        replica.step_prefill_seqs,
        replica.step_prefill_tokens,
        replica.step_attention,
        context_tokens,
    )
    replica.step_kv_s = slope_s * context_tokens
    replica.span_first_s = replica.step_load_s + replica.step_kv_s
    for place in range(LAW_COMPONENTS):
        replica.span_first_s += law_s[place]
    replica.span_increment_s = slope_s * replica.step_decoding
    if sim.ranks > 1:
        _wait_for_ranks(sim, replica)


@compiled
def _law_s(
    sim: Any, replica: Any, prompts: int, prompt_tokens: int, attention: float, context_tokens: int
) -> Any:
    """Ask the law for the components of a step with these prompts, and for its seconds per token of context."""
    return step_seconds(
        floats(sim.law),
        replica.step_decoding,
        prompts,
        prompt_tokens,
        attention,
        replica.active_adapters,
        sim.max_loras,
        sim.max_lora_rank,
        replica.running,
        replica.waiting,
        sim.generation,
        sim.replicas_on_gpu,
        context_tokens,
    )


@compiled
def _wait_for_ranks(sim: Any, replica: Any) -> None:
    """Let a replica wait for a prompt of another rank, and note those that its own prompts stand for.

    For each step with prompts, every other rank has one like it. It costs nothing where this replica computes
    prompts at the same time; else one is waited for in each step without prompts.
    """
    others = sim.ranks - 1
    replica.step_waits = 0
    if replica.step_prefill_seqs > 0:
        replica.owed_steps = max(0, replica.owed_steps - others) + others
        replica.owed_s = replica.span_first_s - replica.step_load_s - _decodes_alone_s(sim, replica)
    elif replica.owed_steps > 0:
        replica.owed_steps -= 1
        floats(replica.law_s)[_PREFILL] += replica.owed_s
        replica.span_first_s += replica.owed_s
        replica.step_waits = 1


@compiled
def _decodes_alone_s(sim: Any, replica: Any) -> float:
    """Seconds of the scheduled step without its prompts; 0 without decodes: a rank without work computes none."""
    if replica.step_decoding == 0:
        return 0.0
    context_tokens = replica.context_tokens
    parts = _law_s(sim, replica, 0, 0, 0.0, context_tokens)
    own_s = parts[0] + parts[1] + parts[2] + parts[3] + parts[4] + parts[5]
    return float(own_s + parts[6] * context_tokens)


@merged
def _steps_until_change(sim: Any, replica: Any, next_event_s: float) -> int:
    """Steps until a request finishes, the KV blocks run out or something arrives; 1 if the step isn't repeated."""
    if replica.step_prefill_seqs > 0 or replica.step_preemptions > 0 or replica.step_load_s > 0.0:
        return 1
    if replica.step_waits > 0:
        return 1
    steps = heap.first_key(replica.finish_heap) - replica.decode_steps
    steps = steps_with_free_blocks(sim, replica, steps)
    if next_event_s < math.inf:
        steps = steps_to_reach(
            replica.time_s, replica.span_first_s, replica.span_increment_s, next_event_s, steps
        )
    return steps


@merged
def _cut_step(sim: Any, replica: Any, first_blocks: int) -> None:
    """Account for the step that the horizon cuts: its share of time counts, its tokens do not."""
    left_s = sim.horizon_s - replica.time_s
    share = left_s / replica.span_first_s
    replica.step_decoding = 0
    replica.step_prefill_tokens = 0
    replica.step_load_s *= share
    replica.step_kv_s *= share
    account(sim, replica, left_s, share, first_blocks)
    replica.time_s = sim.horizon_s
    replica.horizon_reached = 1
