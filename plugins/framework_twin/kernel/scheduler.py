"""One scheduling decision of vLLM: who decodes, whose prompt is computed, who is admitted, who is preempted.

V1, and V0 with chunked prefill: running requests first, oldest first, each its next token or prompt chunk; then
waiting requests, until the token budget, the sequences or the KV blocks are used up. V0 without chunked prefill: a step
computes whole prompts as long as any can be admitted, and otherwise decodes. A request in want of a KV block preempts
the newest running one, which loses its KV cache and returns to the front of the queue.
"""

from __future__ import annotations

from framework_twin.kernel import heap, linked_list
from framework_twin.kernel.adapter_slots import release_adapter, take_adapter
from framework_twin.kernel.jit import compiled, inlined
from framework_twin.kernel.state import NONE, RUNNING, Tables
from framework_twin.kernel.waiting_queue import dequeue, first_admissible, return_to_front


@inlined
def schedule(tables: Tables, r: int) -> bool:
    """Decide the next step, reserve its KV blocks, and tell whether decoding requests take part.

    The prompts that the step computes are left in the replica's `step_*` fields.
    """
    config = tables.config
    replica = tables.replicas[r]
    replica.step_preemptions = 0
    replica.step_prefill_seqs = 0
    replica.step_prefill_tokens = 0
    replica.step_attention = 0.0
    replica.step_first_admitted = NONE
    if not config.prefill_first:
        _make_room(tables, r)
        _continue_partial(tables, r)
    if replica.step_preemptions == 0:
        _admit(tables, r)
    if config.prefill_first:
        if replica.step_prefill_seqs > 0:
            return False
        _make_room(tables, r)
    replica.running_peak = max(replica.running_peak, replica.running)
    return bool(replica.decoding > 0)


@inlined
def blocks_for(tokens: int, block_size: int) -> int:
    """Blocks that hold so many tokens."""
    return (tokens + block_size - 1) // block_size


@inlined
def _make_room(tables: Tables, r: int) -> None:
    """Preempt until every decoding request that starts a new block in this step can have one."""
    replica = tables.replicas[r]
    phase = replica.decode_steps % tables.config.block_size
    while replica.block_phase[phase] > replica.free_blocks:
        preempt_newest(tables, r)


@inlined
def _continue_partial(tables: Tables, r: int) -> None:
    """Give the partly computed prompt its next chunk; it is the newest running request."""
    replica = tables.replicas[r]
    if replica.partial == NONE:
        return
    config = tables.config
    request = tables.requests[replica.partial]
    prompt = tables.input_tokens[replica.partial] + request.generated
    chunk = min(prompt - request.computed, config.token_budget - replica.decoding)
    wanted = blocks_for(request.computed + chunk, config.block_size) - request.held_blocks
    decode_blocks = replica.block_phase[replica.decode_steps % config.block_size]
    if wanted > replica.free_blocks - decode_blocks:
        preempt_newest(tables, r)
        return
    if wanted > 0:
        request.held_blocks += wanted
        replica.free_blocks -= wanted
    _add_chunk(tables, r, request.computed, chunk)
    request.computed += chunk


@inlined
def _admit(tables: Tables, r: int) -> None:
    """Move waiting requests into the batch as long as tokens, sequences and blocks last."""
    config = tables.config
    replica = tables.replicas[r]
    budget = config.token_budget - replica.step_prefill_tokens
    reserved = 0
    if not config.prefill_first:
        budget -= replica.decoding
        reserved = replica.block_phase[replica.decode_steps % config.block_size]
    while budget > 0 and replica.running < config.max_num_seqs:
        item = first_admissible(tables, r)
        if item == NONE:
            break
        request = tables.requests[item]
        prompt = tables.input_tokens[item] + request.generated
        if config.prefill_first and prompt > budget:
            break
        chunk = min(prompt, budget)
        blocks = blocks_for(prompt if config.reserve_whole_prompt else chunk, config.block_size)
        if blocks > replica.free_blocks - reserved - config.watermark_blocks:
            break
        dequeue(tables, r, item)
        take_adapter(tables, r, tables.adapter[item])
        linked_list.append(tables.running_links, tables.requests.size + r, item)
        replica.running += 1
        replica.free_blocks -= blocks
        request.held_blocks = blocks
        request.computed = chunk
        if request.preemptions == 0:
            request.scheduled_s = replica.time_s
        request.status = RUNNING
        request.decoding = 0
        if replica.step_first_admitted == NONE:
            replica.step_first_admitted = item
        _add_chunk(tables, r, 0, chunk)
        budget -= chunk


@inlined
def _add_chunk(tables: Tables, r: int, before: int, chunk: int) -> None:
    replica = tables.replicas[r]
    replica.step_prefill_seqs += 1
    replica.step_prefill_tokens += chunk
    replica.step_attention += chunk * (before + 0.5 * chunk)


@compiled
def preempt_newest(tables: Tables, r: int) -> None:
    """Drop the newest running request: it loses its KV cache, keeps its tokens and waits at the front."""
    config = tables.config
    replica = tables.replicas[r]
    victim = tables.running_links[linked_list.PREVIOUS, tables.requests.size + r]
    request = tables.requests[victim]
    if request.decoding:
        leave_decoding(tables, r, victim)
        heap.remove(tables.finish_heap[r], tables.finish_position, replica.finish_size, victim)
        replica.finish_size -= 1
        if replica.decode_ended_s > request.last_token_s:
            request.last_token_s = replica.decode_ended_s
        elif config.prefill_first:
            _forget_stalled(tables, r, request.last_token_s)
    else:
        replica.partial = NONE
    linked_list.unlink(tables.running_links, victim)
    replica.free_blocks += request.held_blocks
    replica.running -= 1
    replica.preemptions += 1
    replica.step_preemptions += 1
    request.preemptions += 1
    release_adapter(tables, r, tables.adapter[victim])
    return_to_front(tables, r, victim)


@inlined
def leave_decoding(tables: Tables, r: int, item: int) -> None:
    """Take a request out of the sums over decoding requests and settle its token counts."""
    replica = tables.replicas[r]
    request = tables.requests[item]
    block_size = tables.config.block_size
    held_tokens = request.kv_offset + replica.decode_steps
    request.decoding = 0
    request.generated += replica.decode_steps
    request.held_blocks = blocks_for(held_tokens, block_size)
    replica.block_phase[-request.kv_offset % block_size] -= 1
    replica.context_tokens -= held_tokens + 1
    replica.decoding -= 1


@inlined
def _forget_stalled(tables: Tables, r: int, since_s: float) -> None:
    """Take one request off the group that waits for its second token since this time."""
    for group in range(tables.replicas[r].stalled_groups - 1, -1, -1):
        if tables.stalled_since_s[r, group] == since_s:
            tables.stalled_requests[r, group] -= 1
            break
