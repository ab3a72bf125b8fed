"""One scheduling decision of vLLM: who decodes, whose prompt is computed, who is admitted, who is preempted.

V1, and V0 with chunked prefill: running requests first, oldest first, each its next token or prompt chunk;
then waiting requests, until the token budget, the sequences or the KV blocks are used up. V0 without chunked
prefill: a step computes whole prompts as long as any can be admitted, and otherwise decodes. A request in
want of a KV block preempts the newest running one, which loses its KV cache and returns to the front of the
queue.
"""

from __future__ import annotations

from typing import Any

from framework_twin.kernel.compiled.jit import compiled, merged
from framework_twin.kernel.compiled.raw_memory import floats, int8s, int64s, read_int32, request_at
from framework_twin.kernel.state import NONE, RUNNING
from framework_twin.kernel.structures import heap, linked_list
from framework_twin.kernel.structures.adapter_slots import release_adapter, take_adapter
from framework_twin.kernel.structures.kv_cache import (
    blocks_held,
    find_prefix,
    name_blocks,
    release_blocks,
    share_prefix,
    take_blocks,
    unused_blocks,
)
from framework_twin.kernel.structures.waiting_queue import dequeue, first_admissible, return_to_front


@compiled
def schedule(sim: Any, replica: Any) -> bool:
    """Decide the next step, reserve its KV blocks, and return whether decoding requests take part.

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
def _make_room(sim: Any, replica: Any) -> None:
    """Give a block to every decoding request that starts one in this step; preempt as long as they don't suffice."""
    blocks = int64s(replica.block_phase)
    phase = replica.decode_steps % sim.block_size
    served = 0
    while blocks[phase] > served + replica.free_blocks:
        served += replica.free_blocks  # the oldest requests come first, and only then is one dropped
        take_blocks(sim, replica, replica.free_blocks)
        preempt_newest(sim, replica)
    take_blocks(sim, replica, blocks[phase] - served)


@merged
def _continue_partial(sim: Any, replica: Any) -> None:
    """Give the partly computed prompt its next chunk; it is the newest running request."""
    item = replica.partial
    if item == NONE:
        return
    request = request_at(sim.requests, item)
    prompt = read_int32(sim.input_tokens, item) + request.generated
    chunk = min(prompt - request.computed, sim.token_budget - replica.decoding)
    wanted = blocks_held(sim, item, request.computed + chunk) - request.held_blocks
    if wanted > replica.free_blocks:
        preempt_newest(sim, replica)
        return
    if wanted > 0:  # V0 holds blocks for the whole prompt already
        request.held_blocks += wanted
        take_blocks(sim, replica, wanted)
    _add_chunk(sim, replica, item, chunk)


@merged
def _admit(sim: Any, replica: Any) -> None:
    """Move waiting requests into the batch as long as tokens, sequences and blocks last."""
    budget = sim.token_budget - replica.step_prefill_tokens
    if not sim.prefill_first:
        budget -= replica.decoding
    while budget > 0 and replica.running < sim.max_num_seqs:
        item = first_admissible(sim, replica)
        if item == NONE:
            break
        request = request_at(sim.requests, item)
        prompt = read_int32(sim.input_tokens, item) + request.generated
        if sim.prefill_first and prompt > budget:
            break
        found = 0
        unused = 0
        if sim.prefix_caching:
            found = find_prefix(sim, replica, item, prompt)
            unused = unused_blocks(sim, replica, item, found)
        chunk = min(prompt - found * sim.block_size, budget)
        held_tokens = prompt if sim.reserve_whole_prompt else found * sim.block_size + chunk
        blocks = blocks_held(sim, item, held_tokens) - found
        if blocks > replica.free_blocks - unused - sim.watermark_blocks:
            break
        dequeue(sim, replica, item)
        take_adapter(sim, replica, read_int32(sim.adapter, item))
        _start(sim, replica, item, found, blocks)
        _add_chunk(sim, replica, item, chunk)
        budget -= chunk


@merged
def _start(sim: Any, replica: Any, item: int, found: int, blocks: int) -> None:
    """Put a request that is admitted at the end of the running batch, with its blocks."""
    request = request_at(sim.requests, item)
    linked_list.append(sim.running_links, sim.n_requests + replica.number, item)
    replica.running += 1
    replica.running_peak = max(replica.running_peak, replica.running)
    if replica.step_first_admitted == NONE:
        replica.step_first_admitted = item
    int8s(sim.status)[item] = RUNNING
    request.decoding = 0
    request.computed = found * sim.block_size
    if request.preemptions == 0:
        request.scheduled_s = replica.time_s
        request.hit_tokens = request.computed
    if sim.prefix_caching:
        share_prefix(sim, replica, item, found)
        replica.prefix_queries += read_int32(sim.input_tokens, item) + request.generated
        replica.prefix_hits += request.computed
    request.held_blocks = found + blocks
    take_blocks(sim, replica, blocks)


@compiled
def _add_chunk(sim: Any, replica: Any, item: int, chunk: int) -> None:
    """Let the step compute a chunk of a prompt."""
    request = request_at(sim.requests, item)
    replica.step_prefill_seqs += 1
    replica.step_prefill_tokens += chunk
    replica.step_attention += chunk * (request.computed + 0.5 * chunk)
    request.computed += chunk
    if sim.prefix_caching:
        name_blocks(sim, replica, item, request.computed)


@compiled
def preempt_newest(sim: Any, replica: Any) -> None:
    """Drop the newest running request: it loses its KV cache, keeps its tokens and waits at the front."""
    victim = linked_list.last(sim.running_links, sim.n_requests + replica.number)
    request = request_at(sim.requests, victim)
    if request.decoding:
        leave_decoding(sim, replica, victim)
        heap.remove(replica.finish_heap, sim.finish_places, victim)
        if replica.decode_ended_s > request.last_token_s:
            request.last_token_s = replica.decode_ended_s
        elif sim.prefill_first:
            _forget_stalled(sim, replica, request.last_token_s)
    else:
        replica.partial = NONE
    linked_list.unlink(sim.running_links, victim)
    release_blocks(sim, replica, victim)
    replica.running -= 1
    replica.preemptions += 1
    replica.step_preemptions += 1
    request.preemptions += 1
    release_adapter(sim, replica, read_int32(sim.adapter, victim))
    return_to_front(sim, replica, victim)


@compiled
def leave_decoding(sim: Any, replica: Any, item: int) -> None:
    """Take a request out of the sums over decoding requests and settle its token counts."""
    request = request_at(sim.requests, item)
    block_size = sim.block_size
    held_tokens = request.kv_offset + replica.decode_steps
    request.decoding = 0
    request.generated += replica.decode_steps
    request.computed = held_tokens
    request.held_blocks = blocks_held(sim, item, held_tokens)
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
