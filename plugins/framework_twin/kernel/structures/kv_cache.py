"""KV-cache blocks: counted always, distinguished only as far as prefix caching needs it.

With prefix caching, a full block whose content is named by a hash can be found by a later prompt. Blocks
that no request uses wait in a queue, the longest unused first: taking blocks empties its head (and so evicts
what is named there), and a released request's blocks go to its tail, its last block first. Blocks without a
name are kept as runs, a number of blocks in one place of the queue, so that the cost follows the named
blocks and not the tokens generated.

A block is found as soon as its tokens are scheduled, as in vLLM; blocks of generated tokens, if named, when their
request releases them. A second copy of a named block in use stays nameless.
"""

from __future__ import annotations

from typing import Any

from framework_twin.kernel.compiled.jit import compiled
from framework_twin.kernel.compiled.raw_memory import int64s, read_int32, request_at
from framework_twin.kernel.state import NOT_CACHED
from framework_twin.kernel.structures import linked_list


@compiled
def blocks_for(tokens: int, block_size: int) -> int:
    """Blocks that hold so many tokens."""
    return (tokens + block_size - 1) // block_size


@compiled
def blocks_held(sim: Any, item: int, tokens: int) -> int:
    """Blocks that a request with so many tokens holds: theirs, its recurrent state, and those of windowed layers.

    Windowed layers hold as much from the start as they do on average over the request's life: the window, or the
    prompt and half of the answer where that is shorter.
    """
    held = sim.state_blocks + blocks_for(tokens, sim.block_size)
    if sim.window_tokens > 0:
        usual = read_int32(sim.input_tokens, item) + read_int32(sim.output_tokens, item) // 2
        within = min(usual, sim.window_tokens)
        held += (sim.window_blocks * within + sim.window_tokens - 1) // sim.window_tokens
    return int(held)


@compiled
def take_blocks(sim: Any, replica: Any, blocks: int) -> None:
    """Take free blocks, of which there must be enough."""
    replica.free_blocks -= blocks
    if not sim.prefix_caching:
        return
    sentinel = sim.n_hashes + sim.capacity_blocks + 1
    while blocks > 0:
        node = linked_list.first(replica.free_queue, sentinel)
        if node < sim.n_hashes:
            int64s(replica.references)[node] = NOT_CACHED
            linked_list.unlink(replica.free_queue, node)
            blocks -= 1
            continue
        run_blocks = int64s(replica.run_blocks)
        run = node - sim.n_hashes
        taken = min(run_blocks[run], blocks)
        run_blocks[run] -= taken
        blocks -= taken
        if run_blocks[run] == 0:
            linked_list.unlink(replica.free_queue, node)
            int64s(replica.spare_runs)[replica.n_spare_runs] = run
            replica.n_spare_runs += 1


@compiled
def find_prefix(sim: Any, replica: Any, item: int, tokens: int) -> int:
    """Count the leading blocks of a prompt that are cached; at least one token is left to compute."""
    start = int64s(sim.prefix_start)[item]
    most = min(int64s(sim.prefix_start)[item + 1] - start, (tokens - 1) // sim.block_size)
    found = 0
    while found < most and int64s(replica.references)[int64s(sim.prefix_blocks)[start + found]] != NOT_CACHED:
        found += 1
    return int(found)


@compiled
def unused_blocks(sim: Any, replica: Any, item: int, found: int) -> int:
    """Count the found blocks that no request uses: they are free until a request takes them."""
    start = int64s(sim.prefix_start)[item]
    unused = 0
    for place in range(start, start + found):
        if int64s(replica.references)[int64s(sim.prefix_blocks)[place]] == 0:
            unused += 1
    return unused


@compiled
def share_prefix(sim: Any, replica: Any, item: int, found: int) -> None:
    """Let a request use the blocks that `find_prefix` found."""
    start = int64s(sim.prefix_start)[item]
    references = int64s(replica.references)
    for place in range(start, start + found):
        block = int64s(sim.prefix_blocks)[place]
        if references[block] == 0:
            linked_list.unlink(replica.free_queue, block)
            replica.free_blocks -= 1
        references[block] += 1
        int64s(sim.prefix_shared)[place] = 1
    request_at(sim.requests, item).named_blocks = found


@compiled
def name_blocks(sim: Any, replica: Any, item: int, tokens: int) -> None:
    """Make a request's full blocks, up to so many tokens, findable by their names."""
    request = request_at(sim.requests, item)
    start = int64s(sim.prefix_start)[item]
    most = min(int64s(sim.prefix_start)[item + 1] - start, tokens // sim.block_size)
    references = int64s(replica.references)
    for place in range(start + request.named_blocks, start + most):
        block = int64s(sim.prefix_blocks)[place]
        if references[block] == NOT_CACHED:
            references[block] = 1
            int64s(sim.prefix_shared)[place] = 1
        else:
            int64s(sim.prefix_shared)[place] = 0
    request.named_blocks = max(most, request.named_blocks)


@compiled
def release_blocks(sim: Any, replica: Any, item: int) -> None:
    """Give back all blocks of a request; `computed` says how many tokens they hold."""
    request = request_at(sim.requests, item)
    if not sim.prefix_caching:
        replica.free_blocks += request.held_blocks
        return
    name_blocks(sim, replica, item, request.computed)
    start = int64s(sim.prefix_start)[item]
    nameless = request.held_blocks - request.named_blocks
    references = int64s(replica.references)
    for place in range(start + request.named_blocks - 1, start - 1, -1):
        block = int64s(sim.prefix_blocks)[place]
        if int64s(sim.prefix_shared)[place]:
            references[block] -= 1
            if references[block] == 0:
                _append_run(sim, replica, nameless)
                nameless = 0
                linked_list.append(replica.free_queue, sim.n_hashes + sim.capacity_blocks + 1, block)
                replica.free_blocks += 1
        else:
            nameless += 1
    _append_run(sim, replica, nameless)
    request.named_blocks = 0


@compiled
def _append_run(sim: Any, replica: Any, blocks: int) -> None:
    if blocks > 0:
        replica.n_spare_runs -= 1
        run = int64s(replica.spare_runs)[replica.n_spare_runs]
        int64s(replica.run_blocks)[run] = blocks
        linked_list.append(replica.free_queue, sim.n_hashes + sim.capacity_blocks + 1, sim.n_hashes + run)
        replica.free_blocks += blocks
