"""One scheduling decision of vLLM: who decodes, whose prompt is computed, who is admitted, who is preempted.

V1, and V0 with chunked prefill: running requests first, oldest first, each its next token or prompt chunk; then
waiting requests, until the token budget, the sequences or the KV blocks are used up. V0 without chunked prefill: a step
computes whole prompts as long as any can be admitted, and otherwise decodes. A request in want of a KV block preempts
the newest running one, which loses its KV cache and returns to the front of the queue.
"""

from __future__ import annotations

from typing import Any

from framework_twin.kernel import heap, linked_list
from framework_twin.kernel.adapter_slots import release_adapter, take_adapter
from framework_twin.kernel.jit import compiled, merged
from framework_twin.kernel.memory import floats, int32s, int64s
from framework_twin.kernel.state import NONE, RUNNING, request_at
from framework_twin.kernel.waiting_queue import dequeue, first_admissible, return_to_front


@compiled
def schedule(sim: Any, replica: Any) -> bool:
    """Decide the next step, reserve its KV blocks, and tell whether decoding requests take part.

    The prompts that the step computes are left in the replica's `step_*` fields.
    """
    replica.step_preemptions = 0
    replica.step_prefill_seqs = 0
    replica.step_prefill_tokens = 0
    replica.step_attention = 0.0
    replica.step_first_admitted = NONE
    if not sim.prefill_first:
        _make_room(sim, replica)
        _continue_partial(sim, replica)
    if replica.step_preemptions == 0:
        _admit(sim, replica)
    if sim.prefill_first:
        if replica.step_prefill_seqs > 0:
            return False
        _make_room(sim, replica)
    return bool(replica.decoding > 0)


@compiled
def blocks_for(tokens: int, block_size: int) -> int:
    """Blocks that hold so many tokens."""
    return (tokens + block_size - 1) // block_size


@compiled
def _make_room(sim: Any, replica: Any) -> None:
    """Preempt until every decoding request that starts a new block in this step can have one."""
    phase = replica.decode_steps % sim.block_size
    while int64s(replica.block_phase)[phase] > replica.free_blocks:
        preempt_newest(sim, replica)


@merged
def _continue_partial(sim: Any, replica: Any) -> None:
    """Give the partly computed prompt its next chunk; it is the newest running request."""
    if replica.partial == NONE:
        return
    request = request_at(sim.requests, replica.partial)
    prompt = int32s(sim.input_tokens)[replica.partial] + request.generated
    chunk = min(prompt - request.computed, sim.token_budget - replica.decoding)
    wanted = blocks_for(request.computed + chunk, sim.block_size) - request.held_blocks
    decode_blocks = int64s(replica.block_phase)[replica.decode_steps % sim.block_size]
    if wanted > replica.free_blocks - decode_blocks:
        preempt_newest(sim, replica)
        return
    if wanted > 0:
        request.held_blocks += wanted
        replica.free_blocks -= wanted
    _add_chunk(sim, replica, request.computed, chunk)
    request.computed += chunk


@merged
def _admit(sim: Any, replica: Any) -> None:
    """Move waiting requests into the batch as long as tokens, sequences and blocks last."""
    budget = sim.token_budget - replica.step_prefill_tokens
    reserved = 0
    if not sim.prefill_first:
        budget -= replica.decoding
        reserved = int64s(replica.block_phase)[replica.decode_steps % sim.block_size]
    while budget > 0 and replica.running < sim.max_num_seqs:
        item = first_admissible(sim, replica)
        if item == NONE:
            break
        request = request_at(sim.requests, item)
        prompt = int32s(sim.input_tokens)[item] + request.generated
        if sim.prefill_first and prompt > budget:
            break
        chunk = min(prompt, budget)
        blocks = blocks_for(prompt if sim.reserve_whole_prompt else chunk, sim.block_size)
        if blocks > replica.free_blocks - reserved - sim.watermark_blocks:
            break
        dequeue(sim, replica, item)
        take_adapter(sim, replica, int32s(sim.adapter)[item])
        linked_list.append(sim.running_links, sim.n_requests + replica.number, item)
        replica.running += 1
        replica.running_peak = max(replica.running_peak, replica.running)
        replica.free_blocks -= blocks
        request.held_blocks = blocks
        request.computed = chunk
        if request.preemptions == 0:
            request.scheduled_s = replica.time_s
        request.status = RUNNING
        request.decoding = 0
        if replica.step_first_admitted == NONE:
            replica.step_first_admitted = item
        _add_chunk(sim, replica, 0, chunk)
        budget -= chunk


@compiled
def _add_chunk(sim: Any, replica: Any, before: int, chunk: int) -> None:
    replica.step_prefill_seqs += 1
    replica.step_prefill_tokens += chunk
    replica.step_attention += chunk * (before + 0.5 * chunk)


@compiled
def preempt_newest(sim: Any, replica: Any) -> None:
    """Drop the newest running request: it loses its KV cache, keeps its tokens and waits at the front."""
    victim = linked_list.last(sim.running_links, sim.n_requests + replica.number)
    request = request_at(sim.requests, victim)
    if request.decoding:
        leave_decoding(sim, replica, victim)
        heap.remove(replica.finish_heap, sim.finish_places, replica.finish_size, victim)
        replica.finish_size -= 1
        if replica.decode_ended_s > request.last_token_s:
            request.last_token_s = replica.decode_ended_s
        elif sim.prefill_first:
            _forget_stalled(sim, replica, request.last_token_s)
    else:
        replica.partial = NONE
    linked_list.unlink(sim.running_links, victim)
    replica.free_blocks += request.held_blocks
    replica.running -= 1
    replica.preemptions += 1
    replica.step_preemptions += 1
    request.preemptions += 1
    release_adapter(sim, replica, int32s(sim.adapter)[victim])
    return_to_front(sim, replica, victim)


@compiled
def leave_decoding(sim: Any, replica: Any, item: int) -> None:
    """Take a request out of the sums over decoding requests and settle its token counts."""
    request = request_at(sim.requests, item)
    block_size = sim.block_size
    held_tokens = request.kv_offset + replica.decode_steps
    request.decoding = 0
    request.generated += replica.decode_steps
    request.held_blocks = blocks_for(held_tokens, block_size)
    int64s(replica.block_phase)[-request.kv_offset % block_size] -= 1
    replica.context_tokens -= held_tokens + 1
    replica.decoding -= 1


@compiled
def _forget_stalled(sim: Any, replica: Any, since_s: float) -> None:
    """Take one request off the group that waits for its second token since this time."""
    for group in range(replica.stalled_groups - 1, -1, -1):
        if floats(replica.stalled_since_s)[group] == since_s:
            int64s(replica.stalled_requests)[group] -= 1
            break
