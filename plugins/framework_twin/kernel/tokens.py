"""What a span of steps leaves behind: tokens, gaps between them, finished requests, prompts that turn to decoding."""

from __future__ import annotations

from typing import Any

from framework_twin.kernel.compiled.jit import compiled, merged
from framework_twin.kernel.compiled.raw_memory import floats, int8s, int64s, read_int32, request_at
from framework_twin.kernel.scheduler import leave_decoding
from framework_twin.kernel.span import span_s
from framework_twin.kernel.state import FINISHED, NONE
from framework_twin.kernel.statistics import count_gap_series, count_gaps
from framework_twin.kernel.structures import heap, linked_list
from framework_twin.kernel.structures.adapter_slots import release_adapter
from framework_twin.kernel.structures.due_queue import release
from framework_twin.kernel.structures.kv_cache import release_blocks


@merged
def end_span(sim: Any, replica: Any, decodes: bool, steps: int) -> None:
    """Give the span's tokens to their requests; the replica's clock is at its end."""
    replica.finished_last_step = 0
    replica.prompt_tokens += replica.step_prefill_tokens
    if decodes:
        _count_span_gaps(sim, replica, steps)
        replica.generated_tokens += steps * replica.decoding
        replica.context_tokens += steps * replica.decoding
        replica.decode_steps += steps
        _finish_decoded(sim, replica)
    else:
        replica.stalled = sim.prefill_first
    if replica.step_prefill_seqs > 0:
        _end_prefills(sim, replica)


@merged
def _count_span_gaps(sim: Any, replica: Any, steps: int) -> None:
    """Count the gaps between tokens. After prefill-only steps the first one is longer than its step (V0)."""
    first_s = replica.span_first_s
    increment_s = replica.span_increment_s
    regular = steps
    if replica.stalled:
        first_end_s = replica.time_s - span_s(first_s + increment_s, increment_s, steps - 1)
        left = replica.decoding
        for group in range(replica.stalled_groups):
            count = int64s(replica.stalled_requests)[group]
            count_gaps(sim, replica, first_end_s - floats(replica.stalled_since_s)[group], count)
            left -= count
        count_gaps(sim, replica, first_end_s - replica.decode_ended_s, left)
        replica.stalled = 0
        replica.stalled_groups = 0
        first_s += increment_s
        regular -= 1
    if regular > 0:
        count_gap_series(sim, replica, first_s, increment_s, regular, replica.decoding)
    replica.decode_ended_s = replica.time_s


@merged
def _finish_decoded(sim: Any, replica: Any) -> None:
    """Let go the decoding requests whose last token the span gave."""
    while (
        not heap.is_empty(replica.finish_heap) and heap.first_key(replica.finish_heap) <= replica.decode_steps
    ):
        item = heap.first_item(replica.finish_heap)
        heap.remove(replica.finish_heap, sim.finish_places, item)
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
        if request.computed < read_int32(sim.input_tokens, item) + request.generated:
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
    left = read_int32(sim.output_tokens, item) - request.generated
    if left == 0:
        _finish(sim, replica, item)
        return
    held_tokens = read_int32(sim.input_tokens, item) + request.generated - 1
    request.decoding = 1
    request.generated -= replica.decode_steps
    request.kv_offset = held_tokens - replica.decode_steps
    int64s(replica.block_phase)[-request.kv_offset % sim.block_size] += 1
    replica.context_tokens += held_tokens + 1
    replica.decoding += 1
    heap.push(replica.finish_heap, sim.finish_places, replica.decode_steps + left, item)
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
    int8s(sim.status)[item] = FINISHED
    linked_list.unlink(sim.running_links, item)
    release_blocks(sim, replica, item)
    replica.running -= 1
    replica.finished_last_step += 1
    release_adapter(sim, replica, read_int32(sim.adapter, item))
    if sim.linked:
        release(sim, item, replica.time_s)
